"""What the frames of a clip leave behind: the collectors that the wanted metrics need, of the whole or of a piece."""

from collections.abc import Iterator, Sequence
from typing import Protocol, Self

from caf.qc.metrics.catalogue import EXTRAS
from caf.qc.metrics.exposure import ExposureCollector
from caf.qc.metrics.frames import SeenFrame
from caf.qc.metrics.mosaic import MosaicCollector
from caf.qc.metrics.outliers import OutlierCollector
from caf.qc.metrics.piece import WHOLE, Piece
from caf.qc.metrics.samples import Sample, SampleCollector
from caf.qc.metrics.sharpness import CrispnessCollector
from caf.qc.metrics.steps import StepCollector
from caf.qc.metrics.still import StillCollector
from caf.qc.metrics.tracks import TrackCollector

__all__ = ["COMPARED", "SCENE", "SUBJECT", "Collected"]

SUBJECT = frozenset({"identity_consistency", "identity_drift", "mask_edge_bleed", "costume_fidelity"})
"""Metrics about one subject that is followed."""
COMPARED = frozenset({"resolution", "exposure"})
"""Metrics that look at the source's first two seconds too."""
_HELD_AGAINST = frozenset({"temporal_stability", "cadence", "glitch"})
"""Metrics that hold every frame against the same moment of the source."""
SCENE = SUBJECT | {"feline_presence", "human_presence"}
"""Metrics about what is in the picture."""
_SAMPLED = SCENE | {"background_stability"}
_COURSE = frozenset({"temporal_stability", "freeze", "cadence", "blank", "flicker", "glitch"})
_MOTION = _COURSE | {"jitter", "background_stability"}
_STEPS = _MOTION | {"loop_seam"}
_CRISP = frozenset({"sharpness", "blockiness", "resolution"})


class _Collector(Protocol):
    def add(self, frame: SeenFrame) -> None: ...


class Collected:
    """The collectors of one piece of a clip; those that no wanted metric needs are None. Can be pickled.

    `against`: there is another source to hold the clip against.
    """

    def __init__(self, wanted: frozenset[str], piece: Piece = WHOLE, *, against: bool = False) -> None:
        self._piece = piece
        self.samples = SampleCollector(piece) if wanted & _SAMPLED else None
        self.tracks = TrackCollector(piece) if wanted & _MOTION else None
        self.still = StillCollector(piece) if "background_stability" in wanted else None
        self.steps = StepCollector(piece) if wanted & _STEPS else None
        self.outliers = OutlierCollector(piece) if wanted & _MOTION else None
        self.crisp = CrispnessCollector(piece) if wanted & _CRISP else None
        self.exposure = ExposureCollector(piece) if "exposure" in wanted else None
        self.mosaic = MosaicCollector(piece) if against and wanted & _HELD_AGAINST else None
        self._timed = bool(wanted & EXTRAS.keys())
        self.time_s: list[float] = []

    @property
    def looks(self) -> bool:
        """Whether any metric looks at the pictures, or must know how many there are."""
        return self._timed or any(True for _ in self._collectors())

    def add(self, frames: Sequence[SeenFrame]) -> None:
        """Some frames that follow each other, each collector through all of them before the next one."""
        for collector in self._collectors():
            if isinstance(collector, OutlierCollector):  # its maps are so small that calls are all it costs
                collector.add_all(frames)
                continue
            for frame in frames:
                collector.add(frame)
        self.time_s += [frame.time_s for frame in frames if self._piece.holds(frame.index)]

    def fresh(self) -> list[Sample]:
        """The samples that came since the last call; none while it is not sure which will be kept."""
        return self.samples.fresh() if self.samples is not None else []

    def extend(self, later: Self) -> None:
        """Joins what was collected of the piece after this one, for the same metrics."""
        for mine, other in (
            (self.samples, later.samples),
            (self.tracks, later.tracks),
            (self.still, later.still),
            (self.steps, later.steps),
            (self.outliers, later.outliers),
            (self.crisp, later.crisp),
            (self.exposure, later.exposure),
            (self.mosaic, later.mosaic),
        ):
            if mine is not None and other is not None:
                mine.extend(other)  # type: ignore[arg-type]  # both are of one kind
        self.time_s += later.time_s

    def _collectors(self) -> Iterator[_Collector]:
        every = (
            self.samples,
            self.tracks,
            self.still,
            self.steps,
            self.outliers,
            self.crisp,
            self.exposure,
            self.mosaic,
        )
        return (one for one in every if one is not None)
