"""jobs: one row a job, where it stands now."""

from collections.abc import Sequence

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
from caf.projections.model import Projection, Seen, SqlValue, Statement, upsert

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
  reason       TEXT,           -- why it is where it is, in a sentence
  final_sha256 TEXT,
  submitted_at TEXT NOT NULL,
  updated_at   TEXT NOT NULL,
  version      INTEGER NOT NULL,
  position     INTEGER NOT NULL
);
CREATE INDEX jobs_by_status ON jobs (status, submitted_at);
"""


def _apply(event: Event, seen: Seen) -> Sequence[Statement]:
    if isinstance(event, JobSubmitted):
        lane, niche = event.document.get("lane"), event.document.get("niche")
        row: dict[str, SqlValue] = {
            "job_id": seen.job_id,
            "status": "submitted",
            "workflow_id": event.workflow_id,
            "policy_id": event.policy.policy_id,
            "source": event.source,
            "lane": lane if isinstance(lane, str) else None,
            "niche": niche if isinstance(niche, str) else None,
            "submitted_at": seen.recorded_at,
            "updated_at": seen.recorded_at,
            "version": seen.version,
            "position": seen.position,
        }
        return [upsert("jobs", ("job_id",), row)]
    changes = _changes(event)
    changes |= {"updated_at": seen.recorded_at, "version": seen.version, "position": seen.position}
    columns = ", ".join(f"{name} = ?" for name in changes)
    return [(f"UPDATE jobs SET {columns} WHERE job_id = ?", (*changes.values(), seen.job_id))]  # noqa: S608


def _changes(event: Event) -> dict[str, SqlValue]:
    match event:
        case AttemptStarted(attempt_id=attempt, from_stage=stage, workflow_id=flow):
            number = int(attempt.rpartition("-")[2])
            return {"status": "running", "attempts": number, "stage": stage, "workflow_id": flow}
        case StageStarted(stage=stage):
            return {"stage": stage, "reason": None}
        case StageCompleted(stage=stage):
            return {"stage": stage}
        case StageFailed(stage=stage, failure=failure):
            return {"stage": stage, "reason": failure.message}
        case RepairDecided(decision=told):
            return {"reason": told.decision.reasoning}
        case Escalated(detail=detail):
            return {"status": "waiting", "reason": detail}
        case EscalationAnswered(action=action, by=by):
            return {"status": "running", "reason": f"{by} answered {action}"}
        case JobCompleted(final_sha256=digest):
            return {"status": "completed", "final_sha256": digest, "reason": None}
        case JobCancelled(reason=reason, by=by):
            return {"status": "cancelled", "reason": f"cancelled by {by}: {reason}"}
        case JobAborted(failure=failure):
            return {"status": "aborted", "reason": failure.message}
        case _:
            return {}


JOBS = Projection(name="jobs", version=1, schema=SCHEMA, apply=_apply)
