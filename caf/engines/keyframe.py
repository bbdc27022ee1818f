"""Follows features over many frames from one key frame, so that errors do not add up from step to step."""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.engines.similarity import Points

__all__ = ["NOTHING_SINCE", "Keyframe", "Since"]

_LONGEST = 12
_FEWEST = 0.4
_STRAY_PX = 2.0
_WINDOW_PX = (16, 16)
_LEVELS = 0
_NEIGHBOURS = 3
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 30, 0.005)


class Since(NamedTuple):
    """Where features of a key frame are now, analysis px."""

    frames: int
    """How long ago the key frame was."""
    start: Points
    now: Points


NOTHING_SINCE: Final = Since(0, np.empty((0, 2)), np.empty((0, 2)))


class Keyframe:
    """A picture whose features are followed until too few are left or it is too old."""

    def __init__(self) -> None:
        self._gray: NDArray[np.uint8] | None = None
        self._age = 0
        self._first = 0
        self._start = self._now = np.empty((0, 2), np.float32)

    def forget(self) -> None:
        """Begin with a new one: a cut, or nothing to follow."""
        self._gray = None

    def follow(self, before: NDArray[np.uint8], after: NDArray[np.uint8], old: Points, new: Points) -> Since:
        """Where its features are in `after`; `old` and `new` are what was followed from `before` to `after`.

        Every feature is looked for where its nearest neighbours went, and in the key frame's own looks.
        """
        if self._gray is None or self._age >= _LONGEST or len(self._start) < _FEWEST * self._first:
            self._gray, self._age, self._first = before, 1, len(old)
            self._start, self._now = old.astype(np.float32), new.astype(np.float32)
            return Since(1, old, new)
        self._age += 1
        guess = self._now + _neighbours_way(self._now, old, new)
        there, ok, _ = cv2.calcOpticalFlowPyrLK(
            self._gray,
            after,
            self._start,
            guess.copy(),
            winSize=_WINDOW_PX,
            maxLevel=_LEVELS,
            criteria=_STOP,
            flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        )
        good = (ok.ravel() > 0) & (np.linalg.norm(there - guess, axis=1) < _STRAY_PX)
        self._start, self._now = self._start[good], np.asarray(there[good], np.float32)
        return Since(self._age, self._start.astype(np.float64), self._now.astype(np.float64))


def _neighbours_way(places: NDArray[np.float32], old: Points, new: Points) -> NDArray[np.float32]:
    """(n, 2) the median way of the three features nearest to each place."""
    x, y = old.astype(np.float32).T
    # Squared, less the places' own squares, which a row has in common. A product of matrices would wake threads.
    far = np.multiply.outer(places[:, 0], -2.0 * x)
    far += np.multiply.outer(places[:, 1], -2.0 * y)
    far += x * x + y * y
    rows, near = np.arange(len(places)), np.empty((len(places), min(_NEIGHBOURS, len(old))), np.intp)
    for rank in range(near.shape[1]):
        near[:, rank] = far.argmin(axis=1)
        far[rows, near[:, rank]] = np.inf
    ways = (new - old)[near].astype(np.float32)
    ways.sort(axis=1)
    return np.asarray(ways[:, near.shape[1] // 2])
