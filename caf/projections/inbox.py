"""inbox: what people are asked, and what they answered."""

from collections.abc import Sequence

import msgspec

from caf.events import Escalated, EscalationAnswered, Event, JobAborted, JobCancelled
from caf.projections.model import Projection, Seen, Statement

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


def _apply(event: Event, seen: Seen) -> Sequence[Statement]:
    match event:
        case Escalated(request=request):
            return [
                (
                    "INSERT OR REPLACE INTO escalations"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', NULL, NULL, NULL, ?)",
                    (
                        seen.job_id,
                        seen.version,
                        event.attempt_id,
                        event.stage,
                        request.reason,
                        request.required_artifact,
                        request.expected_format,
                        event.detail,
                        msgspec.json.encode(request, order="deterministic").decode(),
                        seen.recorded_at,
                    ),
                )
            ]
        case EscalationAnswered(action=action, by=by):
            return [
                (
                    "UPDATE escalations SET state = 'answered', answer = ?, answered_by = ?, answered_at = ?"
                    " WHERE job_id = ? AND state = 'open'",
                    (action, by, seen.recorded_at, seen.job_id),
                )
            ]
        case JobCancelled() | JobAborted():
            return [
                (
                    "UPDATE escalations SET state = 'withdrawn', answered_at = ?"
                    " WHERE job_id = ? AND state = 'open'",
                    (seen.recorded_at, seen.job_id),
                )
            ]
        case _:
            return []


INBOX = Projection(name="inbox", version=1, schema=SCHEMA, apply=_apply)
