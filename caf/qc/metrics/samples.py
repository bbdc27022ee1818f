"""A few colour pictures spread evenly over a clip, kept while it streams by."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from caf.qc.metrics.frames import Image, SeenFrame
from caf.qc.metrics.piece import WHOLE, Piece

__all__ = ["Sample", "SampleCollector", "picks_of", "same_pictures", "sample_of", "samples_of", "spread"]

SAMPLE_AREA_PX = 130_000
_FEWEST, _MOST, _FRAMES_EACH = 8, 20, 36
_MOST_HELD, _FIRST_STEP = 32, 2


@dataclass(frozen=True, slots=True)
class Sample:
    """One kept frame: `image` (H, W, 3) uint8 BGR with at most 130,000 pixels; `scale` is small/full."""

    index: int
    time_s: float
    image: Image
    scale: float


class SampleCollector:
    """Keeps as many frames as `samples_of` says, evenly spread, the first and the last included.

    Of a clip whose length nobody knows it keeps every n-th, n doubled from 2 whenever 32 are too many.
    """

    def __init__(self, piece: Piece = WHOLE) -> None:
        self._piece = piece
        self._held: list[Sample] = []
        self._picks = frozenset(picks_of(piece.frames))
        self._every = _FIRST_STEP
        self._told = 0

    def add(self, frame: SeenFrame) -> None:
        if not self._piece.holds(frame.index):
            return
        if self._picks:
            if frame.index in self._picks:
                self._held.append(sample_of(frame))
        elif frame.index % self._every == 0:
            self._held.append(sample_of(frame))
            if len(self._held) > _MOST_HELD:
                self._held = self._held[::2]
                self._every *= 2

    def extend(self, later: Self) -> None:
        """Joins what was gathered of the piece after this one."""
        self._held += later._held

    def fresh(self) -> list[Sample]:
        """Those that came since the last call; none while it is not sure which will be kept."""
        since, self._told = self._told, len(self._held)
        return self._held[since:] if self._picks else []

    def result(self) -> list[Sample]:
        """In time order."""
        count = samples_of(self._piece.frames or self._every * len(self._held))
        return spread(self._held, count)


def picks_of(frames: int) -> list[int]:
    """Which frames are kept of a clip of so many, rising; none where nobody knows how many there are."""
    places = np.linspace(0, frames - 1, samples_of(frames)).round()
    return sorted(set(places.astype(int).tolist())) if frames else []


def samples_of(frames: int) -> int:
    """How many pictures stand for a clip of so many frames: 8 to 20, one for each 36 of them."""
    return min(_MOST, max(_FEWEST, frames // _FRAMES_EACH))


def sample_of(frame: SeenFrame) -> Sample:
    """A frame of any size as a sample."""
    small = frame.picture(SAMPLE_AREA_PX)
    return Sample(frame.index, frame.time_s, small, small.shape[1] / frame.luma.shape[1])


def same_pictures(these: Sequence[Sample], others: Sequence[Sample]) -> bool:
    """Whether they are the same samples, pixel for pixel."""
    return [one.index for one in these] == [one.index for one in others] and all(
        np.array_equal(one.image, other.image) for one, other in zip(these, others, strict=True)
    )


def spread(samples: list[Sample], most: int) -> list[Sample]:
    """At most `most` of `samples`, evenly spread, first and last included."""
    if len(samples) <= most:
        return samples
    picks = np.unique(np.linspace(0, len(samples) - 1, most).round().astype(int))
    return [samples[int(pick)] for pick in picks]
