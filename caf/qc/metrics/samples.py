"""A few dozen colour pictures spread evenly over a clip of unknown length, kept while it streams by."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from caf.qc.metrics.frames import Image, SeenFrame
from caf.qc.metrics.piece import WHOLE, Piece, step_for

__all__ = ["Sample", "SampleCollector", "sample_of", "spread"]

SAMPLE_AREA_PX = 130_000
_MOST = 32
_FIRST_STEP = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """One kept frame: `image` (H, W, 3) uint8 BGR with at most 130,000 pixels; `scale` is small/full."""

    index: int
    time_s: float
    image: Image
    scale: float


class SampleCollector:
    """Keeps every n-th frame, n doubled from 2 until at most 32 of the clip are kept, and so at least 16."""

    def __init__(self, piece: Piece = WHOLE) -> None:
        self._piece = piece
        self._held: list[Sample] = []
        self._every = step_for(piece.frames, _FIRST_STEP, _MOST)

    def add(self, frame: SeenFrame) -> None:
        if frame.index % self._every or not self._piece.holds(frame.index):
            return
        self._held.append(sample_of(frame))
        if len(self._held) > _MOST:  # the file has more frames than it says
            self._held = self._held[::2]
            self._every *= 2

    def extend(self, later: Self) -> None:
        """Joins what was gathered of the piece after this one."""
        self._held += later._held

    def result(self) -> list[Sample]:
        return self._held


def sample_of(frame: SeenFrame) -> Sample:
    """A frame of any size as a sample."""
    small = frame.picture(SAMPLE_AREA_PX)
    return Sample(frame.index, frame.time_s, small, small.shape[1] / frame.luma.shape[1])


def spread(samples: list[Sample], most: int) -> list[Sample]:
    """At most `most` of `samples`, evenly spread, first and last included."""
    if len(samples) <= most:
        return samples
    picks = np.unique(np.linspace(0, len(samples) - 1, most).round().astype(int))
    return [samples[int(pick)] for pick in picks]
