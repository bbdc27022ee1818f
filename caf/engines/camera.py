"""What moved between two frames, and where: a few similarities, each shared by part of the picture.

Good features (Shi and Tomasi 1994) are followed with pyramidal Lucas-Kanade (Bouguet 2001), checked by
following them back, and explained by a few similarities in turn (RANSAC; Fischler and Bolles 1981).
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.engines.scene import FLAT_STD, is_cut
from caf.engines.similarity import Points, agreed_similarity

__all__ = ["CELLS", "GRID", "Camera", "Candidate", "Step"]

GRID = (8, 6)
"""Columns and rows of the cells in which motion is summarised."""
CELLS = GRID[0] * GRID[1]
_ANALYSIS_SIDE_PX = 960
_PER_CELL = 12
_BACK_PX = 0.5
_INLIER_PX = 1.0
_CANDIDATES = 3
_MIN_POINTS = 12
_WINDOW_PX = (21, 21)
_LEVELS = 4
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 40, 0.005)


class Candidate(NamedTuple):
    """A motion that part of the frame shares."""

    motion: NDArray[np.float64]
    """(4,) x px, y px, roll rad, log zoom about the frame's centre: how that part of the picture moved."""
    cells: NDArray[np.intp]
    """The cells in which at least half of the features share it."""


class Step(NamedTuple):
    """What moved from the frame before to this one, in full-size pixels."""

    candidates: tuple[Candidate, ...]
    """Most widely shared first; empty when nothing could be followed."""
    points: NDArray[np.float32]
    """(n, 4) the followed features, x y before and x y now, px from the frame's centre."""
    cells: NDArray[np.uint8]
    """(n,) the cell each feature was in."""
    cut: bool
    flow: NDArray[np.float64]
    """(CELLS, 2) median feature motion per cell, px; NaN where nothing could be followed."""


class Camera:
    """Follows a clip frame by frame; `follow` returns the step from the frame before."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._scale = min(1.0, _ANALYSIS_SIDE_PX / max(size))
        self._before: NDArray[np.uint8] | None = None
        self._small: NDArray[np.float32] | None = None

    def follow(self, image: NDArray[np.uint8], subject: NDArray[np.float64] | None = None) -> Step:
        """The step to `image` (H, W, 3) uint8; `subject` is a box x0, y0, x1, y1 in px to look away from."""
        gray = _normalised(image, self._scale)
        small = cv2.resize(gray, (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32)
        before, self._before = self._before, gray
        small_before, self._small = self._small, small
        if before is None or small_before is None:
            return _nothing(cut=False)
        if is_cut(small_before, small):
            return _nothing(cut=True)
        old, new = _followed(before, gray)
        if subject is not None and len(old):
            beside = np.asarray(((old < subject[:2]) | (old > subject[2:])).any(axis=1))
            if beside.sum() >= _MIN_POINTS:
                old, new = old[beside], new[beside]
        if len(old) < _MIN_POINTS:
            return _nothing(cut=False)
        old, new = old / self._scale, new / self._scale
        cells = self._cells(old)
        centre = (np.array(self._size) - 1) / 2
        candidates = self._candidates(old - centre, new - centre, cells)
        points = np.hstack((old - centre, new - centre)).astype(np.float32)
        return Step(candidates, points, cells.astype(np.uint8), False, _cell_medians(new - old, cells))

    def _cells(self, points: Points) -> NDArray[np.intp]:
        column = np.clip(points[:, 0] / self._size[0] * GRID[0], 0, GRID[0] - 1).astype(np.intp)
        row = np.clip(points[:, 1] / self._size[1] * GRID[1], 0, GRID[1] - 1).astype(np.intp)
        return row * GRID[0] + column

    def _candidates(self, old: Points, new: Points, cells: NDArray[np.intp]) -> tuple[Candidate, ...]:
        found: list[Candidate] = []
        left: NDArray[np.bool_] = np.ones(len(old), bool)
        for _ in range(_CANDIDATES):
            index = np.flatnonzero(left)
            if len(index) < _MIN_POINTS:
                break
            motion, held = agreed_similarity(old[index], new[index], _INLIER_PX / self._scale)
            if held.sum() < _MIN_POINTS:
                break
            shared = _shared(cells, cells[index[held]])
            if len(shared):
                found.append(Candidate(motion, shared))
            left[index[held]] = False
        return tuple(sorted(found, key=lambda c: -len(c.cells)))


def _nothing(*, cut: bool) -> Step:
    return Step((), np.empty((0, 4), np.float32), np.empty(0, np.uint8), cut, np.full((CELLS, 2), np.nan))


def _shared(all_cells: NDArray[np.intp], held_cells: NDArray[np.intp]) -> NDArray[np.intp]:
    total = np.bincount(all_cells, minlength=CELLS)
    held = np.bincount(held_cells, minlength=CELLS)
    return np.flatnonzero((held >= 2) & (held * 2 >= total))


def _normalised(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Gray at analysis size with fixed mean and contrast, so that flicker does not look like motion."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    if scale < 1.0:
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    mean, std = (float(v[0, 0]) for v in cv2.meanStdDev(gray))
    if std < FLAT_STD:
        return np.asarray(gray, dtype=np.uint8)
    return np.asarray(cv2.convertScaleAbs(gray, alpha=48.0 / std, beta=112.0 - mean * 48.0 / std), np.uint8)


def _followed(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[Points, Points]:
    """Features of `before` and their places in `after`, (n, 2) px each; only those that find their way back."""
    height, width = before.shape
    none = np.empty((0, 2)), np.empty((0, 2))
    if min(height, width) < 24:
        return none
    distance = max(4.0, width / 96)
    found = cv2.goodFeaturesToTrack(before, 1600, 0.002, distance, blockSize=5)
    if found is None:
        return none
    start = _balanced(found.reshape(-1, 2), width, height)
    there, ok = _tracked(before, after, start)
    back, ok_back = _tracked(after, before, there)
    good = ok & ok_back
    good &= np.linalg.norm(back - start, axis=1) < _BACK_PX
    return start[good].astype(np.float64), there[good].astype(np.float64)


def _tracked(
    before: NDArray[np.uint8], after: NDArray[np.uint8], points: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    there, ok, _ = cv2.calcOpticalFlowPyrLK(
        before, after, points, np.empty(0, np.float32), winSize=_WINDOW_PX, maxLevel=_LEVELS, criteria=_STOP
    )
    return np.asarray(there, np.float32), np.asarray(ok).ravel() > 0


def _balanced(points: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """The strongest few of each cell (they come strongest first), so that no busy spot outvotes the frame."""
    column = (points[:, 0] * GRID[0] / width).astype(int)
    row = (points[:, 1] * GRID[1] / height).astype(int)
    cell = row * GRID[0] + column
    taken = np.zeros(CELLS + GRID[0] + 1, int)
    keep = []
    for index, c in enumerate(cell):
        if taken[c] < _PER_CELL:
            taken[c] += 1
            keep.append(index)
    return np.ascontiguousarray(points[keep], dtype=np.float32)


def _cell_medians(moves: Points, cells: NDArray[np.intp]) -> NDArray[np.float64]:
    out = np.full((CELLS, 2), np.nan)
    for cell in np.unique(cells):
        out[cell] = np.median(moves[cells == cell], axis=0)
    return out
