"""The camera's path and what moves against it, from corner points followed through the clip.

Points are chosen anew at every multiple of `BLOCK` frames, and where they are lost. Within a block the camera's
motion is the similarity (shift, turn, scale) on which the largest group of points agrees, found by RANSAC: the
background, as long as no single moving thing carries more points. Where it does, points that stand still all over the
picture tell a camera on a tripod.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.cells import middle
from caf.qc.metrics.frames import Gray, SeenFrame
from caf.qc.metrics.pace import pace_of
from caf.qc.metrics.piece import GRID, WHOLE, Piece

__all__ = ["BLOCK", "BlockSway", "CameraPath", "TrackCollector", "smoothing_residual"]

BLOCK = GRID
"""Frames over which one set of points is followed."""
_MIN_POINTS = 12
_WINDOW_PX, _LEVELS = (11, 11), 2
_LOST_LEVELS = 22.0
"""Median grey difference between a point's neighbourhoods above which the frames show different things."""
_AGREED_PX = 1.0
"""Of the points that carry the camera's motion half go less far astray in a step that is known; small frame. Sharp
pictures leave 0.02 to 0.3, those smeared by a fast camera up to 0.9; where the points are lost it is 2 to 12."""
_STILL_PX, _OFF_PX = 0.35, 0.5
"""How far a point wanders that stands still, and how far from the camera's motion one counts half; small frame."""
_WIDE, _AS_WIDE = 8, 0.75
"""Parts of the picture, of 36, and their ratio to those of the points that agree."""

Floats = NDArray[np.float64]
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class BlockSway:
    """The points of one block, and how each moved against the camera (pixels of the small frame)."""

    start: int
    """Index of the block's first frame."""
    place: Floats
    """(N, 2) x, y in that frame."""
    sway: Floats
    """(N,) RMS residual over the block after its straight-line part is taken away."""


@dataclass(frozen=True, slots=True)
class CameraPath:
    """Frame to frame camera motion, in per mille of the frame's diagonal."""

    shift: Floats
    """(T, 4) cumulated x, y, and turn and zoom as the motion they cause half way to the corners."""
    known: NDArray[np.bool_]
    """(T,) False where too few points could be followed from the frame before."""
    pace: Floats
    """(T,) how far what moves went in this step, in multiples of its steps just before and after, as the median
    moving point has it: 1 even motion, 2 a frame is missing, 0 a frame is repeated. NaN where nothing moves."""
    blocks: list[BlockSway]
    size: tuple[int, int]
    """Width and height of the small frame."""
    time_s: Floats
    """(T,) when each frame is shown."""

    @property
    def interval_s(self) -> float:
        """Median time from frame to frame; 0 for a single one."""
        return float(np.median(np.diff(self.time_s))) if len(self.time_s) > 1 else 0.0

    @property
    def diagonal_px(self) -> float:
        """Of the small frame."""
        return float(np.hypot(*self.size))


@dataclass(slots=True)
class _Block:
    start: int
    alive: NDArray[np.bool_]
    at: list[NDArray[np.float32]]


class TrackCollector:
    """Follows points; holds one frame, one block of point positions and a few numbers per frame."""

    def __init__(self, piece: Piece = WHOLE) -> None:
        self._piece = piece
        self._last: Gray | None = None
        self._block: _Block | None = None
        self._moves: list[Floats | None] = []
        """Of each block (F - 1, 4) where the camera is from where it stood at the block's start; None: a step that
        is not known."""
        self._pace: list[float] = [np.nan] if piece.start == 0 else []
        self._blocks: list[BlockSway] = []
        self._time_s: list[float] = []
        self._size = (1, 1)
        self._diagonal = 1.0

    def add(self, frame: SeenFrame) -> None:
        """Of the frames around the piece only the first one after it is looked at: the last step leads there."""
        if not self._piece.start <= frame.index <= self._piece.stop:
            return
        small = frame.small
        if self._piece.holds(frame.index):
            self._time_s.append(frame.time_s)
        if self._last is None:
            height, width = small.shape
            self._size = (width, height)
            self._diagonal = float(np.hypot(width, height))
            self._start_block(small, frame.index)
        elif not self._follow(self._last, small):
            self._finish_block()
            self._lose()
            self._start_block(small, frame.index)
        elif frame.index % BLOCK == 0:
            self._finish_block()
            self._start_block(small, frame.index)
        self._last = small

    def extend(self, later: Self) -> None:
        """Joins what was gathered of the piece after this one."""
        self._finish_block()
        self._moves += later._moves
        self._pace += later._pace
        self._blocks += later._blocks
        self._time_s += later._time_s
        self._block, self._last = later._block, later._last

    def result(self) -> CameraPath:
        self._finish_block()
        shift, known = self._path()
        return CameraPath(
            shift=shift,
            known=known,
            pace=np.array(self._pace),
            blocks=self._blocks,
            size=self._size,
            time_s=np.array(self._time_s, dtype=np.float64),
        )

    def _path(self) -> tuple[Floats, NDArray[np.bool_]]:
        """(T, 4) the moves put together, and (T,) which of them are known."""
        shift, known = [np.zeros(4)], [True]
        for moves in self._moves:
            base = shift[-1]
            shift += [base] if moves is None else [base + move for move in moves]
            known += [moves is not None] * (1 if moves is None else len(moves))
        return np.array(shift), np.array(known, dtype=bool)

    def _lose(self) -> None:
        self._moves.append(None)
        self._pace.append(np.nan)

    def _start_block(self, small: Gray, index: int) -> None:
        self._block = None
        if index >= self._piece.stop:
            return
        corners = cv2.goodFeaturesToTrack(small, 220, 0.01, max(6.0, self._diagonal / 40))
        if corners is not None and len(corners) >= _MIN_POINTS:
            points = np.asarray(corners, dtype=np.float32)[:, 0]
            self._block = _Block(index, np.ones(len(points), dtype=bool), [points])

    def _follow(self, last: Gray, small: Gray) -> bool:
        """False when nothing can be followed: no texture, a cut, or a spoiled frame."""
        block = self._block
        if block is None:
            return False
        here = block.at[-1].reshape(-1, 1, 2)
        there, found, fault = cv2.calcOpticalFlowPyrLK(
            last, small, here, None, winSize=_WINDOW_PX, maxLevel=_LEVELS, criteria=(3, 12, 0.02)
        )
        alive = block.alive & (found[:, 0] == 1)
        # A cut leaves the points somewhere, but nothing there looks like what they came from.
        if alive.sum() < _MIN_POINTS or middle(fault[alive, 0]) > _LOST_LEVELS:
            return False
        block.alive = alive
        block.at.append(there[:, 0])
        return True

    def _add_moves(self, moves: list[Floats], agreed: NDArray[np.bool_]) -> None:
        """Those of a block, apart where a step between them is not known."""
        kept: list[Floats] = []
        base = np.zeros(4)
        for move, known in zip(moves, agreed, strict=True):
            if known:
                kept.append(move - base)
                continue
            if kept:
                self._moves.append(np.array(kept))
            self._moves.append(None)
            kept, base = [], move
        if kept:
            self._moves.append(np.array(kept))

    def _finish_block(self) -> None:
        """The camera's motion over the block, from the points that agree on it throughout."""
        block, self._block = self._block, None
        if block is None or len(block.at) < 2 or self._last is None:
            return
        positions = np.ascontiguousarray(np.stack(block.at)[:, block.alive], dtype=np.float64)
        motion, residual, carrying = _camera(positions, self._size)
        if carrying is not None:
            height, width = self._last.shape
            moves = [_at_corners(matrix, width, height, self._diagonal) for matrix in motion[1:]]
            self._add_moves(moves, _is_agreed(residual[:, carrying]))
            self._pace += pace_of(positions)
        else:
            for _ in motion[1:]:
                self._lose()
        if len(positions) >= BLOCK // 2:
            self._blocks.append(BlockSway(block.start, positions[0], _sway(residual)))


def _is_agreed(residual: Floats) -> NDArray[np.bool_]:
    """(F - 1,) whether half of the points (F, N, 2) that carry the motion go along with each step of it."""
    astray = np.linalg.norm(np.diff(residual, axis=0), axis=2)
    return np.asarray(np.median(astray, axis=1) < _AGREED_PX, dtype=bool)


def _camera(positions: Floats, size: Size) -> tuple[Floats, Floats, NDArray[np.bool_] | None]:
    """Similarities (F, 2, 3) from the block's first frame, residuals (F, N, 2), and (N,) which points carry them.

    None carry them where too few agree.
    RANSAC frame by frame first; then all frames again by least squares over the points that were inliers
    more often than not, so that the same points carry the whole block.
    """
    start = positions[0]
    votes = np.zeros(len(start))
    for place in positions[1:]:
        # Who agrees is known before OpenCV refines the matrix, which nobody looks at.
        matrix, inliers = cv2.estimateAffinePartial2D(start, place, ransacReprojThreshold=0.5, refineIters=0)
        if matrix is not None and inliers is not None:
            votes += np.asarray(inliers)[:, 0]
    steady = votes > 0.6 * (len(positions) - 1)
    enough = int(steady.sum()) >= _MIN_POINTS
    # Where the background itself sways, the points that agree longest still tell the camera best.
    chosen = steady if enough else votes >= np.sort(votes)[-_MIN_POINTS]
    still = _still(positions)
    stands = _tells_a_tripod(start, still, chosen, size)
    if stands:
        chosen, enough = still, True
    enough = enough or float(votes[chosen].min()) > 0.25 * (len(positions) - 1)
    motion = _least_squares(start[chosen], positions[:, chosen])
    # Points that leave a camera on a tripod go with the subject; where it moves they may be a wall that sways.
    for _ in range(2 if stands else 0):
        missed = np.sum((positions[:, chosen] - _carried(start[chosen], motion)) ** 2, axis=2)
        motion = _least_squares(start[chosen], positions[:, chosen], 1 / (1 + missed / _OFF_PX**2))
    return motion, positions - _carried(start, motion), chosen if enough else None


def _still(positions: Floats) -> NDArray[np.bool_]:
    """(N,) the points that stay where they are for most of the block."""
    stays = np.linalg.norm(positions[1:] - positions[0], axis=2) < _STILL_PX
    return np.asarray(stays.mean(axis=0) > 0.6, dtype=bool)


def _tells_a_tripod(start: Floats, still: NDArray[np.bool_], agreed: NDArray[np.bool_], size: Size) -> bool:
    """True where the points that stand still are nearly all over the picture, as those that agree are, or more.

    They say that the camera stands, however few they are beside a subject's; a caption's, which also stand when the
    camera moves, are in few places.
    """
    places = _places(start[still], size)
    return int(still.sum()) >= _MIN_POINTS and places >= max(_WIDE, _AS_WIDE * _places(start[agreed], size))


def _places(points: Floats, size: Size) -> int:
    """In how many of 6x6 parts of the picture the points are."""
    cells = np.clip(points * 6 / np.array(size), 0, 5).astype(np.int64)
    return len(np.unique(cells[:, 0] * 6 + cells[:, 1]))


def _carried(places: Floats, motion: Floats) -> Floats:
    """(F, N, 2) where the similarities (F, 2, 3) bring `places` (N, 2)."""
    return np.asarray(places @ motion[:, :, :2].transpose(0, 2, 1) + motion[:, None, :, 2], dtype=np.float64)


def _least_squares(here: Floats, there: Floats, weight: Floats | None = None) -> Floats:
    """The similarities (F, 2, 3) that map `here` (N, 2) to each of `there` (F, N, 2) best, points as their `weight`.

    Source: S. Umeyama, IEEE PAMI 13 (1991), in two dimensions with complex numbers.
    """
    weight = np.full(there.shape[:2], 1.0) if weight is None else weight
    weight = weight / weight.sum(axis=1, keepdims=True)
    z, w = here[:, 0] + 1j * here[:, 1], there[..., 0] + 1j * there[..., 1]
    z_mean, w_mean = np.sum(weight * z, axis=1), np.sum(weight * w, axis=1)
    z_off, w_off = z - z_mean[:, None], w - w_mean[:, None]
    spread = np.sum(weight * np.abs(z_off) ** 2, axis=1)
    turn = np.where(
        spread > 0, np.sum(weight * np.conj(z_off) * w_off, axis=1) / np.maximum(spread, 1e-12), 1
    )
    shift = w_mean - turn * z_mean
    return np.stack([turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag], axis=1).reshape(
        -1, 2, 3
    )


def _at_corners(matrix: Floats, width: int, height: int, diagonal: float) -> Floats:
    """Shift of the centre, and turn and zoom as what they move half way to the corners, per mille of the diagonal."""
    centre = np.array([width / 2, height / 2])
    shift = matrix[:, :2] @ centre + matrix[:, 2] - centre
    half_way = diagonal / 4
    turn = np.arctan2(matrix[1, 0], matrix[0, 0]) * half_way
    zoom = (np.hypot(matrix[0, 0], matrix[1, 0]) - 1) * half_way
    return np.array([shift[0], shift[1], turn, zoom]) * (1000 / diagonal)


def _sway(residual: Floats) -> Floats:
    """RMS over time of (F, N, 2) residuals without their mean and slope: parallax is straight, sway is not."""
    time = np.arange(len(residual)) - (len(residual) - 1) / 2
    centred = residual - residual.mean(axis=0)
    slope = np.tensordot(time, centred, axes=1) / np.sum(time**2)
    swaying = centred - time[:, None, None] * slope
    return np.asarray(np.sqrt(np.mean(np.sum(swaying**2, axis=2), axis=0)), dtype=np.float64)


def smoothing_residual(series: Floats, window: int = 15, degree: int = 2) -> Floats:
    """What a local polynomial does not explain: (T,) or (T, C) minus its Savitzky-Golay smoothing.

    At the ends the polynomial of the first and last full window is used.

    Source: A. Savitzky, M. Golay, Analytical Chemistry 36 (1964).
    """
    length = len(series)
    window = min(window, length if length % 2 else length - 1)
    if window <= degree + 1:
        return np.zeros_like(series)
    half = window // 2
    basis = np.vander(np.arange(window) - half, degree + 1).astype(np.float64)
    keep = np.eye(window) - basis @ np.linalg.pinv(basis)
    columns = series.reshape(length, -1)
    result = np.empty_like(columns)
    windows = np.lib.stride_tricks.sliding_window_view(columns, window, axis=0)
    result[half : length - half] = windows @ keep[half]
    result[:half] = keep[:half] @ columns[:window]
    result[length - half :] = keep[half + 1 :] @ columns[length - window :]
    return result.reshape(series.shape)
