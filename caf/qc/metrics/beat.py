"""The beat of a clip whose frame rate was converted: every few frames a step goes further, or one is shown again.

A frame that is lost afterwards makes a step of its own go further and brings the beat forward. So the beat is sought
as a whole: the way through the clip on which the steps that go further lie best, a lost frame at a price.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.findings import Flags, Floats, around_of, behind, runs

__all__ = ["Beat", "Doubling", "beat_of", "doubling_of", "strides"]

_AROUND = 4
_LOWER_MIDDLE = 3
"""Of the eight steps around one, in rising order: three of them may be long ones."""
_DAMPING_LEVELS = 1.2
_LEAST_PACE, _MOST_PACE = 0.4, 2.5
_PERIODS = range(3, 9)
_MOST_LOST = 2
"""Between two beats."""
_USUAL, _PRICE = 0.1, 0.17
"""Stride of a step from which it speaks for a beat, and what a lost frame costs."""
_BETWEEN = 0.1
"""How much further than other beats one must go to speak for a lost frame as well as a step between beats does."""
_LEAST_BEATS = 8
_SURE, _LONG, _CLEAR, _RARELY_LOST = 0.7, 0.3, 1.2, 0.65
"""Share of beats with a long step, their median stride, that in standard deviations of the strides of all steps that
are no beat, and lost frames for each beat. Converted clips that lost a tenth of their frames have 0.77 and more, 0.33
and more, 1.24 and more, nearly all 0.63 and less; others miss one of the four, a runner's steps 0.99 of the third."""
_FARTHER, _QUICKER = 0.8, 0.2
"""How much differences and pace tell of how far a step goes."""

_DOUBLING_PERIODS = (8.0, 7.5, 7.0, 6.5, 6.0, 5.5, 5.0, 4.5, 4.0, 3.0, 2.0)
"""Frames from one that is shown again to the next: 2 from 12 to 24 a second, 6 from 25 to 30, 6 or 7 from 24 to 28."""
_NEAR, _OFTEN, _ON = 0.6, 0.35, 0.7
"""How far off a period two doubled frames may be, and shares: of the places on the beat where one is doubled, and of
the doubled ones that are on it. Where little moves a doubled frame is not told."""
_LEAST_DOUBLED, _EMPTY_COUNTS = 5, 0.5
"""Frames on a beat, and how much a place on it counts against it where none is doubled."""
_DOUBLE_STEP, _STEP_DAMPING_LEVELS, _TRIMMED = 0.13, 0.3, 6
"""Logarithm of the step after a doubled frame over a usual one, the mean without a sixth at either end, from which that
frame was put in another's place. Of 12 real conversions -0.14 to 0.1, of 204 made of 68 real clips three reach it;
where every fifth, sixth or eighth frame of these clips was replaced all do."""


class Doubling(NamedTuple):
    """Frames that a conversion to a higher rate shows again, and nothing is missing."""

    period: float
    on: Flags
    """(T,) the doubled frames that are on the beat."""


class Beat(NamedTuple):
    """Indices of frames, rising."""

    period: int
    on: tuple[int, ...]
    """Those that a conversion left out a frame before."""
    lost: tuple[int, ...]
    """Those before which a frame was lost after that."""


def strides(step: Floats, pace: Floats) -> Floats:
    """(T,) logarithm of how much further each step goes than most around it: 0 as usual, 0.69 twice as far.

    `step` (T,) are differences from frame to frame, `pace` (T,) is that of `CameraPath`, NaN where it is not known.
    """
    if len(step) < 2 * _AROUND:
        return np.zeros(len(step))
    padded = np.pad(np.concatenate([step[1:2], step[1:]]), _AROUND, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _AROUND + 1)
    around = np.sort(np.delete(windows, _AROUND, axis=1), axis=1)[:, _LOWER_MIDDLE]
    further = np.log((step + _DAMPING_LEVELS) / (around + _DAMPING_LEVELS))
    quicker = np.log(np.clip(np.where(np.isfinite(pace), pace, 1.0), _LEAST_PACE, _MOST_PACE))
    return np.asarray(_FARTHER * further + _QUICKER * quicker, dtype=np.float64)


def beat_of(stride: Floats) -> Beat | None:
    """None where no beat is sure, or there are fewer than eight."""
    found = None
    most = 0.0
    for period in _PERIODS:
        worth, beat = _best_way((stride - _USUAL).tolist(), period)
        if worth > most:
            most, found = worth, beat
    if found is None or len(found.on) < _LEAST_BEATS:
        return None
    on = stride[list(found.on)]
    usual, others = float(np.median(on)), np.delete(stride, [*found.on, *found.lost])
    sure = float(np.mean(on > _USUAL)) >= _SURE and usual >= max(_LONG, _CLEAR * float(np.std(others)))
    return found if sure and len(found.lost) <= _RARELY_LOST * len(found.on) else None


def _best_way(worth: Sequence[float], period: int) -> tuple[float, Beat | None]:
    """What the best way of beats from one end to the other is worth, and that way."""
    if len(worth) <= period:
        return 0.0, None
    best, before, early_by = [-np.inf], [0], [0]
    for here, own in enumerate(worth[1:], 1):
        most, came, lost = (own, 0, 0) if here <= period else (-np.inf, 0, 0)
        for early in range(min(_MOST_LOST, (period - 1) // 2) + 1):
            at = here - period + early
            if at < 1:
                continue
            total = best[at] + own
            if early:
                between = worth[at + 1 : here]
                total += (max(between) if early == 1 else sum(sorted(between)[-early:])) - early * _PRICE
            if total > most:
                most, came, lost = total, at, early
        best.append(most)
        before.append(came)
        early_by.append(lost)
    at = max(range(len(worth) - period, len(worth)), key=best.__getitem__)
    total, gaps = best[at], []
    while at:
        gaps.append((before[at], at, early_by[at]))
        at = before[at]
    on = tuple(here for _, here, _ in reversed(gaps))
    return total, Beat(period, on, _lost(worth, on, gaps))


def _lost(worth: Sequence[float], on: Sequence[int], gaps: Sequence[tuple[int, int, int]]) -> tuple[int, ...]:
    """Of each gap (its two beats, how much too early the second comes) the frames whose steps go furthest.

    A beat goes further all the same; only what it does so more than others speaks for a frame that is lost there.
    """
    usual = float(np.median([worth[at] for at in on])) + _BETWEEN
    taken: set[int] = set()
    for first, second, early in gaps:
        inside = [at for at in range(max(1, first), second + 1) if at not in taken]
        beyond = {at: worth[at] - usual * (at in (first, second)) for at in inside}
        taken |= set(sorted(beyond, key=beyond.__getitem__, reverse=True)[:early])
    return tuple(sorted(taken))


def doubling_of(repeated: Flags, step: Floats) -> Doubling | None:
    """None where the frames that are shown again keep no beat, or stand where others are missing.

    Each frame of the beat has another one or two periods before or after; so a beat that one more frame shifts goes on.
    `step` (T,) are differences from frame to frame.
    """
    single = repeated.copy()
    for start, stop in runs(repeated):
        single[start + 1 : stop] = False
    places = np.flatnonzero(single)
    if len(places) < _LEAST_DOUBLED or _are_replaced(repeated, places, step):
        return None
    apart = np.abs(places[:, None] - places)
    np.fill_diagonal(apart, len(step))
    _, period = max((_worth(apart, one, len(step) / one), one) for one in _DOUBLING_PERIODS)
    on = int(_keeping(apart, period).sum())
    if on < max(_LEAST_DOUBLED, _ON * int(repeated.sum()), _OFTEN * len(step) / period):
        return None
    found = np.zeros_like(repeated)
    found[places[_keeping(apart, period)]] = True
    return Doubling(period, found)


def _worth(apart: NDArray[np.int64], period: float, room: float) -> float:
    """How many places keep a beat, less half of those of its `room` that are empty; even beats before uneven ones."""
    on = _keeping(apart, period)
    return float(on.sum()) - _EMPTY_COUNTS * max(0.0, room - float(on.sum())) - (period % 1) / 2


def _keeping(apart: NDArray[np.int64], period: float) -> Flags:
    """(N,) which of N places have another a period or two away, by how far `apart` (N, N) they are."""
    off = np.minimum(np.abs(apart - period), np.abs(apart - 2 * period))
    return np.asarray((off < _NEAR).any(axis=1), dtype=bool)


def _are_replaced(repeated: Flags, places: NDArray[np.int64], step: Floats) -> bool:
    """Whether the step after a doubled frame goes further than usual: then one is missing for it."""
    after = places[places + 1 < len(step)] + 1
    after = after[~repeated[after]]
    usual = around_of(step, ~repeated & ~behind(repeated), reach=8)
    over = np.log((step[after] + _STEP_DAMPING_LEVELS) / (usual[after] + _STEP_DAMPING_LEVELS))
    known = np.sort(over[np.isfinite(over)])
    ends = len(known) // _TRIMMED
    return len(known) > 0 and float(np.mean(known[ends : len(known) - ends])) > _DOUBLE_STEP
