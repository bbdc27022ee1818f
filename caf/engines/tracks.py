"""Small features near the frame's rim, many of them, each followed over some frames from its first picture."""

from concurrent.futures import Executor
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.engines.follow import Look, Picture, led

__all__ = ["LONGEST", "STRIDE", "Places", "RimFollower", "Tracks"]

Places = NDArray[np.complex64]

STRIDE, LONGEST = 4, 12
"""New features are looked for every so many frames, and followed for so many: three generations see each frame."""
_RIM = 0.3
"""Of width and height, on each side: what a subject leaves free lies there."""
_GRID, _PER_CELL = (16, 12), 8
_APART_PX, _BORDER_PX = 7, 6
_ROUGHLY = Look(window_px=11, levels=3, rounds=20, close_px=0.1)
_EXACTLY = Look(window_px=11, levels=0, rounds=20, close_px=0.01)
_STRAY_PX = 1.5
_LEAST = 1e-6


class Tracks(NamedTuple):
    """Features found in the frame `start`; `places` (n, frames) x + i y px from there on, NaN once they are lost."""

    start: int
    places: Places


class RimFollower:
    """Follows a clip frame by frame, several generations at once by the pool's threads; `tracks` has every generation
    that is finished.
    """

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self.tracks: list[Tracks] = []
        self._open: list[_Generation] = []
        self._before: Picture | None = None
        self._frame = 0

    def add(self, gray: NDArray[np.uint8], *, cut: bool = False) -> None:
        """The next frame, (H, W) uint8; with `cut` nothing is followed into it."""
        picture = Picture(gray)
        if cut:
            self.finish()
        if self._before is not None and self._open:
            picture.prepare(_ROUGHLY)
            self._before.prepare(_ROUGHLY)
            list(self._pool.map(partial(_Generation.follow, before=self._before, after=picture), self._open))
        for generation in [g for g in self._open if len(g.places) > LONGEST]:
            self._close(generation)
        if self._frame % STRIDE == 0 or cut:
            self._open.append(_Generation(self._frame, picture))
        self._before = picture
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

    def __init__(self, start: int, picture: Picture) -> None:
        self.start = start
        self._picture = picture
        self._first = self.now = _features(picture.gray)
        self._alive = np.arange(len(self._first))
        self.places = [_plane(self._first)]

    def follow(self, before: Picture, after: Picture) -> None:
        """Into the next picture, from where each feature went since the one before."""
        guess, ok = led(before, after, self.now, self.now, _ROUGHLY)
        found = np.full(len(self._first), complex(np.nan, np.nan), np.complex64)
        self.places.append(found)
        exact, ok_exact = led(self._picture, after, self._first[self._alive], guess, _EXACTLY)
        limit = np.array(after.gray.shape[::-1], np.float32) - 3
        good = ok & ok_exact & ((exact > 2) & (exact < limit)).all(axis=1)
        good &= np.linalg.norm(exact - guess, axis=1) < _STRAY_PX
        self._alive, self.now = self._alive[good], exact[good]
        found[self._alive] = _plane(self.now)


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
