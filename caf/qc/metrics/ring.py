"""A ring drawn around something, in a clip alone: a long thin stroke of one colour that no drawn thing would make.

Lines of rooms and things are straight, or stay where they are. Folds, stripes and hair make short strokes, or many
that run together. Letters stand in a row. Cables have the same behind them on both sides, outlines have not. What is
left, of one strength all along and in most moments, is a rim that was left over or put on.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.lanes import side_by_side
from caf.qc.metrics.samples import Sample, spread
from caf.qc.metrics.scoring import Calibration, calibrate
from caf.qc.metrics.strokes import Strokes, strokes_of

__all__ = ["drawn_rings", "lasting_lab"]

_MOMENTS, _LEAST_MOMENTS = 4, 2
_SHORTEST = 0.2
"""Of the picture's short side, as all lengths here."""
_LENGTH: Calibration = ((0.2, 0.0), (1.5, 1.0))
_LONGER_SIDE: Calibration = ((0.15, 0.0), (0.35, 1.0))
_SHORTER_SIDE: Calibration = ((0.0, 0.0), (0.1, 1.0))
# Share of the points that lie at the outside of the stroke, seen from its middle: 1 of a ring, a third of a tangle.
_OUTSIDE: Calibration = ((0.5, 0.0), (0.9, 1.0))
_OUTER, _SECTORS = 0.8, 24
# How far the strength varies along it, of its mean: rings 0.1 to 0.3, folds 0.4 to 0.8.
_UNEVEN: Calibration = ((0.2, 1.0), (0.6, 0.0))
# CIE L*a*b* distance between what is on both sides of it, and its share of the stroke's own distance from both.
_APART: Calibration = ((5.0, 0.0), (25.0, 1.0))
_APART_SHARE: Calibration = ((0.2, 0.0), (0.6, 1.0))
# Share of the points on the four straight lines that hold the most of them.
_STRAIGHT: Calibration = ((0.8, 1.0), (0.97, 0.0))
_LINES, _TURNS, _BAND_PX = 4, 48, 1.5
# Share of darkness in the colour: shadows lie along outlines by nature, and the lines of drawn figures are dark.
_DARK: Calibration = ((0.5, 1.0), (0.85, 0.05))
_COLOURED = 0.5
"""So much more a stroke of pure colour counts than a white one: light falls on outlines by nature."""
_STILL = 0.8
"""So much less what stays where it is counts."""
_SAME_COLOUR = 0.5
_LEAST_LETTERS, _ON_A_LINE, _SAME_INK = 3, 0.02, 0.9
_SHORTEST_PIECE, _NEAR, _AS_STRONG = 0.08, 0.08, 0.4
_PIECED = 0.5
"""So much a ring counts that is put together from pieces: folds and stripes lie near each other too."""
_STRONGEST_LAB = 30.0
_WEAKEST = 5
_NOTHING_LAB = 0.03

Floats = NDArray[np.float32]
Points = NDArray[np.int64]


def drawn_rings(samples: Sequence[Sample], workers: int = 1) -> list[tuple[float, int]]:
    """(CIE L*a*b* distance of what looks most like a drawn ring, index of the sample) of some moments, the least first.

    0 where nothing looks like one.
    """
    moments = spread(list(samples), _MOMENTS)
    every = side_by_side(lambda sample: strokes_of(sample.image), moments, workers)
    return sorted(
        (_ring_lab(strokes, every), sample.index) for strokes, sample in zip(every, moments, strict=True)
    )


def lasting_lab(labs: Sequence[float]) -> float:
    """Half the mean and half the median over the moments; 0 for fewer than two of them.

    A faint ring is not found in every moment, and what only looks like one is found in few.
    """
    return float(np.mean(labs) + np.median(labs)) / 2 if len(labs) >= _LEAST_MOMENTS else 0.0


def _ring_lab(strokes: Strokes, every: Sequence[Strokes]) -> float:
    best = 0.0
    for points, counts in _candidates(strokes):
        shape = counts * _shape(strokes, points)
        lab = shape * _strength_lab(strokes, points) if shape else 0.0
        if lab > max(best, _NOTHING_LAB):
            lab *= 1 - _STILL * _still(strokes, points, every)
            best = max(best, lab * calibrate(_straight(strokes, points), _STRAIGHT))
    return best


def _candidates(strokes: Strokes) -> list[tuple[Points, float]]:
    """The points of long strokes, and of strokes of one colour that lie near each other; how much each counts."""
    side = min(strokes.shape)
    order = np.argsort(strokes.stroke, kind="stable")
    starts = np.flatnonzero(np.diff(strokes.stroke[order], prepend=-1))
    least, ends = max(1, _SHORTEST_PIECE * side), (*starts[1:].tolist(), len(order))
    pieces = [
        order[start:end] for start, end in zip(starts.tolist(), ends, strict=False) if end - start >= least
    ]
    if not pieces:
        return []
    starts = np.cumsum([0, *(len(piece) for piece in pieces[:-1])])
    points = np.concatenate(pieces)
    rows, columns = np.divmod(strokes.places[points], strokes.shape[1])
    size = np.array([len(piece) for piece in pieces])
    colour = np.add.reduceat(strokes.colours[points].astype(np.float64), starts) / size[:, None]
    top, bottom = np.minimum.reduceat(rows, starts), np.maximum.reduceat(rows, starts)
    left, right = np.minimum.reduceat(columns, starts), np.maximum.reduceat(columns, starts)
    length = np.sqrt(np.einsum("ij,ij->i", colour, colour))
    alike = np.einsum("ik,jk->ij", colour, colour) > _SAME_INK * np.outer(length, length)
    on_a_line = alike & (np.abs(bottom[:, None] - bottom) <= _ON_A_LINE * side)
    long_ones = size >= _SHORTEST * side
    letters = (on_a_line & long_ones).sum(axis=1) >= _LEAST_LETTERS
    found = [(pieces[which], 1.0) for which in np.flatnonzero(long_ones & ~letters)]
    down = np.maximum(top[:, None] - bottom, top - bottom[:, None])
    across = np.maximum(left[:, None] - right, left - right[:, None])
    strong = np.minimum(length[:, None], length) > _AS_STRONG * np.maximum(length[:, None], length)
    group = _groups(alike & strong & (np.maximum(down, across) <= _NEAR * side))
    for number in np.unique(group):
        members = np.flatnonzero(group == number)
        in_a_row = on_a_line[np.ix_(members, members)].sum(axis=1).max() >= _LEAST_LETTERS
        if len(members) > 1 and not in_a_row:
            found.append((np.sort(np.concatenate([pieces[which] for which in members])), _PIECED))
    return found


def _groups(joined: NDArray[np.bool_]) -> Points:
    """(N,) the smallest number of those that each is joined to, by whatever way; `joined` (N, N)."""
    group = np.arange(len(joined))
    while True:
        smallest = np.where(joined, group, len(joined)).min(axis=1)
        if np.array_equal(smallest, group):
            return group
        group = smallest


def _shape(strokes: Strokes, points: Points) -> float:
    """0..1: how much the points lie as a ring or a large part of one does."""
    side = min(strokes.shape)
    rows, columns = np.divmod(strokes.places[points], strokes.shape[1])
    tall, wide = (int(np.ptp(along)) + 1 for along in (rows, columns))
    y, x = ((2.0 * along - along.min() - along.max()) for along in (rows, columns))
    y, x = y / (tall + 1), x / (wide + 1)
    size = (
        calibrate(len(points) / side, _LENGTH)
        * calibrate(max(tall, wide) / side, _LONGER_SIDE)
        * calibrate(min(tall, wide) / side, _SHORTER_SIDE)
    )
    if size == 0:
        return 0.0
    sector = ((np.arctan2(y, x) + np.pi) * (_SECTORS / (2 * np.pi))).astype(np.int64) % _SECTORS
    away = np.hypot(y, x)
    farthest = np.zeros(_SECTORS)
    np.maximum.at(farthest, sector, away)
    return size * calibrate(float(np.mean(away > _OUTER * farthest[sector])), _OUTSIDE)


def _strength_lab(strokes: Strokes, points: Points) -> float:
    """What four fifths of the points have at least, less where it is uneven, dark, or the same on both sides."""
    apart = float(np.sort(strokes.apart[points])[len(points) // 2])
    beside = calibrate(apart, _APART)
    if beside == 0:
        return 0.0
    colours, between = strokes.colours[points].astype(np.float64), strokes.between[points].astype(np.float64)
    size = np.sqrt(np.einsum("ij,ij->i", colours, colours))
    rising = np.sort(size)
    usual = float(rising[len(points) // 2])
    mean = colours.mean(axis=0)
    length = max(1e-6, float(np.sqrt(mean @ mean)))
    coloured = float(np.hypot(mean[1], mean[2])) / length
    uneven = min(float(size.std() / size.mean()), _unexplained(colours, between) / usual)
    return (
        min(_STRONGEST_LAB, float(rising[len(points) // _WEAKEST]))
        * beside
        * calibrate(apart / usual, _APART_SHARE)
        * calibrate(uneven, _UNEVEN)
        * calibrate(-float(mean[0]) / length, _DARK)
        * (1 + _COLOURED * coloured)
    )


def _unexplained(colours: NDArray[np.float64], between: NDArray[np.float64]) -> float:
    """What one colour, laid over everything with one opacity, leaves of the stroke's own, root of the mean square.

    So a half transparent white line is even although it stands out less where it runs over white.
    """
    below = between - between.mean(axis=0)
    seen = below + colours - colours.mean(axis=0)
    through = float((below * seen).sum()) / max(1e-6, float((below * below).sum()))
    return float(np.sqrt(((seen - min(1.0, max(0.0, through)) * below) ** 2).sum(axis=1).mean()))


def _still(strokes: Strokes, points: Points, every: Sequence[Strokes]) -> float:
    """Share of the points that have a point of the same colour in the same place, median over the other moments."""
    width = strokes.shape[1]
    colours, places = strokes.colours[points], strokes.places[points]
    near = _SAME_COLOUR**2 * np.einsum("ij,ij->i", colours, colours)
    around = [places + down * width + right for down in (-1, 0, 1) for right in (-1, 0, 1)]
    shares = []
    for other in every:
        if other is strokes or other.shape != strokes.shape or len(other.places) == 0:
            continue
        found = np.zeros(len(points), dtype=bool)
        for place in around:
            at = np.minimum(np.searchsorted(other.places, place), len(other.places) - 1)
            off = other.colours[at] - colours
            found |= (other.places[at] == place) & (np.einsum("ij,ij->i", off, off) < near)
        shares.append(float(found.mean()))
    return float(np.median(shares)) if shares else 0.0


def _straight(strokes: Strokes, points: Points) -> float:
    """Share of the points that the four best straight lines hold."""
    rows, columns = np.divmod(strokes.places[points], strokes.shape[1])
    turns = np.arange(_TURNS) * (np.pi / _TURNS)
    along = np.outer(rows - rows.min(), np.sin(turns)) + np.outer(columns - columns.min(), np.cos(turns))
    band = ((along - along.min(axis=0)) / _BAND_PX).astype(np.int64)
    bands = int(band.max()) + 2
    left = np.ones(len(points), dtype=bool)
    for _ in range(_LINES):
        counts = np.bincount((band[left] + bands * np.arange(_TURNS)).ravel(), minlength=bands * _TURNS)
        pairs = counts + np.append(counts[1:], 0)
        # The last band of a turn is empty and has no neighbour.
        pairs[bands - 1 :: bands] = 0
        turn, first = divmod(int(np.argmax(pairs)), bands)
        left &= (band[:, turn] != first) & (band[:, turn] != first + 1)
    return 1 - float(left.mean())
