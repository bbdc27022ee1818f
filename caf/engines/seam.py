"""The loop's seam: the step from the last frame back to the first, and a blend that makes it like any other."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.engines.between import Way, between, handed_over, way_between
from caf.media.planes import shrunk
from caf.media.read import Frame

__all__ = ["SeamMeter", "SeamPlan", "closed", "plan_seam", "ways_closed"]

Image = NDArray[np.uint8]

_SMALL = (160, 90)
_FEWEST, _MOST = 4, 60
_NOTICEABLE = 1.25
_LEVELS = 0.5
_HELD = 0.05
_BESIDE, _FEWEST_BESIDE = 5, 3
_MEMORY_BYTES = 256_000_000


class SeamMeter:
    """Keeps small pictures of the clip's ends and the size of every step, in grey levels."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.head: list[NDArray[np.float32]] = []
        self.tail: deque[NDArray[np.float32]] = deque(maxlen=_MOST)
        self.frame_bytes = 0

    def add(self, image: NDArray[np.uint8]) -> None:
        """Measure the next frame, (H, W, 3) uint8."""
        small = shrunk(image, _SMALL).astype(np.float32)
        if self.tail:
            self.steps.append(_distance(self.tail[-1], small))
        if len(self.head) < _MOST:
            self.head.append(small)
        self.tail.append(small)
        self.frame_bytes = image.nbytes

    @property
    def typical(self) -> float:
        """The clip's median step, or the large ones beside the seam if they are smaller; without repeated frames."""
        moving = [s for s in self.steps if s > _HELD]
        if not moving:
            return 0.0
        beside = [s for s in (*self.steps[-_BESIDE:], *self.steps[:_BESIDE]) if s > _HELD]
        usual = float(np.median(moving))
        return min(usual, float(np.percentile(beside, 90))) if len(beside) >= _FEWEST_BESIDE else usual

    @property
    def seam(self) -> float:
        """The step from the last frame to the first."""
        return _distance(self.tail[-1], self.head[0]) if self.tail else 0.0


def _distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.mean(np.abs(a - b)))


class SeamPlan(NamedTuple):
    """Blend this many frames (0 = the seam is fine as it is, or the clip too short)."""

    frames: int
    reason: str


def plan_seam(meter: SeamMeter, wanted: int) -> SeamPlan:
    """How many frames to blend: `wanted`, or with 0 the fewest whose every step stays near the typical one."""
    count = len(meter.steps) + 1
    if meter.seam <= _NOTICEABLE * meter.typical + _LEVELS:
        return SeamPlan(0, "the seam is like any other step")
    most = min(_MOST, count // 3, max(_FEWEST, _MEMORY_BYTES // max(1, meter.frame_bytes)))
    if most < 2:
        return SeamPlan(0, "the clip is too short to blend")
    if wanted:
        return SeamPlan(min(wanted, most), "blended")
    for frames in range(min(_FEWEST, most), most + 1):
        tail = list(meter.tail)[-frames:]
        apart = float(np.mean([_distance(a, b) for a, b in zip(tail, meter.head, strict=False)]))
        if apart / frames <= max(0.5 * meter.typical, _HELD):
            return SeamPlan(frames, "blended")
    return SeamPlan(most, "blended")


def ways_closed(head: Iterable[Frame], tail: Sequence[Image], strength: float) -> list[Way]:
    """How each of the first frames is blended with one of the tail, without a jump from one way to another."""
    ways: list[Way] = []
    for index, frame in enumerate(head):
        share = _share(index, len(tail), strength)
        ways.append(way_between(frame.image, tail[index], share, ways[-1] if ways else None))
    return handed_over(ways)


def closed(
    frames: Iterator[Frame], tail: Sequence[Image], strength: float, ways: Sequence[Way]
) -> Iterator[Frame]:
    """The clip without its last `len(tail)` frames, which are blended into its first ones instead, in these `ways`.

    So the frame after the last shown one is where it would have gone, and the clip's clock, and with it the
    sound, stays as it was. `strength` 0..1 is how fully the first frames give way. `frames` must end before
    the tail.
    """
    for index, frame in enumerate(frames):
        if index < len(tail):
            share = _share(index, len(tail), strength)
            yield Frame(between(frame.image, tail[index], share, ways[index]), frame.time_s)
        else:
            yield frame


def _share(index: int, count: int, strength: float) -> float:
    """Of the tail's frame in the blend's frame `index`."""
    return strength * (1.0 - (index + 1) / (count + 1))
