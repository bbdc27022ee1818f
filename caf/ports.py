"""Ports: what the core asks of the world, as protocols and the plain data that crosses them.

Every struct here also crosses the process boundary to a worker as JSON, so paths are strings.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct

__all__ = [
    "PARTIAL_LANDMARKS",
    "AssembleRequest",
    "Assembled",
    "Called",
    "Clock",
    "DemoRequest",
    "EmbeddingModel",
    "Engine",
    "ExplodeRequest",
    "Exploded",
    "ExtraMetric",
    "ExtraSeen",
    "Ids",
    "MeasureRequest",
    "Measurement",
    "MediaInfo",
    "OpenPoseRequest",
    "Outside",
    "OutsideWork",
    "Parameter",
    "PoseGap",
    "PoseRequest",
    "PoseResult",
    "ProbeRequest",
    "Produced",
    "Progress",
    "SheetRequest",
    "StageRequest",
    "StageResult",
    "VideoTarget",
]

Parameter = float | int | str | bool

Progress = Callable[[int, int | None], None]
"""Called with (units done, units in all or None). Ephemeral: also the heartbeat of a worker."""


PARTIAL_LANDMARKS = "landmarks.partial.npz"
"""In a pose task's folder: what it had found when it did not come to its end."""


class Clock(Protocol):
    """Wall clock and stopwatch; injected so that the core has neither."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC."""

    def monotonic_ms(self) -> int:
        """Milliseconds of a clock that never jumps; only differences mean anything."""


class Ids(Protocol):
    """Fresh identifiers for commands; a reaction's ids are derived instead."""

    def new(self) -> str:
        """A new random UUID in canonical form."""


class MediaInfo(Struct, frozen=True, kw_only=True):
    """What a probe found in a clip or image; sizes are as displayed, after the rotation flag."""

    kind: str
    """`clip` or `image`."""
    container: str
    codec: str
    width: int
    height: int
    rotation_deg: int
    pixel_format: str
    frames: int
    """Counted from the packets, not believed from the header."""
    fps: float
    """Average frames per second; 0 for an image."""
    variable_fps: bool
    duration_s: float
    has_audio: bool
    audio_codec: str | None = None
    audio_rate_hz: int | None = None
    audio_channels: int | None = None
    audio_duration_s: float | None = None
    bytes: int


class VideoTarget(Struct, frozen=True, kw_only=True):
    """What the finished clip must look like."""

    width: int
    height: int
    fps: float
    length_seconds: float | None = None


class ProbeRequest(Struct, frozen=True, kw_only=True):
    path: str
    require_audio: bool = False


class PoseRequest(Struct, frozen=True, kw_only=True):
    """Find the poses of every frame of `video`."""

    video: str
    model: str
    out_dir: str
    workers: int | None = None
    """Processes that share the clip; None: as many as there are processors, at most 4."""
    max_subjects: int = 1
    """How many poses are told apart in one frame, at most."""
    subject: str = "largest"
    """Whose pose counts where there are several: largest | central | x0,y0,x1,y1 (a box in pixels)."""
    seams: str = "proven"
    """When a process of a shared clip is believed: proven (its landmarks are those of the one before it) | warm
    (after a second in which both found as many poses; landmarks may be some percent of the picture beside)."""
    stall_s: float = 60.0
    """After so many seconds without a word one of the processes counts as hung."""


class PoseGap(Struct, frozen=True, kw_only=True):
    """A span of frames without a pose; `first_frame` counts from 0."""

    first_frame: int
    frames: int
    start_s: float
    duration_s: float


class PoseResult(Struct, frozen=True, kw_only=True):
    """`landmarks` is an .npz: `points` (T, 33, 4) float32 x, y in pixels, z, visibility (NaN where no
    pose was found) and `detected` (T,) bool, both of the chosen subject; `times_s` (T,) float64; and, where
    several were looked for, `everyone` (S, T, 33, 4) float32 with the chosen one's row in `subject`."""

    frames: int
    detected: int
    landmarks: str
    coverage: float
    """Share of the frames in which the chosen subject has a pose."""
    visibility: float | None
    """Mean visibility of the landmarks found, 0..1; None without any."""
    jitter: float | None
    """How restless the landmarks are, as a share of the body a frame squared; see `caf.pose.summary`."""
    gaps: tuple[PoseGap, ...]
    changes: int = 0
    """How often the pose went over to another body; see `caf.pose.summary`."""
    workers: int
    """Processes that shared the clip."""
    frames_computed: int
    """Frames that were looked at, those twice that two of them had to agree on."""
    worker_peak_bytes: int
    """Highest resident memory of any process beside the first."""
    subjects: int
    """How many were told apart in the clip."""
    subject: int
    """Which of them, from 0, in the order in which they appear."""


class OutsideWork(Struct, frozen=True, kw_only=True):
    """Work that this stage hands to an engine outside, and where that is."""

    workflow: dict[str, Any]
    """The workflow's document, as it was when the job was submitted."""
    urls: tuple[str, ...] = ()
    """The servers that the job names; empty: those of the configuration."""
    patience_s: float | None = None
    """How long nothing may happen there; None: as configured."""


class StageRequest(Struct, frozen=True, kw_only=True):
    """One stage, told exactly: the engine runs it with these inputs and parameters and no others."""

    stage: str
    """frame | motion | video."""
    inputs: dict[str, str]
    """Role to path: `source` always; `reference`, `pose`, `frames`, `motion` as far as they exist."""
    parameters: dict[str, Parameter]
    target: VideoTarget
    out_dir: str
    """An existing empty folder for the outputs."""
    kept_dir: str = ""
    """An existing folder that outlives a run which is stopped or put off, and is there again when the same work is
    taken up; empty: there is none."""
    log: str | None = None
    """Where what native code prints goes; None: nowhere."""
    outside: OutsideWork | None = None
    """What an engine outside is to run in this stage; None: nothing, the stage is done here."""


class Produced(Struct, frozen=True, kw_only=True):
    role: str
    path: str


class StageResult(Struct, frozen=True, kw_only=True):
    outputs: tuple[Produced, ...]
    facts: dict[str, Parameter]
    """What the engine measured of its own work, units in the names: `shift_px`, `frames`, …"""
    memory_peak_bytes: int = 0
    """Highest resident memory of the process that did it, as far as is known; 0: not known."""


class EmbeddingModel(Struct, frozen=True, kw_only=True):
    """An .onnx of the user's that turns a face into a vector; it is given (pixel - mean) x scale."""

    path: str
    size: int = 0
    """Pixels of a side, where the model takes any."""
    mean: float = 127.5
    scale: float = 1 / 127.5
    colours: str = "rgb"
    """rgb | bgr: their order."""


class MeasureRequest(Struct, frozen=True, kw_only=True):
    """Measure these metrics on one stage's output."""

    metrics: tuple[str, ...]
    video: str
    source: str
    """The job's input; what was audible and visible before anything was done."""
    reference: str | None = None
    pose: str | None = None
    costume_required: bool = False
    target: VideoTarget | None = None
    """What the finished clip must look like; None: as the source."""
    series: str | None = None
    """Where the series behind the scores go (.npz), when there are any; None: nowhere."""
    embedding: EmbeddingModel | None = None
    """For `identity_embedding`."""
    workers: int = 1
    """Processes that share the clip, where it is long enough and can be cut; the outcome is the same."""


class Measurement(Struct, frozen=True, kw_only=True):
    """One metric of one clip: a score, or the reason why there is none."""

    metric: str
    version: int
    score: float | None
    """0..1, 1 is best; None when it could not be measured."""
    reason: str
    """One sentence for a person: what was seen, or why it was not measured."""
    raw: dict[str, float] = {}
    """The physical quantities behind the score, units in the names."""
    worst_frames: tuple[int, ...] = ()
    """At most twelve, the worst first."""
    spans: tuple[tuple[int, int], ...] = ()
    """Stretches of blamed frames, first and last, counted from 0; empty where the whole clip is meant."""


class ExtraSeen(Struct, frozen=True, kw_only=True):
    """What an extra metric found."""

    measurement: Measurement
    blamed: tuple[int, ...] = ()
    """Rising indices of frames; empty where the whole clip is meant."""
    series: dict[str, tuple[float, ...]] = {}
    """Name to one value a frame from the first on, units in the names; may end before the clip does."""


class ExtraMetric(Protocol):
    """A metric that needs what caf does not bring. It is only measured where it is asked for by its name."""

    name: str

    def missing(self, request: MeasureRequest) -> str | None:
        """Why it cannot be measured here, in a sentence; None: it can be. Fetches nothing."""

    def measure(self, request: MeasureRequest, progress: Progress) -> ExtraSeen:
        """Only called where nothing is missing. Without a score and with the reason where it fails all the same."""


class Called(Struct, frozen=True, kw_only=True):
    """What a call to a worker gave, and what it took."""

    result: Any
    """Of the type that the task's table names."""
    peak_bytes: int
    """Highest resident memory of the child meanwhile, as far as it reported; 0: it did not."""


class DemoRequest(Struct, frozen=True, kw_only=True):
    """One file of the demo: kind healthy | shaken | reference | costume."""

    kind: str
    out_dir: str
    name: str


class SheetRequest(Struct, frozen=True, kw_only=True):
    """A picture of the same moments of two clips, one row each."""

    before: str
    after: str
    captions: tuple[str, str]
    at_s: tuple[float, ...]
    out: str


class ExplodeRequest(Struct, frozen=True, kw_only=True):
    """Take a clip apart: into pictures of its frames, or into clips of some frames each."""

    video: str
    out_dir: str
    frames_each: int
    """1: a picture of every frame; more: a clip of so many frames and a picture of its first; 0: only the first."""
    like: str = ""
    """A clip that has other times: for each of its frames the one that is shown then, the last beyond the end; and
    with `frames_each` 0 a clip of all. Empty: the frames as they come."""


class OpenPoseRequest(Struct, frozen=True, kw_only=True):
    """Draw a clip's poses as pose-conditioned models want them, in the pieces of an `ExplodeRequest`."""

    video: str
    """The clip that has the frames: its size, its times."""
    landmarks: str
    """An .npz of the pose stage."""
    out_dir: str
    frames_each: int
    """1: a picture of every frame; more: a clip of so many frames and a picture of its first; 0: both, of all."""


class Exploded(Struct, frozen=True, kw_only=True):
    pictures: tuple[str, ...]
    clips: tuple[str, ...]
    """Lossless; for `frames_each` 0 the clip itself."""
    times_s: tuple[float, ...]
    """When each frame of the clip is shown."""
    duration_s: float
    fps: float
    variable_fps: bool


class AssembleRequest(Struct, frozen=True, kw_only=True):
    """Put pictures or clips together, one after the other, as one lossless clip."""

    parts: tuple[str, ...]
    pictures: bool
    """True: each part gives one frame."""
    out: str
    times_s: tuple[float, ...]
    """When the frames are shown, if there turn out to be as many."""
    end_s: float
    fps: float
    variable_fps: bool


class Assembled(Struct, frozen=True, kw_only=True):
    frames: int
    width: int
    height: int
    duration_s: float
    timed: bool
    """The frames stand at the times that were given."""


class Outside(Protocol):
    """Where an engine notes what it hands to a server outside, and finds what it handed over before."""

    job_id: str
    attempt_id: str
    workspace_id: str

    async def known(self) -> Mapping[str, str]:
        """Key to handle of everything that this attempt's stage handed over so far."""

    async def submitted(self, key: str, handle: str) -> None:
        """Returns when it is on disk that this work is about to be handed over under this handle."""

    def doing(self, what: str, done: int, total: int | None) -> None:
        """What goes on out there, for people; never recorded. `what` begins with the stage and ` · `."""

    def preview(self, mime: str, picture: bytes) -> None:
        """A picture of what is being made, for people; never recorded."""


class Engine(Protocol):
    """Runs a stage, reports facts; never retries, adapts or judges."""

    id: str
    version: str

    async def run(self, request: StageRequest, progress: Progress, outside: Outside) -> StageResult:
        """Raises `CafError` with a typed kind when the stage cannot be done."""
