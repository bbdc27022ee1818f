"""Which frame of its source each frame of a clip is.

Both run at one pace, so each frame is the one after the last one's. Where frames were left out, all that come later are
further on; where one is shown twice, it stays. The way through both on which the pictures differ least tells where.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.findings import Floats
from caf.qc.metrics.shades import TONES, Shades, levels_of

__all__ = ["SourceRun", "places_in"]

_REACH = 12
"""Frames that may be missing at once, and how far around the last one the next is looked for."""
_LEAVES_OUT, _EACH_MORE = 0.3, 0.1
"""What a step that is not to the next frame costs, in usual steps of the source."""
_ALIKE, _NEARLY_ALL = 0.5, 80
"""Nearly all frames differ from their place by less than so many usual steps, or the clip shows something else."""
_LEAST_STEP_LEVELS = 0.1
_MOST_UNEVEN = 0.35

_SAME_PACE = 0.05
_NEAREST = 0.4
"""Of a frame's time: a frame of the source within it is of the same moment."""

_Levels = NDArray[np.float32]


class SourceRun(NamedTuple):
    """A source, frame by frame."""

    time_s: Floats
    shades: NDArray[np.uint16]
    """(S, 24, 16)"""

    def places(self, time_s: Sequence[float], shades: NDArray[np.uint16]) -> NDArray[np.int64] | None:
        """(T,) which frame of the source each of a clip is; None where the rates are others or that is not sure."""
        if len(self.time_s) < 2 or len(time_s) < 2:
            return None
        pace = float(np.median(np.diff(time_s)) / max(1e-6, float(np.median(np.diff(self.time_s)))))
        return places_in(self.shades, shades) if abs(pace - 1) < _SAME_PACE else None

    def moments(self, time_s: Sequence[float], places: NDArray[np.int64] | None) -> dict[int, Shades]:
        """By index of the clip's frame: what the source shows in its place, or at its time where no place is known."""
        if places is not None:
            return {index: self.shades[place] for index, place in enumerate(places)}
        if len(self.time_s) == 0 or len(time_s) < 2:
            return {}
        within_s = _NEAREST * float(np.median(np.diff(time_s)))
        after = np.searchsorted(self.time_s, time_s).clip(1, max(1, len(self.time_s) - 1))
        found = {}
        for index, (now_s, at) in enumerate(zip(time_s, after.tolist(), strict=True)):
            near = min((at - 1, min(at, len(self.time_s) - 1)), key=lambda one: abs(self.time_s[one] - now_s))
            if abs(self.time_s[near] - now_s) <= within_s:
                found[index] = self.shades[near]
        return found


def places_in(source: NDArray[np.uint16], clip: NDArray[np.uint16]) -> NDArray[np.int64] | None:
    """(T,) for each frame of `clip` (T, 24, 16) its index in `source` (S, 24, 16), both shades.

    None where the two show different things, next to nothing moves, or most steps are uneven.
    """
    if min(len(source), len(clip)) <= _REACH:
        return None
    there, here = levels_of(source[:, :TONES]), levels_of(clip[:, :TONES])
    usual = float(np.median(np.abs(np.diff(there, axis=0)).mean(axis=(1, 2))))
    if usual < _LEAST_STEP_LEVELS:
        return None
    # In one light: cells in multiples of the picture's middle one.
    light = np.median(there, axis=(1, 2)).mean()
    way, off = _best_way(_lit(there, light), _lit(here, light), usual)
    steps = np.diff(way)
    if float(np.percentile(off, _NEARLY_ALL)) > _ALIKE * usual or float(np.mean(steps != 1)) > _MOST_UNEVEN:
        return None
    return way


def _best_way(there: _Levels, here: _Levels, usual: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(T,) places that never go back, and (T,) the difference in levels at each."""
    behind = np.arange(2 * _REACH + 1)
    first, total = 0, _off(there, here[0], behind)
    firsts, came, offs = [0], [behind], [total]
    for frame in here[1:]:
        best = first + int(np.argmin(total))
        now = max(first, best + 1 - _REACH)
        through = total[None, :] + usual * _prices(now - first)
        before = np.argmin(through, axis=1)
        off = _off(there, frame, now + behind)
        total = through[behind, before] + off
        came.append(first + before)
        firsts.append(now)
        offs.append(off)
        first = now
    way = np.zeros(len(here), np.int64)
    at = first + int(np.argmin(total))
    for index in range(len(here) - 1, -1, -1):
        way[index] = at
        at = int(came[index][at - firsts[index]])
    return way, np.array([offs[index][place - firsts[index]] for index, place in enumerate(way)])


@lru_cache(maxsize=64)
def _prices(ahead: int) -> NDArray[np.float64]:
    """(W, W) what it costs to come to each place of the next band, `ahead` of the last one, from each of that."""
    places = np.arange(2 * _REACH + 1)
    steps = (ahead + places)[:, None] - places[None, :]
    price = np.where(steps == 1, 0.0, _LEAVES_OUT + _EACH_MORE * np.abs(steps - 1.0))
    return np.asarray(np.where((steps >= 0) & (steps <= _REACH), price, np.inf), dtype=np.float64)


def _lit(levels: _Levels, light: float) -> _Levels:
    """(N, 256), the middle cell of each picture as light as that."""
    cells = levels.reshape(len(levels), -1)
    return np.asarray(cells * (light / np.maximum(np.median(cells, axis=1, keepdims=True), 1.0)), np.float32)


def _off(there: _Levels, frame: _Levels, places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean difference of a frame to each of those places, which rise; infinite beyond the source."""
    result = np.full(len(places), np.inf)
    chosen = there[places[0] : places[-1] + 1]
    result[: len(chosen)] = np.abs(chosen - frame).mean(axis=1)
    return result
