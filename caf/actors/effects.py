"""What actors ask the edge to do, as data. Each is safe to do twice; what came of it returns as events."""

from msgspec import Struct

from caf.events import AttemptId, Stage
from caf.job import Job
from caf.ports import Parameter

__all__ = [
    "Cause",
    "Effect",
    "MeasureStage",
    "PreparePayloads",
    "PublishOutput",
    "RemoveDocument",
    "RunStage",
    "WriteDocument",
    "is_current",
]


class Cause(Struct, frozen=True, kw_only=True):
    """The recorded event that an actor answers: what a pure reaction may know of its recording."""

    event_id: str
    version: int
    recorded_at: str
    """RFC 3339, UTC."""


class RunStage(Struct, frozen=True, kw_only=True):
    """Run one stage of one attempt with exactly these parameters."""

    stage: Stage
    attempt_id: AttemptId
    engine: str
    parameters: dict[str, Parameter]
    fresh: bool = False
    """Compute it even where an earlier run of the same request left its results."""


class MeasureStage(Struct, frozen=True, kw_only=True):
    """Measure and gate one stage's output."""

    stage: Stage
    attempt_id: AttemptId
    metrics: tuple[str, ...]


class WriteDocument(Struct, frozen=True, kw_only=True):
    """Put these bytes at a workspace-relative path, atomically."""

    path: str
    content: bytes


class RemoveDocument(Struct, frozen=True, kw_only=True):
    """Take a derived document away that is no longer true; nothing to do when it is not there."""

    path: str


class PublishOutput(Struct, frozen=True, kw_only=True):
    """Put the finished clip and its documents into the job's output folder."""

    final_sha256: str
    path: str
    documents: tuple[WriteDocument, ...]


class PreparePayloads(Struct, frozen=True, kw_only=True):
    """Write the platforms' payloads and report them as prepared."""

    platforms: tuple[str, ...]
    documents: tuple[WriteDocument, ...]


Effect = RunStage | MeasureStage | WriteDocument | RemoveDocument | PublishOutput | PreparePayloads


def is_current(job: Job, attempt_id: AttemptId) -> bool:
    """True while this attempt is the job's newest one and the job is still being run."""
    return job.status in ("submitted", "running") and bool(job.attempts) and job.attempt.id == attempt_id
