"""Follows features over many frames from one key frame, so that errors do not add up from step to step."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.engines.follow import Look, Picture, led
from caf.engines.similarity import Points

__all__ = ["NOTHING_SINCE", "Keyframe", "Since"]

_LONGEST = 12
_FEWEST = 0.4
_STRAY_PX = 2.0
_LOOK = Look(window_px=16, levels=0, rounds=30, close_px=0.005)
_NEIGHBOURS = 3


class Since(NamedTuple):
    """Where features of a key frame are now, analysis px."""

    frames: int
    """How long ago the key frame was."""
    start: Points
    now: Points
    worth: NDArray[np.float32]
    """(n,) as in `Seen`."""


NOTHING_SINCE: Final = Since(0, np.empty((0, 2)), np.empty((0, 2)), np.empty(0, np.float32))


class Keyframe:
    """A picture whose features are followed until too few are left or it is too old."""

    def __init__(self) -> None:
        self._picture: Picture | None = None
        self._age = 0
        self._first = 0
        self._start = self._now = np.empty((0, 2), np.float32)
        self._worth = np.empty(0, np.float32)

    def forget(self) -> None:
        """Begin with a new one: a cut, or nothing to follow."""
        self._picture = None

    def follow(
        self, before: Picture, after: Picture, old: Points, new: Points, worth: NDArray[np.float32]
    ) -> Since:
        """Where its features are in `after`; `old` and `new` are what was followed from `before` to `after`.

        Every feature is looked for where its nearest neighbours went, and in the key frame's own looks.
        """
        if self._picture is None or self._age >= _LONGEST or len(self._start) < _FEWEST * self._first:
            self._picture, self._age, self._first = before, 1, len(old)
            self._start, self._now, self._worth = old.astype(np.float32), new.astype(np.float32), worth
            return Since(1, old, new, worth)
        self._age += 1
        guess = self._now + _neighbours_way(self._now, old, new)
        there, seen = led(self._picture, after, self._start, guess, _LOOK)
        good = seen & (np.linalg.norm(there - guess, axis=1) < _STRAY_PX)
        self._start, self._now, self._worth = self._start[good], there[good], self._worth[good]
        return Since(self._age, self._start.astype(np.float64), self._now.astype(np.float64), self._worth)


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
