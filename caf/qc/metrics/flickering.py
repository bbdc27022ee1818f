"""How much the light deviates from its own course, frame by frame."""

import numpy as np

from caf.qc.metrics.findings import LEAST_FRAMES, Flags, Floats
from caf.qc.metrics.shake import worst_second
from caf.qc.metrics.steps import Steps
from caf.qc.metrics.tracks import smoothing_residual

__all__ = ["deviation_percent", "flicker_percent"]

_HALF_WINDOW = 3


def flicker_percent(steps: Steps, spoiled: Flags) -> tuple[float | None, tuple[int, ...]]:
    """RMS of `deviation_percent` in the worst second, and frames of that second.

    None where too few frames are whole.
    """
    if np.count_nonzero(~spoiled) < LEAST_FRAMES:
        return None, ()
    worst, place = worst_second(deviation_percent(steps, spoiled) ** 2)
    return float(np.sqrt(worst)), tuple(range(place, min(place + 25, steps.frames), 5))


def deviation_percent(steps: Steps, spoiled: Flags) -> Floats:
    """(T,) percent by which the median cell's brightness leaves its course, spoiled frames apart.

    The smaller of two deviations: from a quadratic over nine frames, and from the median of seven. A fade, a cut
    or a lamp that is switched on goes one way and so is its own median. Zeros where too little is left.
    """
    good = np.flatnonzero(~spoiled)
    if len(good) < LEAST_FRAMES:
        return np.zeros(steps.frames)
    gain = np.interp(np.arange(steps.frames), good, steps.gain[good])
    smooth = smoothing_residual(gain, window=9)
    ranked = gain - _running_median(gain)
    return 100 * np.where(np.abs(smooth) < np.abs(ranked), smooth, ranked)


def _running_median(series: Floats) -> Floats:
    """Median of up to seven values; at the ends of as many as lie to both sides alike."""
    length = len(series)
    result = np.empty(length)
    windows = np.lib.stride_tricks.sliding_window_view(series, 2 * _HALF_WINDOW + 1)
    result[_HALF_WINDOW : length - _HALF_WINDOW] = np.median(windows, axis=1)
    for index in (*range(_HALF_WINDOW), *range(length - _HALF_WINDOW, length)):
        reach = min(index, length - 1 - index)
        result[index] = np.median(series[index - reach : index + reach + 1])
    return result
