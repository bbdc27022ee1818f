"""Fades: light that goes from one level to another in a while, between times in which it rests, is meant to.

Editors fade by a straight line of the gain, often within half a second. Its logarithm has a corner at both ends, and
none at all in black, so that no smooth course follows it. Here the gain is cut into straight pieces, as few as the
flicker allows (dynamic programming as for change points: Jackson et al., "An algorithm for optimal partitioning of
data on an interval", 2005), and those that lead from rest to rest are taken for fades.
"""

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["fade_course"]

_LEAST = 4
_LONGEST_S = 20.0
_DEAR = 6.0
"""A further piece costs so many times the logarithm of the length, in variances of the flicker: twice the usual."""
_FINEST = 0.003
_MOVING, _MOVING_PER_S = 0.06, 0.2
_FADED = 0.25
"""A log change that is seen as one; smaller ones the smooth courses follow."""
_REST_S = 0.35
_MOST_WAYS = 2
"""Out and in again; light that goes to and fro more often is a flicker, however slow."""

Series = NDArray[np.float64]


class _Piece(NamedTuple):
    start: int
    stop: int
    first: float
    last: float
    """Gain of the straight line at its first and its last frame."""

    def way(self, fps: float) -> int:
        """1 brighter, -1 darker, 0 at rest."""
        change = float(np.log(self.last / self.first))
        still = abs(change) < max(_MOVING, _MOVING_PER_S * (self.stop - self.start) / fps)
        return 0 if still else 1 if change > 0 else -1


def fade_course(light: Series, fps: float) -> Series:
    """(T,) the part of the log light (T,) of one shot that its fades are, 0 in the first frame; else zeros."""
    course = np.zeros_like(light)
    if len(light) < 2 * _LEAST:
        return course
    shape = np.exp(light - light.max())
    # Of any number of frames there are pieces that are not shorter than the least, however slow the clip is.
    pieces = _pieces(shape, min(len(light), max(2 * _LEAST, round(_LONGEST_S * fps))))
    ways = [piece.way(fps) for piece in pieces]
    at = 0
    while at < len(pieces):
        if ways[at] == 0:
            at += 1
            continue
        end = at
        while end < len(pieces) and ways[end] != 0:
            end += 1
        if _is_fade(pieces, ways, at, end, fps):
            course += _drawn(shape, pieces, at, end)
        at = end
    return np.asarray(course - course[0])


def _is_fade(pieces: list[_Piece], ways: list[int], at: int, end: int, fps: float) -> bool:
    """Whether the pieces from `at` to `end` lead from rest to rest, or to an end of the shot."""
    turns = 1 + sum(one != other for one, other in itertools.pairwise(ways[at:end]))
    highest = max(max(piece.first, piece.last) for piece in pieces[at:end])
    lowest = min(min(piece.first, piece.last) for piece in pieces[at:end])
    if turns > _MOST_WAYS or np.log(highest / lowest) < _FADED:
        return False
    beside = [
        rest for rest in (_rest(pieces[:at][::-1], ways[:at][::-1]), _rest(pieces[end:], ways[end:])) if rest
    ]
    if any(rest < _REST_S * fps for rest in beside):
        return False
    return bool(beside) and (turns == 1 or len(beside) == 2)


def _rest(pieces: list[_Piece], ways: list[int]) -> int:
    """Frames that the light rests, from the first piece on."""
    moving = next((at for at, way in enumerate(ways) if way != 0), len(ways))
    return sum(piece.stop - piece.start for piece in pieces[:moving])


def _pieces(shape: Series, longest: int) -> list[_Piece]:
    """The straight pieces of the gain (T,) that together with what they cost are farthest from it the least."""
    count = len(shape)
    bends = np.diff(np.log(shape), 2)
    noise = max(1.4826 * float(np.median(np.abs(bends))) / np.sqrt(6.0), _FINEST)
    price = _DEAR * np.log(count) * noise**2
    time = np.arange(count) / count
    weight = shape**-2.0
    sums = np.vstack((weight, weight * time, weight * time**2, 1 / shape, time / shape, np.ones(count)))
    sums = np.hstack((np.zeros((6, 1)), np.cumsum(sums, axis=1)))
    best = np.full(count + 1, np.inf)
    best[0], before = -price, np.zeros(count + 1, np.intp)
    for stop in range(_LEAST, count + 1):
        starts = np.arange(max(0, stop - longest), stop - _LEAST + 1)
        costs = best[starts] + price + _lines(sums[:, stop, None] - sums[:, starts])[2]
        least = int(np.argmin(costs))
        best[stop], before[stop] = costs[least], starts[least]
    found, stop = [], count
    while stop > 0:
        start = int(before[stop])
        offset, slope, _ = _lines(sums[:, stop] - sums[:, start])
        ends = np.maximum(offset + slope * time[[start, stop - 1]], 1e-3)
        found.append(_Piece(start, stop, float(ends[0]), float(ends[1])))
        stop = start
    return found[::-1]


def _lines(sums: Series) -> tuple[Series, Series, Series]:
    """Offset and slope of lines through gains, whose errors are relative, and the sums of these squared."""
    w, wt, wtt, wg, wtg, wgg = sums
    spread = np.maximum(w * wtt - wt**2, 1e-300)
    slope = (w * wtg - wt * wg) / spread
    offset = (wg - slope * wt) / w
    return offset, slope, np.maximum(wgg - offset * wg - slope * wtg, 0.0)


def _drawn(shape: Series, pieces: list[_Piece], at: int, end: int) -> Series:
    """(T,) the log gain of the pieces from `at` to `end`, joined to each other and to the rest beside them."""
    count = len(shape)
    knots = [float(pieces[at].start) if at == 0 else _joint(pieces[at - 1], pieces[at])]
    for one, other in itertools.pairwise(pieces[at:end]):
        knots.append(max(_joint(one, other), knots[-1] + 1.0))
    last = float(pieces[end - 1].stop - 1) if end == len(pieces) else _joint(pieces[end - 1], pieces[end])
    knots.append(max(last, knots[-1] + 1.0))
    first, stop = pieces[max(at - 1, 0)].start, pieces[min(end, len(pieces) - 1)].stop
    basis = np.stack([np.interp(np.arange(count), knots, unit) for unit in np.eye(len(knots))], axis=1)
    near = np.s_[first:stop]
    values = np.linalg.lstsq(basis[near] / shape[near, None], np.ones(stop - first), rcond=None)[0]
    return np.asarray(np.log(np.maximum(basis @ values, 1e-3)))


def _joint(one: _Piece, other: _Piece) -> float:
    """Where the lines of two neighbours cross; between them if that is far away."""
    middle = other.start - 0.5
    slopes = [(piece.last - piece.first) / max(1, piece.stop - 1 - piece.start) for piece in (one, other)]
    if slopes[0] == slopes[1]:
        return middle
    gap = (one.last + slopes[0] * (middle - one.stop + 1)) - (
        other.first + slopes[1] * (middle - other.start)
    )
    return middle + float(np.clip(gap / (slopes[1] - slopes[0]), -1.5, 1.5))
