"""What `caf qc CLIP` asks of a worker, and what it is told: plain data, light to import."""

from msgspec import Struct

from caf.ports import MeasureRequest

__all__ = ["Examination", "ExamineRequest", "Examined"]


class ExamineRequest(Struct, frozen=True, kw_only=True):
    """Measure a clip, and write down where its faults are."""

    measure: MeasureRequest
    series: str | None = None
    """Where the per-frame series go (.npz); None: nowhere. So with the two below."""
    plot: str | None = None
    """A picture of the series with the blamed spans (.png or .svg)."""
    sheet: str | None = None
    """A picture of the worst frames (.png)."""


class Examined(Struct, frozen=True, kw_only=True):
    """One metric of the clip."""

    metric: str
    version: int
    stage: str
    """Whose output it judges."""
    score: float | None
    """0..1, 1 is best; None when it could not be measured."""
    threshold: float | None
    """Below it the clip is poor in this; None: nothing is said about that."""
    verdict: str
    """good | poor; measured where there is no threshold; unknown where there is no score."""
    reason: str
    raw: dict[str, float]
    spans: tuple[tuple[int, int], ...]
    """Stretches of blamed frames, first and last, counted from 0; empty where the whole clip is meant."""
    worst_frames: tuple[int, ...]
    """At most twelve, the worst first."""


class Examination(Struct, frozen=True, kw_only=True):
    """A clip as all metrics see it."""

    frames: int
    duration_s: float
    """From the first frame to the last."""
    metrics: tuple[Examined, ...]
