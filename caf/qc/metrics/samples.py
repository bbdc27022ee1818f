"""A few dozen colour pictures spread evenly over a clip of unknown length, kept while it streams by."""

from dataclasses import dataclass

import cv2
import numpy as np

from caf.qc.metrics.frames import Image, SeenFrame, shrink_to_area

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
    """Keeps every n-th frame from every second on, doubling n whenever more than 32 are held: 16 to 32 remain."""

    def __init__(self) -> None:
        self._held: list[Sample] = []
        self._every = _FIRST_STEP

    def wants(self, index: int) -> bool:
        return index % self._every == 0

    def add(self, frame: SeenFrame) -> None:
        if not self.wants(frame.index):
            return
        self._held.append(sample_of(frame.image, frame.index, frame.time_s))
        if len(self._held) > _MOST:
            self._held = self._held[::2]
            self._every *= 2

    def result(self) -> list[Sample]:
        return self._held


def sample_of(image: Image, index: int = 0, time_s: float = 0.0) -> Sample:
    """A picture of any size as a sample."""
    small = shrink_to_area(_halved(image), SAMPLE_AREA_PX)
    kept = small.copy() if small is image else small
    return Sample(index, time_s, kept, small.shape[1] / image.shape[1])


def _halved(image: Image) -> Image:
    """Half the size while that is large enough: by whole steps it costs a quarter."""
    while image.shape[0] * image.shape[1] >= 4 * SAMPLE_AREA_PX:
        size = (image.shape[1] // 2, image.shape[0] // 2)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return image


def spread(samples: list[Sample], most: int) -> list[Sample]:
    """At most `most` of `samples`, evenly spread, first and last included."""
    if len(samples) <= most:
        return samples
    picks = np.unique(np.linspace(0, len(samples) - 1, most).round().astype(int))
    return [samples[int(pick)] for pick in picks]
