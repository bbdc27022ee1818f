"""experience: every repair that was decided, and whether the gate that asked for it passed afterwards."""

from collections.abc import Sequence

import msgspec

from caf.events import Event, QCFailed, QCPassed, RepairDecided
from caf.projections.model import Projection, Seen, Statement

__all__ = ["EXPERIENCE"]

SCHEMA = """
CREATE TABLE decisions (
  job_id       TEXT NOT NULL,
  version      INTEGER NOT NULL, -- of the RepairDecided event in the job's stream
  attempt_id   TEXT NOT NULL,
  stage        TEXT NOT NULL,
  action       TEXT NOT NULL,
  target_stage TEXT,
  preset       TEXT,
  adjustments  TEXT NOT NULL,    -- JSON
  reasoned_by  TEXT NOT NULL,
  reasoning    TEXT NOT NULL,
  alternatives TEXT NOT NULL,    -- JSON
  outcome      TEXT,             -- for a retry: passed or failed, of the same stage's next gate
  event_id     TEXT NOT NULL,
  recorded_at  TEXT NOT NULL,
  PRIMARY KEY (job_id, version)
);
CREATE VIEW experience AS
  SELECT preset, stage, count(*) AS tried, sum(outcome = 'passed') AS passed
  FROM decisions WHERE action = 'RETRY_STAGE' AND outcome IS NOT NULL GROUP BY preset, stage;
"""


def _apply(event: Event, seen: Seen) -> Sequence[Statement]:
    match event:
        case RepairDecided(decision=told):
            decision = told.decision
            return [
                (
                    "INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?)",
                    (
                        seen.job_id,
                        seen.version,
                        event.attempt_id,
                        event.stage,
                        decision.action,
                        decision.target_stage or None,
                        decision.workflow_profile or None,
                        _json(decision.parameter_adjustments or {}),
                        event.reasoned_by,
                        decision.reasoning,
                        _json(event.alternatives),
                        seen.event_id,
                        seen.recorded_at,
                    ),
                )
            ]
        case QCPassed(stage=stage) | QCFailed(stage=stage):
            outcome = "passed" if isinstance(event, QCPassed) else "failed"
            return [
                (
                    "UPDATE decisions SET outcome = ? WHERE job_id = ? AND stage = ? AND outcome IS NULL"
                    " AND action = 'RETRY_STAGE' AND version < ?",
                    (outcome, seen.job_id, stage, seen.version),
                )
            ]
        case _:
            return []


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


EXPERIENCE = Projection(name="experience", version=1, schema=SCHEMA, apply=_apply)
