"""Whether things went as far in a step as in the steps around it: what tells missing frames from fast motion."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["pace_of"]

Floats = NDArray[np.float64]

_MIN_MOVING = 8
_MOVING_PX = 0.15
"""Of the small frame, in one step: less is lost in the noise of following."""
_DAMPING_PX = 1.0
"""Added to both lengths: twice as far matters less where twice is still next to nothing."""


def pace_of(positions: Floats) -> list[float]:
    """For each of the F - 1 steps of (F, N, 2) positions of followed points the pace of the median moving point.

    A point's pace is its step's length along the median of the two steps before and the two after, over that
    median's. NaN where fewer than 8 points move, or fewer than two steps stand beside.
    """
    steps = np.diff(positions, axis=0)
    found = []
    for index, step in enumerate(steps):
        near = [steps[at] for at in (index - 2, index - 1, index + 1, index + 2) if 0 <= at < len(steps)]
        usual = _median_of(near) if len(near) > 1 else np.zeros_like(step)
        power = np.sum(usual**2, axis=1)
        moving = power > _MOVING_PX**2
        if int(moving.sum()) < _MIN_MOVING:
            found.append(np.nan)
            continue
        length = np.sqrt(power[moving])
        along = np.sum(step * usual, axis=1)[moving] / length
        found.append(_weighted_median((along + _DAMPING_PX) / (length + _DAMPING_PX), length))
    return found


def _median_of(near: list[Floats]) -> Floats:
    """As `numpy.median` over two to four arrays, in a third of the time."""
    ordered = np.sort(np.stack(near), axis=0)
    half = len(near) // 2
    return np.asarray(ordered[half] if len(near) % 2 else (ordered[half - 1] + ordered[half]) / 2)


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
