"""inbox: what people are asked, and what they answered."""

from caf.events import Escalated, EscalationAnswered, JobAborted, JobCancelled
from caf.projections.model import JobRows, Projection, Row, Seen, as_json

__all__ = ["INBOX"]

SCHEMA = """
CREATE TABLE escalations (
  job_id            TEXT NOT NULL,
  version           INTEGER NOT NULL, -- of the Escalated event in the job's stream
  attempt_id        TEXT NOT NULL,
  stage             TEXT NOT NULL,
  reason            TEXT NOT NULL,
  required_artifact TEXT NOT NULL,
  expected_format   TEXT NOT NULL,
  detail            TEXT NOT NULL,
  request           TEXT NOT NULL,    -- JSON: user_action_required.v1
  state             TEXT NOT NULL,    -- open, answered, withdrawn
  answer            TEXT,
  answered_by       TEXT,
  answered_at       TEXT,
  escalated_at      TEXT NOT NULL,
  PRIMARY KEY (job_id, version)
);
CREATE INDEX escalations_open ON escalations (state, escalated_at);
"""


def _escalated(event: Escalated, seen: Seen, rows: JobRows) -> None:
    request = event.request
    row: Row = {
        "version": seen.version,
        "attempt_id": event.attempt_id,
        "stage": event.stage,
        "reason": request.reason,
        "required_artifact": request.required_artifact,
        "expected_format": request.expected_format,
        "detail": event.detail,
        "request": as_json(request),
        "state": "open",
        "escalated_at": seen.recorded_at,
    }
    rows.put("escalations", (seen.version,), row)


def _answered(event: EscalationAnswered, seen: Seen, rows: JobRows) -> None:
    _close(rows, {"state": "answered", "answer": event.action, "answered_by": event.by}, seen)


def _withdrawn(event: JobCancelled | JobAborted, seen: Seen, rows: JobRows) -> None:
    _close(rows, {"state": "withdrawn"}, seen)


def _close(rows: JobRows, changes: Row, seen: Seen) -> None:
    for key, row in rows.of("escalations").items():
        if row["state"] == "open":
            rows.change("escalations", key, {**changes, "answered_at": seen.recorded_at})


INBOX = Projection(
    name="inbox",
    version=1,
    schema=SCHEMA,
    handlers={
        Escalated: _escalated,
        EscalationAnswered: _answered,
        JobCancelled: _withdrawn,
        JobAborted: _withdrawn,
    },
)
