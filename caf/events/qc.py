"""Facts that QC reports: one gate's whole report and the measurements behind it."""

from msgspec import Struct

from caf.contracts import QCReport
from caf.events.facts import Artifact, AttemptId, Stage
from caf.ports import Measurement

__all__ = ["QCFailed", "QCPassed"]


class QCPassed(Struct, frozen=True, kw_only=True, tag="QCPassed"):
    """No gate of this stage failed. Stored shape: change only by upcaster."""

    stage: Stage
    attempt_id: AttemptId
    report: QCReport
    measurements: tuple[Measurement, ...]
    duration_ms: int
    series: Artifact | None = None
    """What the scores were made from, frame by frame (.npz); None where no picture was looked at."""


class QCFailed(Struct, frozen=True, kw_only=True, tag="QCFailed"):
    """At least one gate of this stage failed or could not be measured. Stored shape."""

    stage: Stage
    attempt_id: AttemptId
    report: QCReport
    measurements: tuple[Measurement, ...]
    duration_ms: int
    series: Artifact | None = None
