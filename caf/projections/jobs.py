"""jobs: one row a job, where it stands now."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from caf.events import (
    AttemptStarted,
    Escalated,
    EscalationAnswered,
    Event,
    JobAborted,
    JobCancelled,
    JobCompleted,
    JobSubmitted,
    RepairDecided,
    StageCompleted,
    StageFailed,
    StageStarted,
)
from caf.projections.model import Handler, JobRows, Projection, Row, Seen, whole

__all__ = ["JOBS"]

SCHEMA = """
CREATE TABLE jobs (
  job_id       TEXT PRIMARY KEY,
  status       TEXT NOT NULL,  -- submitted, running, waiting, completed, cancelled, aborted
  stage        TEXT,           -- the stage it is in, or ended in
  attempts     INTEGER NOT NULL DEFAULT 0,
  workflow_id  TEXT NOT NULL,
  policy_id    TEXT NOT NULL,
  source       TEXT NOT NULL,
  lane         TEXT,
  niche        TEXT,
  priority     INTEGER NOT NULL DEFAULT 0,
  submitted_by TEXT,           -- a person's name, api, or the path of the job file
  retry_of     TEXT,           -- the job that it takes up again
  reason       TEXT,           -- why it is where it is, in a sentence
  final_sha256 TEXT,
  submitted_at TEXT NOT NULL,
  updated_at   TEXT NOT NULL,
  version      INTEGER NOT NULL,
  position     INTEGER NOT NULL
);
CREATE INDEX jobs_by_status ON jobs (status, submitted_at, job_id);
CREATE INDEX jobs_by_time ON jobs (submitted_at, job_id);
CREATE INDEX jobs_by_position ON jobs (position);
"""


def _submitted(event: JobSubmitted, seen: Seen, rows: JobRows) -> None:
    lane, niche = event.document.get("lane"), event.document.get("niche")
    row: Row = {
        "status": "submitted",
        "workflow_id": event.workflow_id,
        "policy_id": event.policy.policy_id,
        "source": event.source,
        "lane": lane if isinstance(lane, str) else None,
        "niche": niche if isinstance(niche, str) else None,
        "priority": whole(event.priority),
        "submitted_by": event.submitted_by,
        "retry_of": event.retry_of.job_id if event.retry_of else None,
        "submitted_at": seen.recorded_at,
        "updated_at": seen.recorded_at,
        "version": seen.version,
        "position": seen.position,
    }
    if not rows.of("jobs"):
        row["attempts"] = 0
    rows.put("jobs", (), row)


def _started(event: AttemptStarted) -> Row:
    return {
        "status": "running",
        "attempts": whole(int(event.attempt_id.rpartition("-")[2])),
        "stage": event.from_stage,
        "workflow_id": event.workflow_id,
    }


_CHANGES: Final[Mapping[type[Event], Callable[[Any], Row]]] = {
    AttemptStarted: _started,
    StageStarted: lambda event: {"stage": event.stage, "reason": None},
    StageCompleted: lambda event: {"stage": event.stage},
    StageFailed: lambda event: {"stage": event.stage, "reason": event.failure.message},
    RepairDecided: lambda event: {"reason": event.decision.decision.reasoning},
    Escalated: lambda event: {"status": "waiting", "reason": event.detail},
    EscalationAnswered: lambda event: {"status": "running", "reason": f"{event.by} answered {event.action}"},
    JobCompleted: lambda event: {"status": "completed", "final_sha256": event.final_sha256, "reason": None},
    JobCancelled: lambda event: {"status": "cancelled", "reason": f"cancelled by {event.by}: {event.reason}"},
    JobAborted: lambda event: {"status": "aborted", "reason": event.failure.message},
}
"""What an event changes besides when the job was last heard of."""


def _changing(changes: Callable[[Any], Row]) -> Handler:
    return lambda event, seen, rows: rows.change("jobs", (), changes(event))


def _heard_of(seen: Seen, rows: JobRows) -> None:
    place: Row = {"updated_at": seen.recorded_at, "version": seen.version, "position": seen.position}
    rows.change("jobs", (), place)


JOBS = Projection(
    name="jobs",
    version=3,
    schema=SCHEMA,
    handlers={JobSubmitted: _submitted} | {kind: _changing(changes) for kind, changes in _CHANGES.items()},
    ending=_heard_of,
)
