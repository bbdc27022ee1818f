"""Where one shot ends and the next begins, from small pictures laid over each other."""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["FLAT_STD", "evenly", "is_cut", "overlaid"]

FLAT_STD = 2.0
"""Grey levels; a picture that varies less holds nothing to compare."""
_CORRELATION = 0.6
_SURE_SHIFT = 0.1
_FARTHEST = 0.25
_RIM_PX = 3

_THIRDS = np.full((1, 3), 1.0 / 3.0)

Small = NDArray[np.float32]


def evenly(picture: Small) -> Small:
    """(h, w) the mean of the three channels of (h, w, 3)."""
    return np.asarray(cv2.transform(picture, _THIRDS), np.float32)


def overlaid(before: Small, after: Small) -> tuple[Small, Small]:
    """The parts of two small pictures, (h, w) or (h, w, 3), that show the same when the camera moved.

    Source of the shift: phase correlation (Kuglin and Hines 1975).
    """
    height, width = before.shape[:2]
    # Copies: phaseCorrelate lays its window over the pictures themselves.
    gray_before, gray = (p.copy() if p.ndim == 2 else evenly(p) for p in (before, after))
    (dx, dy), sure = cv2.phaseCorrelate(gray_before, gray, _window(width, height))
    rim = _RIM_PX
    if sure > _SURE_SHIFT and abs(dx) < _FARTHEST * width and abs(dy) < _FARTHEST * height:
        further = int(np.ceil(max(abs(dx), abs(dy))))
        if 2 * (rim + further) < min(height, width):  # of very small pictures nothing would be left
            rim += further
            # Half of the way each, so that both are blurred alike: else one is brighter on a logarithmic scale.
            before, after = _shifted(before, dx / 2, dy / 2), _shifted(after, -dx / 2, -dy / 2)
    rim = min(rim, (min(height, width) - 1) // 2)
    inner = np.s_[rim : height - rim, rim : width - rim]
    return before[inner], after[inner]


@lru_cache(4)
def _window(width: int, height: int) -> Small:
    return np.asarray(cv2.createHanningWindow((width, height), cv2.CV_32F), np.float32)


def _shifted(picture: Small, dx: float, dy: float) -> Small:
    matrix = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])
    size = picture.shape[1::-1]
    return np.asarray(cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR), np.float32)


def is_cut(before: Small, after: Small) -> bool:
    """True for small grey pictures of different scenes; brighter, darker or moved by the camera is the same."""
    flat_before, flat_after = float(before.std()) < FLAT_STD, float(after.std()) < FLAT_STD
    if flat_before or flat_after:
        return flat_before != flat_after
    plain = _correlation(before, after)
    return plain < _CORRELATION and max(plain, _correlation(*overlaid(before, after))) < _CORRELATION


def _correlation(a: Small, b: Small) -> float:
    spread = float(a.std()) * float(b.std())
    return float(np.mean((a - a.mean()) * (b - b.mean()))) / spread if spread > 0 else 0.0
