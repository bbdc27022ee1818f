"""measurements: every score of every gate, with its verdict and raw quantities."""

from caf.events import PoseCoverageMeasured, QCFailed, QCPassed
from caf.projections.model import JobRows, Projection, Row, Seen, as_json, whole

__all__ = ["MEASUREMENTS"]

SCHEMA = """
CREATE TABLE measurements (
  job_id      TEXT NOT NULL,
  attempt_id  TEXT NOT NULL,
  stage       TEXT NOT NULL,
  metric      TEXT NOT NULL,
  version     INTEGER,
  score       REAL,            -- 0..1; NULL: not measured
  threshold   REAL,
  status      TEXT,            -- PASS, SOFT_FAIL, HARD_FAIL, UNKNOWN; NULL: measured, not gated
  class       TEXT,
  reason      TEXT NOT NULL,
  raw         TEXT NOT NULL,   -- JSON: quantities with units in their names
  spans       TEXT NOT NULL,   -- JSON: stretches of blamed frames, [first, last]
  series      TEXT,            -- SHA-256 of the artifact with the series behind the stage's scores
  recorded_at TEXT NOT NULL,
  PRIMARY KEY (job_id, attempt_id, stage, metric)
);
CREATE INDEX measurements_by_metric ON measurements (metric, score);
"""


def _judged(event: QCPassed | QCFailed, seen: Seen, rows: JobRows) -> None:
    measured = {item.metric: item for item in event.measurements}
    gates = {gate.metric: gate for gate in event.report.gates}
    for metric in dict.fromkeys((*gates, *measured)):
        gate, item = gates.get(metric), measured.get(metric)
        row: Row = {
            "attempt_id": event.attempt_id,
            "stage": event.stage,
            "metric": metric,
            "version": whole(item.version) if item else None,
            "score": gate.score if gate else item.score if item else None,
            "threshold": gate.threshold if gate else None,
            "status": gate.status if gate else None,
            "class": gate.failure_class if gate else None,
            "reason": item.reason if item else gate.reason if gate else "",
            "raw": as_json(item.raw) if item else "{}",
            "spans": as_json(item.spans) if item else "[]",
            "series": event.series.sha256 if event.series else None,
            "recorded_at": seen.recorded_at,
        }
        rows.put("measurements", (event.attempt_id, event.stage, metric), row)


def _posed(event: PoseCoverageMeasured, seen: Seen, rows: JobRows) -> None:
    used = "raw frames are used" if event.fallback_active else "poses are used"
    row: Row = {
        "attempt_id": event.attempt_id,
        "stage": "pose",
        "metric": "pose_coverage",
        "score": event.ratio,
        "threshold": event.threshold,
        "reason": f"a pose on {event.detected} of {event.frames} frames; {used}",
        "spans": "[]",
        "raw": as_json({"detected": event.detected, "frames": event.frames}),
        "recorded_at": seen.recorded_at,
    }
    rows.put("measurements", (event.attempt_id, "pose", "pose_coverage"), row)


MEASUREMENTS = Projection(
    name="measurements",
    version=2,
    schema=SCHEMA,
    handlers={QCPassed: _judged, QCFailed: _judged, PoseCoverageMeasured: _posed},
)
