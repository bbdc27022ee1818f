"""How much brighter or darker one frame is than another that shows mostly the same, whatever moves in them."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.engines.ranks import median, quantile
from caf.engines.scene import evenly, overlaid
from caf.media.planes import shrunk as made_small

__all__ = ["Gain", "Small", "gain_between", "shrunk"]

_SMALL = (96, 54)
_DARK, _BRIGHT = 14.0, 238.0  # outside, clipping hides the gain
_LEAST_SHARE = 0.05
_ROUNDS = 2
_FLAT_SHARE = 0.5
_REJECTED = 3.0
_TIGHTEST = 0.04
"""An encoder keeps old cells and darkens others too much: all those count, what moved is farther off."""
_STILL = 0.004
"""Two pictures that agree as well as this, as a log ratio, need not be laid over each other."""
_STEEPEST = 1.5
"""A log gain that rises faster with the level would be a power of seven or more: the pictures show other things."""
_ALIKE = 0.02
"""Pictures that agree less were laid over each other a little wrongly, or show other things."""

Small = NDArray[np.float32]
"""(h, w, 3) mean grey levels of the frame's cells, BGR."""
Series = NDArray[np.float64]


class Gain(NamedTuple):
    """Log ratio of one frame's levels to another's: as one factor a channel, and as a factor and a power."""

    factors: Series
    """(3,) log gain B, G, R where no power is assumed."""
    at_pivot: Series
    """(3,) log gain B, G, R where the mean of both frames' log levels is the pivot, beside `slope`."""
    slope: float
    """How much the log gain rises with that mean: what a change of gamma does."""
    spread: float
    """How far the cells disagree, as a standard deviation."""
    cells: int


def shrunk(image: NDArray[np.uint8]) -> Small:
    """The frame's cells; averaged, so that grain and coding noise drop out."""
    return np.asarray(made_small(image, _SMALL), np.float32)


def gain_between(before: Small, after: Small, pivot: float) -> Gain | None:
    """The light of `after` over that of `before`; None where too little is neither black nor white, or no light tells
    what is between them.

    Compared in place, and laid over each other if the camera moved: the closer agreement counts, because a
    shift that a moving subject feigns would blur what stands still. `pivot` is a log level.
    """
    apart = _disagreement(before, after)
    if apart >= _STILL:
        laid = overlaid(before, after)
        again = _disagreement(*laid)
        if again < apart:
            before, after, apart = *laid, again
    told = _flattest(before, after) if apart >= _ALIKE else _every_other_row(before)
    return _measured(before[told], after[told], pivot)


def _disagreement(before: Small, after: Small) -> float:
    a, b = before[::2, :, 1], after[::2, :, 1]
    usable = _usable(a, b)
    return _spread(np.log(b[usable] / a[usable])) if _enough(usable) else np.inf


def _every_other_row(small: Small) -> NDArray[np.bool_]:
    """Enough, and half the work."""
    chosen = np.zeros(small.shape[:2], np.bool_)
    chosen[::2] = True
    return chosen


def _flattest(before: Small, after: Small) -> NDArray[np.bool_]:
    """Cells beside which the picture hardly changes: a shift that is a little wrong tells there nothing false."""
    steep = np.maximum(_steepness(before), _steepness(after))
    usable = _usable(before[..., 1], after[..., 1])
    usable = usable if _enough(usable) else np.ones_like(usable)
    return np.asarray(usable & (steep <= quantile(steep[usable], _FLAT_SHARE)))


def _steepness(small: Small) -> Small:
    light = np.log(np.maximum(evenly(small), 1.0))
    across, down = cv2.Sobel(light, cv2.CV_32F, 1, 0), cv2.Sobel(light, cv2.CV_32F, 0, 1)
    return np.asarray(np.abs(across) + np.abs(down), np.float32)


def _usable(a: Small, b: Small) -> NDArray[np.bool_]:
    return (a > _DARK) & (a < _BRIGHT) & (b > _DARK) & (b < _BRIGHT)


def _enough(usable: NDArray[np.bool_]) -> bool:
    return bool(np.count_nonzero(usable) >= _LEAST_SHARE * usable.size)


def _spread(ratio: Small) -> float:
    return 1.4826 * median(np.abs(ratio - np.float32(median(ratio))))


class _Crowd(NamedTuple):
    """What most cells of a channel agree on."""

    factor: float
    level: float
    spread: float
    levels: Small
    """(n,) of the cells, less `level`."""
    ratios: Small


def _measured(before: Small, after: Small, pivot: float) -> Gain | None:
    """Of cells (n, 3)."""
    crowds: dict[int, _Crowd] = {}
    for channel in range(3):
        a, b = np.ascontiguousarray(before[..., channel]), np.ascontiguousarray(after[..., channel])
        usable = _usable(a, b)
        if _enough(usable):
            crowds[channel] = _crowd(np.log(a[usable]), np.log(b[usable]))
    if not crowds:
        return None
    found = list(crowds.values())
    spread = max(crowd.spread for crowd in found)
    slope = _slope(
        np.concatenate([c.levels for c in found]), np.concatenate([c.ratios for c in found]), spread
    )
    if abs(slope) >= _STEEPEST:
        return None
    # A channel that is black or burnt out throughout changes as the others do.
    usual = sum(c.factor for c in found) / len(found), sum(c.level for c in found) / len(found)
    each = [(crowds[c].factor, crowds[c].level) if c in crowds else usual for c in range(3)]
    factor, level = np.array(each).T
    return Gain(factor, factor - slope * (level - pivot), slope, spread, min(len(c.levels) for c in found))


def _crowd(first: Small, then: Small) -> _Crowd:
    """The ratio that most cells, of these log levels, agree on, and their mean level.

    Cells that something moved through have other ratios, not on both sides alike, and so would pull a median:
    those far from the crowd count nothing (Tukey's biweight).
    """
    # Over the mean of both levels: over one of them its own error would bend the line.
    ratio, level = then - first, np.float32(0.5) * (first + then)
    factor = median(ratio)
    spread = 1.4826 * median(np.abs(ratio - np.float32(factor)))
    reach = max(_REJECTED * spread, _TIGHTEST)
    trust = _trust(_less(ratio, factor), reach)
    for _ in range(_ROUNDS):
        factor = float(trust @ ratio) / max(float(trust.sum()), 1e-6)
        trust = _trust(_less(ratio, factor), reach)
    usual = float(trust @ level) / max(float(trust.sum()), 1e-6)
    return _Crowd(factor, usual, spread, _less(level, usual), _less(ratio, factor))


def _slope(level: Small, ratio: Small, spread: float) -> float:
    """Of the line through zero that most cells agree on."""
    slope, reach = 0.0, max(_REJECTED * spread, _TIGHTEST)
    for _ in range(_ROUNDS):
        weighted = _trust(ratio - np.float32(slope) * level, reach) * level
        # Where all levels are alike nothing tells a power from a factor.
        slope = float(weighted @ ratio) / (float(weighted @ level) + 3e-3 * len(level))
    return slope


def _less(series: Small, amount: float) -> Small:
    return np.asarray(series - np.float32(amount), np.float32)


def _trust(rest: Small, reach: float) -> Small:
    inside = np.maximum(np.float32(0.0), 1.0 - (rest / np.float32(reach)) ** 2)
    return np.asarray(inside * inside, np.float32)
