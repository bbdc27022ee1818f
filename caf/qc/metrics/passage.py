"""How a clip goes through its source: which of its frames are shown again, and before which others are missing.

Where little moves neighbouring frames differ by less than coding does to each, and still they can be told apart: what
coding, light or another camera do to a frame they do to those around it as well. Taken away, a shift by one frame is
seen in all cells at once, down to a tenth of a pixel a frame.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.findings import Flags, Floats, around_of
from caf.qc.metrics.mosaic import Mosaic

__all__ = ["Passage", "cheapest", "passage_of"]

_AROUND = 9
_THIRD = 3
"""What stays between clip and source is the middle one of three means: of the frames 9 to 4 before, 3 before to 3
after, and 4 to 9 after; one of them may have another shot, or be spoiled."""
_MOST = 3
"""Frames by which a moment may be off."""
_PRICE = 0.4
"""What a frame that is doubled or missing must gain, in multiples of how much frames differ from their moment anyway.
A single frame of 39 untouched real clips gains up to 0.23, one that is doubled 0.4 to 1000."""
_UNSURE, _NEARLY_ALL = 0.3, 80
"""Frames by which four fifths of all are off at most: untouched up to 0.26 in nine of ten clips. Where a camera was
steadied, or the coder left out what moves a little, 0.3 to 1: then it is not said what is lost."""
_STANDS = 0.4
"""Mean square of the step to a doubled frame, at most, over that of those around it."""
_AT_THE_ENDS = 3
"""Frames of which too few on one side say so: there it must gain twice as much."""
_FAR = 25.0
"""As many of these multiples count at most: what is another picture is like none."""
_NOISE_LEVELS = 0.1
"""Of a cell, that nobody sees; clips are rarely coded as well."""
_CATCHES_UP = 3
"""Frames after a doubled one in which what is missing was only hidden by it."""
_ASTRAY = 8
"""A clip goes another way than its source where most frames of so many to both sides are farther from the nearest than
its own usual step. Of 29 clips that lost or doubled frames up to 0.9 of that, of nearly all 0.4; of 27 that turn and go
back 1.1 to 280 from the turning point on."""
_TOGETHER = 256

_CONTRAST = (0.5, 2.0)

Indices = NDArray[np.int64]
_Levels = NDArray[np.float32]


class Passage(NamedTuple):
    """Of a clip of T frames."""

    moment: Indices
    """(T,) the frame of the source that each shows."""
    doubled: Flags
    """(T,) shows the frame before again, though the source goes on."""
    lost: Flags
    """(T,) before which frames of the source are missing, but for those that a doubled one took the place of."""


def passage_of(clip: Mosaic, source: Mosaic, moment: Indices) -> Passage:
    """`moment` (T,) is about right: what the frames show, whatever is lost between the two."""
    # What a lost frame shifts lasts as well: it is looked for before that is taken away.
    near, _, _ = _nearer(clip, source, moment, lasting=False)
    near, off, beyond = _nearer(clip, source, near, lasting=True)
    if off > _UNSURE:
        none = np.zeros(len(moment), dtype=bool)
        return Passage(moment, none, none)
    step = _steps(clip)
    on, far = np.diff(near, prepend=near[:1] - 1), _farther(step)
    follows = _usual(beyond) < float(np.median(step[1:])) + _NOISE_LEVELS**2
    again = on == 0
    hidden = np.zeros(len(on), dtype=bool)
    for after in range(1, _CATCHES_UP + 1):
        hidden[after:] |= again[:-after]
    return Passage(near, again & (far < _STANDS) & follows, (on > 1) & ~hidden & follows)


def _nearer(clip: Mosaic, source: Mosaic, moment: Indices, *, lasting: bool) -> tuple[Indices, float, Floats]:
    """(T,) the moments with what the cells' squares say, how many frames most are off by at most, and (T,) the mean
    square of what each frame has beyond the nearest.

    If `lasting` without what stays between the two.
    """
    shifts = np.arange(-_MOST, _MOST + 1)
    cost = _costs(clip, source, moment, shifts, lasting=lasting)
    beyond = cost.min(axis=1)
    unit = float(np.median(beyond)) + _NOISE_LEVELS**2
    cost = np.where(np.isfinite(cost), np.minimum(cost / unit, _FAR), np.inf)

    def price(at: int) -> Floats:
        on = moment[at] - moment[at - 1] + shifts[None, :] - shifts[:, None]
        dear = 2.0 if min(at, len(moment) - at) <= _AT_THE_ENDS else 1.0
        return np.where(on < 0, np.inf, dear * _PRICE * np.abs(on - 1))

    path = cheapest(cost, price)
    return moment + shifts[path], _off(cost, path), beyond


def _off(cost: Floats, path: Indices) -> float:
    """How many frames four fifths of all are off their moments at most: where the parabola through three costs ends."""
    at = np.flatnonzero((path > 0) & (path < cost.shape[1] - 1))
    early, here, late = (cost[at, path[at] + step] for step in (-1, 0, 1))
    known = np.isfinite(early) & np.isfinite(late)
    early, here, late = early[known], here[known], late[known]
    off = np.abs(early - late) / np.maximum(2 * (early + late - 2 * here), 1e-9)
    return float(np.percentile(off, _NEARLY_ALL)) if len(off) else np.inf


def _steps(clip: Mosaic) -> Floats:
    """(T,) mean square of each step."""
    step = np.zeros(len(clip.cells))
    for start in range(1, len(step), _TOGETHER):
        levels = _levels(clip.cells[start - 1 : start + _TOGETHER])
        step[start : start + _TOGETHER] = np.mean(np.diff(levels, axis=0) ** 2, axis=1)
    return step


def _farther(step: Floats) -> Floats:
    """(T,) mean square of each step over that of most steps around it."""
    around = around_of(step, np.arange(len(step)) > 0, reach=4)
    return np.asarray(np.where(np.isfinite(around), step / np.maximum(around, 1e-6), 1.0), dtype=np.float64)


def _usual(beyond: Floats) -> Floats:
    """(T,) what is usual around each frame."""
    padded = np.pad(beyond, _ASTRAY, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _ASTRAY + 1)
    return np.asarray(np.median(windows, axis=1), dtype=np.float64)


def cheapest(cost: Floats, price: Callable[[int], Floats]) -> Indices:
    """(T,) the way through (T, S) that costs least with what `price` (S, S) asks to go on to each frame.

    Source: R. Bellman, dynamic programming.
    """
    best, came_from = cost[0].copy(), np.zeros(cost.shape, dtype=np.int64)
    for at in range(1, len(cost)):
        total = best[:, None] + price(at)
        came_from[at] = np.argmin(total, axis=0)
        best = np.min(total, axis=0) + cost[at]
    path = np.empty(len(cost), dtype=np.int64)
    path[-1] = np.argmin(best)
    for at in range(len(cost) - 1, 0, -1):
        path[at - 1] = came_from[at, path[at]]
    return path


def _costs(clip: Mosaic, source: Mosaic, moment: Indices, shifts: Indices, *, lasting: bool) -> Floats:
    """(T, S) mean square of what each frame has beyond those of the source around its moment; if `lasting`, and
    beyond what the frames around it have as well."""
    frames, others = len(moment), len(source.time_s)
    cost = np.full((frames, len(shifts)), np.inf)
    for start in range(0, frames, _TOGETHER):
        stop = min(frames, start + _TOGETHER)
        near = _mirrored(np.arange(start - _AROUND, stop + _AROUND), frames)
        there = _levels(source.cells[moment[near]])
        here = _like(_levels(clip.cells[near]), there)
        own = here[_AROUND:-_AROUND]
        own = own - _lasting(here - there) if lasting else own
        first = max(0, int(moment[start] + shifts[0]))
        known = _levels(source.cells[first : int(moment[stop - 1] + shifts[-1]) + 1])
        for column, shift in enumerate(shifts):
            there = moment[start:stop] + shift
            inside = np.flatnonzero((there >= 0) & (there < others))
            beyond = own[inside] - known[there[inside] - first]
            cost[start + inside, column] = np.einsum("ij,ij->i", beyond, beyond) / beyond.shape[1]
    return cost


def _levels(cells: NDArray[np.float16]) -> _Levels:
    """(N, 768) of (N, 16, 16, 3), whatever the light and the colours of the whole picture do."""
    levels = cells.astype(np.float32)
    levels -= levels.mean(axis=(-3, -2), keepdims=True)
    return levels.reshape(len(levels), -1)


def _like(one: _Levels, other: _Levels) -> _Levels:
    """(N, 768) in the other's contrast, each channel: what is left of it would go with what moves."""
    here, there = one.reshape(-1, 256, 3), other.reshape(-1, 256, 3)
    power = np.sum(here**2, axis=(0, 1), dtype=np.float64)
    contrast = np.sum(here * there, axis=(0, 1), dtype=np.float64) / np.maximum(power, 1e-9)
    return np.asarray(here * np.clip(contrast, *_CONTRAST).astype(np.float32), np.float32).reshape(one.shape)


def _lasting(apart: _Levels) -> _Levels:
    """(N, 768) what stays around each frame, of (9 + N + 9, 768)."""
    total = np.cumsum(np.pad(apart, ((1, 0), (0, 0))), axis=0, dtype=np.float64)
    count, width = len(apart) - 2 * _AROUND, 2 * _THIRD
    before, around, after = (
        (total[first + length : first + length + count] - total[first : first + count]) / length
        for first, length in ((0, width), (width, width + 1), (2 * width + 1, width))
    )
    middle = np.maximum(np.minimum(before, around), np.minimum(np.maximum(before, around), after))
    return np.asarray(middle, dtype=np.float32)


def _mirrored(indices: Indices, frames: int) -> Indices:
    """Those beyond the ends, of clips of at least ten frames, as many back inside."""
    return np.asarray(np.where(indices < frames, np.abs(indices), 2 * (frames - 1) - indices), dtype=np.int64)
