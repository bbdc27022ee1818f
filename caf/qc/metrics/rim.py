"""A rim of one colour all the way round an outline: what a halo is, and what an outline by nature is not.

Thin things stand out against what is beside them: by each channel, the picture less its opening and closing. Along an
outline of a clean clip they stand out in every direction of colour, and only here and there. A halo stands out in one,
nearly everywhere, and does so wherever the figure goes.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.frames import Image

__all__ = ["rim_contrast", "shared_rim"]

_BLUR_PX = 1.0
_WIDEST_PX = 11
_REACH_PX = 4
"""A cut-out may miss the outline by so much, and a rim lies beside it."""
_BORDER_PX = 6
"""Beside the end of the picture no outline is seen, only where it was cut off."""
_MOST_POINTS = 300
_SECTORS, _LEAST_SECTORS, _LEAST_POINTS = 24, 12, 3
_QUARTER = 25
"""Per cent: three quarters of the way round there is more."""
_HALVES = np.array(
    [
        *[(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1)],
        *[(0, 1, 1), (0, 1, -1), (1, 1, 1), (1, 1, -1), (1, -1, 1), (1, -1, -1)],
    ],
    dtype=np.float32,
)
_AXES = _HALVES / np.linalg.norm(_HALVES, axis=1, keepdims=True)
"""Half of 26 directions of CIE L*a*b*; the others point the opposite way."""
# Shadows, seams and backlight are light or dark. Rims in the other directions are a third as strong in clean clips.
_COLOURED = np.where(np.abs(np.tile(_AXES[:, 0], 2)) < 0.5, 1.6, 1.0)

Floats = NDArray[np.float64]


def rim_contrast(image: Image, mask: NDArray[np.bool_]) -> Floats | None:
    """(26,) CIE L*a*b* distance by direction: what three quarters of the sectors around `mask` have at least.

    `image` (H, W, 3) BGR, `mask` (H, W). None where too little of the outline is in the picture.
    """
    height, width = mask.shape
    edge = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    inner = edge[_BORDER_PX : height - _BORDER_PX, _BORDER_PX : width - _BORDER_PX]
    rows, columns = (found + _BORDER_PX for found in np.nonzero(inner))
    step = max(1, -(-len(rows) // _MOST_POINTS))
    rows, columns = rows[::step], columns[::step]
    if len(rows) < _LEAST_SECTORS * _LEAST_POINTS:
        return None
    contrast = _signed(_thin(image), rows, columns)
    down, right = np.nonzero(mask)
    angle = np.arctan2(rows - down.mean(), columns - right.mean())
    sector = np.minimum(((angle + np.pi) * (_SECTORS / (2 * np.pi))).astype(np.int64), _SECTORS - 1)
    means = [contrast[sector == which].mean(axis=0) for which in range(_SECTORS) if _enough(sector, which)]
    if len(means) < _LEAST_SECTORS:
        return None
    low, high = np.percentile(means, [_QUARTER, 100 - _QUARTER], axis=0)
    return np.concatenate([low, -high]) * _COLOURED


def shared_rim(rims: list[Floats]) -> float:
    """CIE L*a*b* distance: the largest that two outlines have in the same direction; 0 for fewer than two outlines."""
    if len(rims) < 2:
        return 0.0
    return max(0.0, float(np.sort(rims, axis=0)[-2].max()))


def _enough(sector: NDArray[np.int64], which: int) -> bool:
    return int((sector == which).sum()) >= _LEAST_POINTS


def _thin(image: Image) -> NDArray[np.float32]:
    """(H, W, 3): how far a thin thing stands out above what is beside it, less how far below."""
    soft = cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), _BLUR_PX), cv2.COLOR_BGR2LAB)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_WIDEST_PX, _WIDEST_PX))
    above = soft - cv2.morphologyEx(soft, cv2.MORPH_OPEN, kernel)
    below = cv2.morphologyEx(soft, cv2.MORPH_CLOSE, kernel) - soft
    # Of 8 bits, L* goes to 255.
    scaled = (above.astype(np.float32) - below) * np.array([100 / 255, 1, 1], dtype=np.float32)
    return np.asarray(scaled, dtype=np.float32)


def _signed(thin: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Floats:
    """(N, 13): near each point the most in each direction, less the most against it."""
    around = np.arange(-_REACH_PX, _REACH_PX + 1)
    near = thin[rows[:, None, None] + around[:, None], columns[:, None, None] + around]
    along = near.reshape(len(rows), -1, 3) @ _AXES.T
    return np.asarray(along.max(axis=1) + along.min(axis=1), dtype=np.float64)
