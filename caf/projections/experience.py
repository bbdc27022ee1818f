"""experience: every repair that was decided, and whether the gate that asked for it passed afterwards."""

from caf.events import QCFailed, QCPassed, RepairDecided
from caf.projections.model import JobRows, Projection, Row, Seen, as_json

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


def _decided(event: RepairDecided, seen: Seen, rows: JobRows) -> None:
    decision = event.decision.decision
    row: Row = {
        "version": seen.version,
        "attempt_id": event.attempt_id,
        "stage": event.stage,
        "action": decision.action,
        "target_stage": decision.target_stage or None,
        "preset": decision.workflow_profile or None,
        "adjustments": as_json(decision.parameter_adjustments or {}),
        "reasoned_by": event.reasoned_by,
        "reasoning": decision.reasoning,
        "alternatives": as_json(event.alternatives),
        "outcome": None,
        "event_id": seen.event_id,
        "recorded_at": seen.recorded_at,
    }
    rows.put("decisions", (seen.version,), row)


def _judged(event: QCPassed | QCFailed, seen: Seen, rows: JobRows) -> None:
    outcome = "passed" if isinstance(event, QCPassed) else "failed"
    for key, row in rows.of("decisions").items():
        if row["action"] == "RETRY_STAGE" and row["stage"] == event.stage and row["outcome"] is None:
            rows.change("decisions", key, {"outcome": outcome})


EXPERIENCE = Projection(
    name="experience",
    version=1,
    schema=SCHEMA,
    handlers={RepairDecided: _decided, QCPassed: _judged, QCFailed: _judged},
)
