"""Facts that Render reports: what ran, what came out, what broke."""

from msgspec import Struct

from caf.events.facts import Artifact, AttemptId, Failure, Stage
from caf.ports import MediaInfo, Parameter

__all__ = [
    "PoseCoverageMeasured",
    "PromptSubmitted",
    "StageCompleted",
    "StageFailed",
    "StageInterrupted",
    "StageStarted",
]


class StageStarted(Struct, frozen=True, kw_only=True, tag="StageStarted"):
    """Render was about to run a stage with exactly these parameters. Stored shape."""

    stage: Stage
    attempt_id: AttemptId
    engine: str
    parameters: dict[str, Parameter]


class StageCompleted(Struct, frozen=True, kw_only=True, tag="StageCompleted"):
    """A stage's artifacts are on disk. Stored shape: change only by upcaster."""

    stage: Stage
    attempt_id: AttemptId
    engine: str
    engine_version: str
    artifacts: tuple[Artifact, ...]
    key: str
    """SHA-256 of stage, engine version, input digests and parameters: equal key, equal artifacts."""
    reused: bool
    """True when an earlier run of the same key gave the artifacts and nothing was computed."""
    duration_ms: int
    """Wall clock, queueing excluded; of the run that computed, also when reused."""
    queue_ms: int
    memory_peak_mb: float | None
    facts: dict[str, Parameter]
    media: MediaInfo | None = None
    """Only for the artifact stage: what the probe of the source found."""


class StageFailed(Struct, frozen=True, kw_only=True, tag="StageFailed"):
    """A stage gave no artifacts, and why. Stored shape: change only by upcaster."""

    stage: Stage
    attempt_id: AttemptId
    failure: Failure
    duration_ms: int


class StageInterrupted(Struct, frozen=True, kw_only=True, tag="StageInterrupted"):
    """A stage, or its gate, was ended under way because the daemon stopped. It is run again at the next start.

    Stored shape: change only by upcaster.
    """

    stage: Stage
    attempt_id: AttemptId
    gate: bool
    """True when the stage had given its artifacts and QC was measuring them."""
    ran_ms: int
    reason: str


class PromptSubmitted(Struct, frozen=True, kw_only=True, tag="PromptSubmitted"):
    """Work was handed to an engine outside, under a handle that a restart can re-attach to. Stored shape."""

    stage: Stage
    attempt_id: AttemptId
    engine: str
    handle: str
    key: str = ""
    """What the work is within its stage, e.g. a frame: `frame-000012`; one key may be handed over again."""


class PoseCoverageMeasured(Struct, frozen=True, kw_only=True, tag="PoseCoverageMeasured"):
    """On how many frames a pose was found, and whether raw frames are used instead. Stored shape."""

    attempt_id: AttemptId
    frames: int
    detected: int
    ratio: float
    threshold: float
    fallback_active: bool
