"""attempts and stages: what ran, how long, with what, and what came out."""

from collections.abc import Sequence

import msgspec

from caf.events import AttemptStarted, Event, StageCompleted, StageFailed, StageStarted
from caf.projections.model import Projection, Seen, SqlValue, Statement, upsert

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

_KEY = ("job_id", "attempt_id", "stage")


def _apply(event: Event, seen: Seen) -> Sequence[Statement]:
    match event:
        case AttemptStarted():
            return [
                upsert(
                    "attempts",
                    ("job_id", "attempt_id"),
                    {
                        "job_id": seen.job_id,
                        "attempt_id": event.attempt_id,
                        "from_stage": event.from_stage,
                        "workflow_id": event.workflow_id,
                        "parameters": _json(event.parameters),
                        "decided_by": event.decided_by,
                        "started_at": seen.recorded_at,
                    },
                )
            ]
        case StageStarted():
            return [
                upsert(
                    "stages",
                    _KEY,
                    {
                        "job_id": seen.job_id,
                        "attempt_id": event.attempt_id,
                        "stage": event.stage,
                        "status": "running",
                        "engine": event.engine,
                        "started_at": seen.recorded_at,
                    },
                )
            ]
        case StageCompleted():
            return [_completed(event, seen)]
        case StageFailed():
            return [
                _ended(
                    {
                        "job_id": seen.job_id,
                        "attempt_id": event.attempt_id,
                        "stage": event.stage,
                        "status": "failed",
                        "duration_ms": event.duration_ms,
                        "failure_kind": event.failure.kind,
                        "failure": event.failure.message,
                        "started_at": seen.recorded_at,
                        "ended_at": seen.recorded_at,
                    }
                )
            ]
        case _:
            return []


def _completed(event: StageCompleted, seen: Seen) -> Statement:
    return _ended(
        {
            "job_id": seen.job_id,
            "attempt_id": event.attempt_id,
            "stage": event.stage,
            "status": "completed",
            "engine": event.engine,
            "engine_version": event.engine_version,
            "key": event.key,
            "reused": int(event.reused),
            "duration_ms": event.duration_ms,
            "memory_peak_mb": event.memory_peak_mb,
            "artifacts": _json(event.artifacts),
            "facts": _json(event.facts),
            "started_at": seen.recorded_at,
            "ended_at": seen.recorded_at,
        }
    )


def _ended(row: dict[str, SqlValue]) -> Statement:
    """A stage's row at its end; when it began stays as its start told."""
    sql, values = upsert("stages", _KEY, row)
    return sql.replace(", started_at = excluded.started_at", ""), values


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()


ATTEMPTS = Projection(name="attempts", version=1, schema=SCHEMA, apply=_apply)
