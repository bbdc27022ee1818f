"""Small features near the frame's rim, many of them, each followed over some frames from its first picture."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["LONGEST", "STRIDE", "Places", "RimFollower", "Tracks"]

Places = NDArray[np.complex64]

STRIDE, LONGEST = 4, 12
"""New features are looked for every so many frames, and followed for so many: three generations see each frame."""
_RIM = 0.3
"""Of width and height, on each side: what a subject leaves free lies there."""
_GRID, _PER_CELL = (16, 12), 8
_APART_PX, _BORDER_PX = 7, 6
_WINDOW_PX = (11, 11)
_LEVELS = 3
_STRAY_PX = 1.5
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.01)
_LEAST = 1e-6


class Tracks(NamedTuple):
    """Features found in the frame `start`; `places` (n, frames) x + i y px from there on, NaN once they are lost."""

    start: int
    places: Places


class RimFollower:
    """Follows a clip frame by frame; `tracks` has every generation that is finished."""

    def __init__(self) -> None:
        self.tracks: list[Tracks] = []
        self._open: list[_Generation] = []
        self._before: NDArray[np.uint8] | None = None
        self._frame = 0

    def add(self, gray: NDArray[np.uint8], *, cut: bool = False) -> None:
        """The next frame, (H, W) uint8; with `cut` nothing is followed into it."""
        if cut:
            self.finish()
        if self._before is not None and self._open:
            now = np.concatenate([generation.now for generation in self._open])
            there, ok = _led(self._before, gray, now, now, _LEVELS)
            first = 0
            for generation in self._open:
                last = first + len(generation.now)
                generation.follow(gray, there[first:last], ok[first:last])
                first = last
        for generation in [g for g in self._open if len(g.places) > LONGEST]:
            self._close(generation)
        if self._frame % STRIDE == 0 or cut:
            self._open.append(_Generation(self._frame, gray))
        self._before = gray
        self._frame += 1

    def finish(self) -> None:
        """No more frames of this shot."""
        for generation in list(self._open):
            self._close(generation)

    def _close(self, generation: "_Generation") -> None:
        self._open.remove(generation)
        self.tracks.append(Tracks(generation.start, np.stack(generation.places, axis=1)))


class _Generation:
    """The features of one picture; every look is in that picture's own, so that errors do not add up."""

    def __init__(self, start: int, gray: NDArray[np.uint8]) -> None:
        self.start = start
        self._gray = gray
        self._first = self.now = _features(gray)
        self._alive = np.arange(len(self._first))
        self.places = [_plane(self._first)]

    def follow(self, image: NDArray[np.uint8], guess: NDArray[np.float32], ok: NDArray[np.bool_]) -> None:
        """Into the next picture, from where each feature went since the one before."""
        found = np.full(len(self._first), complex(np.nan, np.nan), np.complex64)
        self.places.append(found)
        exact, ok_exact = _led(self._gray, image, self._first[self._alive], guess, 0)
        limit = np.array(image.shape[::-1], np.float32) - 3
        good = ok & ok_exact & ((exact > 2) & (exact < limit)).all(axis=1)
        good &= np.linalg.norm(exact - guess, axis=1) < _STRAY_PX
        self._alive, self.now = self._alive[good], exact[good]
        found[self._alive] = _plane(self.now)


def _led(
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    start: NDArray[np.float32],
    guess: NDArray[np.float32],
    levels: int,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    if not len(start):
        return start, np.zeros(0, np.bool_)
    there, ok, _ = cv2.calcOpticalFlowPyrLK(
        before,
        after,
        start,
        guess.copy(),
        winSize=_WINDOW_PX,
        maxLevel=levels,
        criteria=_STOP,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(there, np.float32), ok.ravel() > 0


def _features(gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 2) px: the best few of every cell near the rim, however weak beside those of the subject."""
    height, width = gray.shape
    if min(height, width) < 4 * _BORDER_PX:
        return np.empty((0, 2), np.float32)
    quality = cv2.cornerMinEigenVal(gray, 5, ksize=3)
    best = np.asarray(quality == cv2.dilate(quality, np.ones((_APART_PX, _APART_PX), np.uint8)))
    best &= quality > _LEAST
    inner = np.zeros_like(best)
    inner[_BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX] = True
    top, left = round(_RIM * height), round(_RIM * width)
    inner[top : height - top, left : width - left] = False
    y, x = np.nonzero(best & inner)
    strength, cell = quality[y, x], (y * _GRID[1] // height) * _GRID[0] + x * _GRID[0] // width
    order = np.lexsort((-strength, cell))
    rank = np.arange(len(order)) - np.searchsorted(cell[order], cell[order])
    order = order[rank < _PER_CELL]
    return np.column_stack((x[order], y[order])).astype(np.float32)


def _plane(points: NDArray[np.float32]) -> Places:
    return np.ascontiguousarray(points, np.float32).view(np.complex64).ravel()
