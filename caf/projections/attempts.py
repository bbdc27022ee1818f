"""attempts and stages: what ran, how long, with what, and what came out."""

from caf.events import AttemptStarted, StageCompleted, StageFailed, StageStarted
from caf.projections.model import JobRows, Projection, Row, Seen, as_json, whole

__all__ = ["ATTEMPTS"]

SCHEMA = """
CREATE TABLE attempts (
  job_id      TEXT NOT NULL,
  attempt_id  TEXT NOT NULL,
  from_stage  TEXT NOT NULL,
  workflow_id TEXT NOT NULL,
  parameters  TEXT NOT NULL,   -- JSON: node to input to value
  decided_by  TEXT,            -- event id of the cause
  started_at  TEXT NOT NULL,
  PRIMARY KEY (job_id, attempt_id)
);
CREATE TABLE stages (
  job_id         TEXT NOT NULL,
  attempt_id     TEXT NOT NULL,
  stage          TEXT NOT NULL,
  status         TEXT NOT NULL, -- running, completed, failed
  engine         TEXT,
  engine_version TEXT,
  key            TEXT,          -- equal key, equal artifacts
  reused         INTEGER,
  duration_ms    INTEGER,
  memory_peak_mb REAL,
  artifacts      TEXT,          -- JSON
  facts          TEXT,          -- JSON
  failure_kind   TEXT,
  failure        TEXT,
  started_at     TEXT NOT NULL,
  ended_at       TEXT,
  PRIMARY KEY (job_id, attempt_id, stage)
);
CREATE INDEX stages_by_key ON stages (key) WHERE status = 'completed';
"""


def _attempt_started(event: AttemptStarted, seen: Seen, rows: JobRows) -> None:
    row: Row = {
        "attempt_id": event.attempt_id,
        "from_stage": event.from_stage,
        "workflow_id": event.workflow_id,
        "parameters": as_json(event.parameters),
        "decided_by": event.decided_by,
        "started_at": seen.recorded_at,
    }
    rows.put("attempts", (event.attempt_id,), row)


def _stage_started(event: StageStarted, seen: Seen, rows: JobRows) -> None:
    row: Row = {
        "attempt_id": event.attempt_id,
        "stage": event.stage,
        "status": "running",
        "engine": event.engine,
        "started_at": seen.recorded_at,
    }
    rows.put("stages", (event.attempt_id, event.stage), row)


def _stage_completed(event: StageCompleted, seen: Seen, rows: JobRows) -> None:
    row: Row = {
        "status": "completed",
        "engine": event.engine,
        "engine_version": event.engine_version,
        "key": event.key,
        "reused": int(event.reused),
        "duration_ms": whole(event.duration_ms),
        "memory_peak_mb": event.memory_peak_mb,
        "artifacts": as_json(event.artifacts),
        "facts": as_json(event.facts),
    }
    _end(event, seen, rows, row)


def _stage_failed(event: StageFailed, seen: Seen, rows: JobRows) -> None:
    row: Row = {
        "status": "failed",
        "duration_ms": whole(event.duration_ms),
        "failure_kind": event.failure.kind,
        "failure": event.failure.message,
    }
    _end(event, seen, rows, row)


def _end(event: StageCompleted | StageFailed, seen: Seen, rows: JobRows, row: Row) -> None:
    """A stage's row at its end; when it began stays as its start told."""
    key = (event.attempt_id, event.stage)
    row["ended_at"] = seen.recorded_at
    if key not in rows.of("stages"):
        row |= {"attempt_id": event.attempt_id, "stage": event.stage, "started_at": seen.recorded_at}
    rows.put("stages", key, row)


ATTEMPTS = Projection(
    name="attempts",
    version=1,
    schema=SCHEMA,
    handlers={
        AttemptStarted: _attempt_started,
        StageStarted: _stage_started,
        StageCompleted: _stage_completed,
        StageFailed: _stage_failed,
    },
)
