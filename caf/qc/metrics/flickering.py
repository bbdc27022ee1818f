"""How much the light deviates from its own course, frame by frame."""

import numpy as np

from caf.qc.metrics.findings import LEAST_FRAMES, Flags, Floats, at_rate
from caf.qc.metrics.shake import frames_of_second, worst_second
from caf.qc.metrics.steps import Steps
from caf.qc.metrics.tracks import smoothing_residual

__all__ = ["deviation_percent", "flicker_percent"]

_REACH, _MEDIAN_REACH = 4, 3
"""Frames to both sides, up to 30 a second."""
_USUAL_REACH, _USUAL_PERCENT, _DARK_LEVELS = 30, 80, 8.0
"""The same of what is as light as usual, its percentile, and what `Steps.gain` adds to every level."""
_DIM = 0.8
"""Share of that from which a frame counts in full: light that flickers by less counts as it is."""


def flicker_percent(steps: Steps, spoiled: Flags) -> tuple[float | None, tuple[int, ...]]:
    """RMS of `deviation_percent` in the worst second, and frames of that second.

    None where too few frames are whole.
    """
    if np.count_nonzero(~spoiled) < LEAST_FRAMES:
        return None, ()
    worst, place = worst_second(deviation_percent(steps, spoiled) ** 2, steps.interval_s)
    return float(np.sqrt(worst)), frames_of_second(place, steps.frames, steps.interval_s)


def deviation_percent(steps: Steps, spoiled: Flags) -> Floats:
    """(T,) percent by which the median cell's brightness leaves its course, spoiled frames apart.

    The smaller of two deviations: from a quadratic over nine frames, and from the median of seven, or as long as
    those last at 30 frames a second. A fade, a cut or a lamp that is switched on goes one way and so is its own
    median. Where it is much darker than usual within a second it counts for less: the last frames before a picture is
    gone go by factors. Zeros where too little is left.
    """
    good = np.flatnonzero(~spoiled)
    if len(good) < LEAST_FRAMES:
        return np.zeros(steps.frames)
    gain = np.interp(np.arange(steps.frames), good, steps.gain[good])
    smooth = smoothing_residual(gain, window=2 * at_rate(_REACH, steps.interval_s) + 1)
    ranked = gain - _running_median(gain, at_rate(_MEDIAN_REACH, steps.interval_s))
    deviation = 100 * np.where(np.abs(smooth) < np.abs(ranked), smooth, ranked)
    luma = np.interp(np.arange(steps.frames), good, steps.luma[good]) + _DARK_LEVELS
    lit = luma / (_DIM * _usual(luma, steps.interval_s))
    return np.asarray(deviation * np.minimum(1.0, lit), dtype=np.float64)


def _usual(luma: Floats, interval_s: float) -> Floats:
    """(T,) how light it is around each frame, but for the lightest fifth."""
    reach = at_rate(_USUAL_REACH, interval_s)
    ends = [
        float(np.percentile(luma[max(0, at - reach) : at + reach + 1], _USUAL_PERCENT))
        for at in range(len(luma))
        if at < reach or at >= len(luma) - reach
    ]
    if len(ends) == len(luma):
        return np.array(ends)
    windows = np.lib.stride_tricks.sliding_window_view(luma, 2 * reach + 1)
    return np.concatenate([ends[:reach], np.percentile(windows, _USUAL_PERCENT, axis=1), ends[reach:]])


def _running_median(series: Floats, most: int) -> Floats:
    """Median over up to `most` values to both sides; at the ends as many as lie to both alike."""
    length = len(series)
    most = min(most, (length - 1) // 2)
    result = np.empty(length)
    windows = np.lib.stride_tricks.sliding_window_view(series, 2 * most + 1)
    result[most : length - most] = np.median(windows, axis=1)
    for index in (*range(most), *range(length - most, length)):
        reach = min(index, length - 1 - index)
        result[index] = np.median(series[index - reach : index + reach + 1])
    return result
