"""Which parts of the picture are background: those that look the same whenever the camera is taken away."""

from itertools import product
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.pose.moments import Poses
from caf.qc.metrics.cells import middles
from caf.qc.metrics.faces import cat_faces, human_faces
from caf.qc.metrics.frames import Gray, SeenFrame, shrink_to_side
from caf.qc.metrics.piece import WHOLE, Piece, step_for
from caf.qc.metrics.tracks import CameraPath

__all__ = ["BackgroundMap", "StillCollector"]

_MOST = 48
_CELL_PX = 10
_ALIKE, _ALWAYS_ALIKE = 0.85, 0.7

_FOR_FACES, _FACES_SIDE_PX = 8, 480
"""Every so manieth of the kept frames is also kept so large that a face can be found in it."""
_BESIDE, _BESIDE_CAT, _ABOVE = 1.75, 1.3, 0.85
"""A figure's reach from the centre of its face, in widths of the face: to both sides, a person's and a cat's, and
above it. The hair of 11 of 12 people in real clips ends at 0.85 or below, that of one at 0.9; over a head there is
more wall to be seen in a portrait than beside it."""
_SLEEVE_PX = 10
"""Breadth of the line around a pose, whose landmarks lie within the limbs; pixels of the tiny frame."""

Floats = NDArray[np.float64]


class BackgroundMap:
    """Background or not, for places of the small frame at a given time."""

    def __init__(self, mask: NDArray[np.bool_], path: CameraPath, scale: float) -> None:
        self._mask, self._path, self._scale = mask, path, scale

    @property
    def share(self) -> float:
        """Of the first frame's picture that is background, 0..1."""
        return float(self._mask.mean())

    def pixels(self, height: int, width: int) -> NDArray[np.uint8]:
        """(height, width) 1 where the first frame shows background, in pixels of the tiny frame."""
        large = np.kron(self._mask.astype(np.uint8), np.ones((_CELL_PX, _CELL_PX), np.uint8))
        result = np.zeros((height, width), np.uint8)
        rows, columns = min(height, large.shape[0]), min(width, large.shape[1])
        result[:rows, :columns] = large[:rows, :columns]
        return result

    def holds(self, places: Floats, index: int) -> NDArray[np.bool_]:
        """(N,) whether `places` (N, 2), pixels of the small frame `index`, show background."""
        first = _in_first(self._path, index, self._scale, places * self._scale)
        rows, columns = self._mask.shape
        row = (first[:, 1] // _CELL_PX).astype(np.int64)
        column = (first[:, 0] // _CELL_PX).astype(np.int64)
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        there = self._mask[np.clip(row, 0, rows - 1), np.clip(column, 0, columns - 1)]
        return np.asarray(inside & there, dtype=bool)


class StillCollector:
    """Keeps 24 to 48 tiny frames, evenly spread over the clip."""

    def __init__(self, piece: Piece = WHOLE) -> None:
        self._piece = piece
        self._held: list[tuple[int, NDArray[np.float32]]] = []
        self._clear: list[tuple[int, Gray]] = []
        self._every = step_for(piece.frames, 1, _MOST)
        self._scale, self._width = 1.0, 1

    def add(self, frame: SeenFrame) -> None:
        if frame.index % self._every or not self._piece.holds(frame.index):
            return
        self._scale, self._width = frame.tiny.shape[1] / frame.small.shape[1], frame.luma.shape[1]
        self._held.append((frame.index, frame.tiny))
        if frame.index % (_FOR_FACES * self._every) == 0:
            self._clear.append((frame.index, frame.full(shrink_to_side(frame.luma, _FACES_SIDE_PX))))
        if len(self._held) > _MOST:
            self._held = self._held[::2]
            self._every *= 2
            self._clear = self._clear[::2]

    def figures(self, path: CameraPath, pose: Poses | None = None) -> NDArray[np.bool_]:
        """(H, W) where the first tiny frame shows figures: faces, what is below and beside each, and poses.

        Faces are searched in at most six pictures; somebody who hardly moves looks as steady as a wall.
        """
        height, width = self._held[0][1].shape
        result = np.zeros((height, width), dtype=np.uint8)
        for index, picture in self._clear:
            scale = width / picture.shape[1]
            cats = [(face, _BESIDE_CAT) for face in cat_faces(picture)]
            for face, beside in (*cats, *((face, _BESIDE) for face in human_faces(picture))):
                x, y = _in_first(path, index, self._scale, np.array([face.centre]) * scale)[0]
                side = face.w * scale
                left, right = max(0, int(x - beside * side)), max(0, int(x + beside * side) + 1)
                result[max(0, int(y - _ABOVE * side)) :, left:right] = 1
        for index, _ in self._held:
            found = pose.at(index, float(path.time_s[index])) if pose is not None else None
            if found is not None:
                body = found[:, :2].astype(np.float64) * (width / self._width)
                hull = cv2.convexHull(_in_first(path, index, self._scale, body).round().astype(np.int32))
                around = np.asarray(hull, dtype=np.int32)
                cv2.fillPoly(result, [around], (1,))
                cv2.polylines(result, [around], True, (1,), _SLEEVE_PX)
        return result > 0

    def extend(self, later: Self) -> None:
        """Joins what was gathered of the piece after this one."""
        self._held += later._held
        self._clear += later._clear

    def aligned(self, path: CameraPath) -> tuple[NDArray[np.int64], Floats]:
        """(K,) indices of the kept frames and (K, H, W) how they look from the first frame's camera."""
        seen = [self._from_first(path, index, tiny, cv2.INTER_CUBIC) for index, tiny in self._held]
        return np.array([index for index, _ in self._held], dtype=np.int64), np.array(seen, dtype=np.float64)

    def _from_first(
        self, path: CameraPath, index: int, tiny: NDArray[np.float32], method: int
    ) -> NDArray[np.float32]:
        height, width = tiny.shape
        return np.asarray(
            cv2.warpAffine(
                tiny,
                _to_frame(path, index, self._scale),
                (width, height),
                flags=method | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            ),
            dtype=np.float32,
        )

    def result(self, path: CameraPath, astray_px: int = 0) -> BackgroundMap:
        """Cells whose pattern, seen from the first frame's camera, correlates with its mean over the clip.

        Correlation ignores brightness, and a few pixels of warp leave it high; a subject that moves does not.
        `astray_px`: how far from its place a cell is also looked for, pixels of the tiny frame. That also finds walls
        that swing far, and of a subject what hardly moves.
        """
        height, width = self._held[0][1].shape if self._held else (0, 0)
        rows, columns = height // _CELL_PX, width // _CELL_PX
        if rows == 0 or columns == 0:  # a strip narrower than a cell
            return BackgroundMap(np.zeros((1, 1), dtype=bool), path, self._scale)
        aligned = np.stack(
            [
                self._from_first(
                    path,
                    index,
                    np.asarray(cv2.GaussianBlur(tiny, (0, 0), 1.0), dtype=np.float32),
                    cv2.INTER_LINEAR,
                )
                for index, tiny in self._held
            ]
        )
        cells = _in_cells(aligned, rows, columns)
        mean = middles(cells)
        alike = _alike(cells, mean)
        around = np.pad(aligned, ((0, 0), (astray_px, astray_px), (astray_px, astray_px)), mode="edge")
        for down, right in product(range(2 * astray_px + 1), repeat=2):
            if (down, right) != (astray_px, astray_px):  # its own place
                there = _in_cells(around[:, down:, right:], rows, columns)
                alike = np.maximum(alike, _alike(there, mean))
        mask = (np.median(alike, axis=0) >= _ALIKE) & (np.percentile(alike, 20, axis=0) >= _ALWAYS_ALIKE)
        # A cell beside the subject holds corners of both.
        clear = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
        return BackgroundMap(clear, path, self._scale)


def _in_cells(pictures: NDArray[np.float32], rows: int, columns: int) -> Floats:
    """(K, rows, columns, pixels) of (K, H, W), each cell about its own mean."""
    cells = pictures[:, : rows * _CELL_PX, : columns * _CELL_PX].astype(np.float64)
    cells = cells.reshape(-1, rows, _CELL_PX, columns, _CELL_PX).transpose(0, 1, 3, 2, 4)
    cells = cells.reshape(len(pictures), rows, columns, -1)
    return np.asarray(cells - cells.mean(axis=3, keepdims=True), dtype=np.float64)


def _alike(cells: Floats, mean: Floats) -> Floats:
    """(K, rows, columns) how the cells of each picture correlate with the mean's."""
    norm = np.linalg.norm(cells, axis=3) * np.linalg.norm(mean, axis=2)
    return np.asarray(np.sum(cells * mean, axis=3) / np.maximum(norm, 1e-6), dtype=np.float64)


def _in_first(path: CameraPath, index: int, scale: float, places: Floats) -> Floats:
    """(N, 2) `places` of the tiny frame `index`, where the first one has them."""
    matrix = _to_frame(path, index, scale)
    return (places - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T


def _to_frame(path: CameraPath, index: int, scale: float) -> Floats:
    """(2, 3): from places in the first frame to the same things in frame `index`, in pixels of the tiny frame."""
    x, y, turn, zoom = path.shift[index] * (path.diagonal_px / 1000)
    half_way = path.diagonal_px / 4
    angle, grow = turn / half_way, 1 + zoom / half_way
    cosine, sine = grow * np.cos(angle), grow * np.sin(angle)
    centre = np.array([path.size[0] / 2, path.size[1] / 2]) * scale
    turned = np.array([[cosine, -sine], [sine, cosine]])
    shift = centre - turned @ centre + np.array([x, y]) * scale
    return np.hstack([turned, shift[:, None]])
