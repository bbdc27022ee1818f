"""Still pictures that one fades or dissolves to and from: slides, which stand because they are meant to.

While one picture dissolves into another each place goes straight from what it was to what it will be, however fast.
What moves goes to and fro: over some frames places change by far more in all than from the first to the last.
"""

import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.findings import Flags, Floats, at_rate, runs

__all__ = ["slides_of"]

_LENGTHS = (4, 6, 8, 12, 16, 24, 36)
"""Frames, up to 30 a second, over which a change is looked at: a part of a longer dissolve shows it as well."""
_LEAST_STANDS = 6
"""Frames, up to 30 a second, that a slide stands at least; a frame that is shown again is none."""
_STRAIGHT, _LEAST_CHANGE = 0.9, 0.12
"""Share of all the change that is left between the ends, and the least of that, mean of the cells' logarithms. Of 51
dissolves of 8 to 24 frames, from moving clips, nine in ten have both; of some 400 places in 17 moving clips one in
thirty, never at both ends of a freeze (40 in 20 clips)."""


def slides_of(logs: NDArray[np.float16], stands: Flags, cut: Flags, empty: Flags, interval_s: float) -> Flags:
    """(T,) the frames that stand as a slide: with a fade or dissolve at one end, and at the other too, or a cut, or
    nothing to be seen, or the clip's end.

    `logs` (T, 8, 8) of the cells' brightness; `stands` shows the frame before again, `cut` another shot, `empty`
    nothing.
    """
    result = np.zeros_like(stands)
    if len(logs) != len(stands):
        return result
    for start, stop in runs(stands):
        if stop - start < at_rate(_LEAST_STANDS, interval_s):
            continue
        begins = start < 2 or bool(cut[start - 1] | empty[start - 2])
        ends = stop >= len(stands) or bool(cut[stop] | empty[stop])
        comes, goes = (_dissolves(logs, at, way, interval_s) for at, way in ((start - 1, -1), (stop - 1, 1)))
        result[start:stop] = (comes or goes) and (begins or comes) and (ends or goes)
    return result


def _dissolves(logs: NDArray[np.float16], at: int, way: int, interval_s: float) -> bool:
    """Whether frame `at` is an end of a fade or dissolve that goes on after it (1) or came before it (-1)."""
    for frames in _LENGTHS:
        far = at + way * at_rate(frames, interval_s)
        if not 0 <= far < len(logs):
            break
        part: Floats = logs[min(at, far) : max(at, far) + 1].astype(np.float64)
        left = float(np.abs(part[-1] - part[0]).mean())
        total = float(np.abs(np.diff(part, axis=0)).mean(axis=(1, 2)).sum())
        if left >= max(_LEAST_CHANGE, _STRAIGHT * total):
            return True
    return False
