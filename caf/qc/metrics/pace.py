"""Whether things went as far in a step as in the steps around it: what tells missing frames from fast motion."""

import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.cells import middles

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
    usual = _beside(steps)
    power = np.sum(usual**2, axis=2)
    moving = power > _MOVING_PX**2
    enough = np.count_nonzero(moving, axis=1) >= _MIN_MOVING
    along = np.sum(steps * usual, axis=2)
    return [
        _pace(along[at][moving[at]], np.sqrt(power[at][moving[at]])) if enough[at] else np.nan
        for at in range(len(steps))
    ]


def _pace(along: Floats, length: Floats) -> float:
    """`along` are lengths in the direction of what is usual, times its `length`."""
    return _weighted_median((along / length + _DAMPING_PX) / (length + _DAMPING_PX), length)


def _beside(steps: Floats) -> Floats:
    """(F - 1, N, 2) median of up to four steps beside each; 0 where there are not two."""
    count = len(steps)
    usual = np.zeros_like(steps)
    ends = (index for index in range(count) if not 2 <= index < count - 2)
    for index in ends:
        near = [at for at in (index - 2, index - 1, index + 1, index + 2) if 0 <= at < count]
        if len(near) > 1:
            usual[index] = middles(steps[near])
    if count > 4:
        usual[2:-2] = middles(np.stack([steps[:-4], steps[1:-3], steps[3:-1], steps[4:]]))
    return usual


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
