"""Whether frames are no others than those beside them, only blurred: a fault of theirs, but none of the motion.

What blur takes away is fine. Where two pictures still differ after both were blurred far more than that, they show
different things.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.cells import cell_means

__all__ = ["detail_of", "dulled", "is_softened"]

Floats = NDArray[np.float32]
Series = NDArray[np.float64]

_CELLS: Final = 16
_TOP_CELLS: Final = 4
"""As `outliers` looks at them."""
_LOW_SIGMA_PX: Final = 2.0
"""Of pictures of 80 pixels: 16 of a clip's 640, where a lens that hunts for focus blurs by up to 4."""
_DULLER: Final = 0.97
"""Detail over that of the duller side, up to which frames are blurred. Of 77 blurred runs of one to three frames that
stuck out as spoiled ones do the sharpest has 0.96, nine in ten at most 0.86; of 95 with other faults one in six."""
_LEFT: Final = 0.5
"""Share of what sticks out that may be left when all are blurred: of nine in ten of those runs up to 0.20, of three
quarters of the other faults more than this, and but one of them is as dull as well: one with other colours."""
_COLOURED_LEVELS: Final = 8.0
"""Levels by which the colours of the strongest cells may stick out: of 234 blurred runs up to 5, of frames with other
colours 14 to 130."""
_DULL: Final = 0.93
"""Detail over that of the duller side, up to which a stretch is blurred as a whole. Of some 45 blurred stretches of 4
to 12 frames in real clips 0.17 to 0.93, nine in ten up to 0.76; of 45 freezes, as sharp as the picture that is held,
0.98 and more."""


def detail_of(picture: Floats) -> float:
    """Mean absolute Laplacian of (H, W) float32 levels."""
    return float(cv2.norm(cv2.Laplacian(picture, cv2.CV_32F, ksize=1), cv2.NORM_L1)) / picture.size


def dulled(detail: Series, longest: int) -> NDArray[np.bool_]:
    """(T,) stretches of two and up to so many frames that all have less detail (T,) than those on both sides of them.

    A single one may be the coder's.
    """
    result = np.zeros(len(detail), dtype=bool)
    for length in range(2, min(longest, len(detail) - 2) + 1):
        most = np.lib.stride_tricks.sliding_window_view(detail[1:-1], length).max(axis=1)
        duller = most < _DULL * np.minimum(detail[: len(most)], detail[length + 1 :])
        for at in range(1, length + 1):
            result[at : at + len(duller)] |= duller
    return result


def is_softened(
    grey: tuple[Floats, Floats, Floats, Floats],
    colour: tuple[Floats, Floats, Floats, Floats],
    details: Sequence[float],
) -> bool:
    """Whether a run of frames only lacks detail that both sides have.

    Of the frame before it, its first, its last and the one after: `grey` (H, W), in the same light, and `colour`
    (2, 16, 16), mean Cr and Cb; `details` of all frames from the first of these to the last.
    """
    if max(details[1:-1]) > _DULLER * min(details[0], details[-1]):
        return False
    steps = _steps(grey)
    coloured = _steps(tuple(_near(one) for one in colour))
    if _sticking_out([np.abs(step).sum(axis=0) for step in coloured]) > _COLOURED_LEVELS:
        return False
    low = _sticking_out([_cells(_low(step)) for step in steps])
    return low < _LEFT * _sticking_out([_cells(step) for step in steps])


def _steps(run: Sequence[Floats]) -> tuple[Floats, Floats, Floats]:
    """Into the run, out of it, and from its one side to the other."""
    before, first, last, after = run
    return first - before, after - last, after - before


def _low(picture: Floats) -> Floats:
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), _LOW_SIGMA_PX), dtype=np.float32)


def _near(cells: Floats) -> Floats:
    """Means with the cells around: of few pixels a cell one by one depends on how sharp these are."""
    return np.stack([cv2.blur(one, (3, 3)) for one in cells])


def _cells(step: Floats) -> Floats:
    return cell_means(np.abs(step), _CELLS)


def _sticking_out(steps: Sequence[Floats]) -> float:
    """Levels (16, 16) by which the strongest cells differ from both sides beyond what these differ, their mean.

    Of the cells that do not touch the picture's edge: blur brings in what lies beyond that.
    """
    entry, leave, across = steps
    inner = (np.minimum(entry, leave) - across)[1:-1, 1:-1]
    return float(np.sort(inner, axis=None)[-_TOP_CELLS:].mean())
