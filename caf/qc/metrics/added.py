"""What a clip shows and its source does not at the same moment, and moments of the source that are missing.

Held against its own moment, a limb that is gone for two frames differs by all that it is, however fast it moves; alone
it differs from its neighbours no more than other things that move. What differs for longer (other colours, another
camera, what coding leaves) is usual there and does not count; nor does what was mended, which runs more evenly than
the source.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.findings import Flags, Floats
from caf.qc.metrics.mosaic import Mosaic
from caf.qc.metrics.passage import cheapest, passage_of

__all__ = ["Added", "added_of"]

_SAME_RATE = 0.02
_SLACK, _MOST_SHIFTED = 3, 60
"""Frames by which a moment may be early or late, beside those that one clip has more than the other."""
_SHIFT_LEVELS = 0.15
"""What being shifted by one more frame must gain, mean over the cells. Coding the same frame again: 0.2 to 1.2."""
_SAME_PICTURE, _ALIKE_SHARE = 0.9, 0.75
"""Correlation of the brightness over so many of the cells, those that are most alike; median of the frames. Of the same
clip coded again 1.00, steadied, shaken or with captions at least 0.99, much brighter 0.93; of another 0.44, at most
0.77."""
_FEWEST = 12
_AROUND = np.ones((7, 7), np.uint8)
_LENGTHS = (1, 2, 3, 4, 6, 8, 12)
"""Frames in a row that may differ together: held against its own moment, a longer run is no motion either."""
_REACH = 3
"""What differs within three cells and three frames is usual: a subject of another colour moves that far."""
_FLOOR_LEVELS = 3.0
_TOP_CELLS = 2
_USUAL_SHARE, _USUAL_EXCESS = 80, 0.1
"""Percentile of the frames' excess that is the clip's own. Coded again 0.03 to 0.1; where it shakes 0.5 and more."""
_LARGE_EXCESS = 0.5
_TOGETHER = 256
"""Frames that are held against others at a time: a quarter of a million cells."""

Indices = NDArray[np.int64]
_Cells = NDArray[np.float16]
_Levels = NDArray[np.float32]


class Added(NamedTuple):
    """Of a clip of T frames."""

    excess: Floats
    """(T,) how far a run of one to twelve frames differs from the source beyond what is usual around it, in multiples
    of that and three levels: mean of the two strongest of 16x16 cells. Less in a clip in which all frames do."""
    area: Floats
    """(T,) share of the cells with an excess above 0.5, of the same run."""
    doubled: Flags
    """(T,) of `Passage`; False where the rates differ."""
    lost: Flags
    """(T,) of `Passage`; False where the rates differ."""


def added_of(clip: Mosaic, source: Mosaic, beat: Callable[[], None] = lambda: None) -> Added | None:
    """None where the two do not show the same pictures, or are shorter than twelve frames.

    `beat` is called now and then: of many frames it takes minutes.
    """
    frames, others = len(clip.time_s), len(source.time_s)
    if min(frames, others) < _FEWEST:
        return None
    same_rate = abs(_interval_s(clip) / max(_interval_s(source), 1e-9) - 1) < _SAME_RATE
    later, sooner = (min(_MOST_SHIFTED, max(0, more)) for more in (others - frames, frames - others))
    shifts = np.arange(-sooner - _SLACK, later + _SLACK + 1) if same_rate else np.arange(-1, 2)
    nominal = np.searchsorted((source.time_s[1:] + source.time_s[:-1]) / 2, clip.time_s)
    cost = _costs(clip, source, nominal, shifts, beat)
    moment = nominal + shifts[_path(cost, nominal, shifts)]
    if not (moment.min() >= 0 and moment.max() < others) or not _is_same(clip, source, moment):
        return None
    doubled, lost = np.zeros((2, frames), dtype=bool)
    if same_rate:
        beat()
        moment, doubled, lost = passage_of(clip, source, moment)
    excess, area = _excess(clip, source, moment, beat)
    usual = float(np.percentile(excess, _USUAL_SHARE)) / _USUAL_EXCESS
    return Added(excess / max(1.0, usual), area, doubled, lost)


def _interval_s(mosaic: Mosaic) -> float:
    return float(np.median(np.diff(mosaic.time_s)))


def _unlike(one: _Cells, other: _Cells) -> _Levels:
    """(..., 16, 16) levels by which cells differ, all channels, whatever the light of the whole picture does."""
    apart = one.astype(np.float32) - other.astype(np.float32)
    apart[..., 0] -= np.median(apart[..., 0], axis=(-2, -1), keepdims=True)
    return np.asarray(np.abs(apart).sum(axis=-1), dtype=np.float32)


def _costs(
    clip: Mosaic, source: Mosaic, nominal: Indices, shifts: Indices, beat: Callable[[], None]
) -> Floats:
    """(T, S) how unlike each frame is to those of the source around its time; inf where there are none."""
    cost = np.full((len(nominal), len(shifts)), np.inf)
    for column, shift in enumerate(shifts):
        there = nominal + shift
        inside = np.flatnonzero((there >= 0) & (there < len(source.time_s)))
        for start in range(0, len(inside), _TOGETHER):
            beat()
            some = inside[start : start + _TOGETHER]
            unlike = _unlike(clip.cells[some], source.cells[there[some]])
            cost[some, column] = unlike.mean(axis=(1, 2))
    return cost


def _path(cost: Floats, nominal: Indices, shifts: Indices) -> Indices:
    """(T,) the column of each frame's moment: together they cost least, with no step back in time and few shifts."""
    apart = shifts[None, :] - shifts[:, None]
    penalty = _SHIFT_LEVELS * np.abs(apart)
    return cheapest(
        cost,
        lambda at: penalty + np.where(nominal[at] - nominal[at - 1] + apart < 0, np.inf, 0.0),
    )


def _is_same(clip: Mosaic, source: Mosaic, moment: Indices) -> bool:
    looked_at = np.unique(
        np.linspace(0, len(moment) - 1, min(_TOGETHER, len(moment))).round().astype(np.int64)
    )
    here, there = (
        cells[..., 0].reshape(len(looked_at), -1).astype(np.float64)
        for cells in (clip.cells[looked_at], source.cells[moment[looked_at]])
    )
    apart = here - there
    apart = np.abs(apart - np.median(apart, axis=1, keepdims=True))
    nearest = np.argsort(apart, axis=1, kind="stable")[:, : round(_ALIKE_SHARE * apart.shape[1])]
    here, there = (np.take_along_axis(one, nearest, axis=1) for one in (here, there))
    here, there = here - here.mean(axis=1, keepdims=True), there - there.mean(axis=1, keepdims=True)
    spread = np.sqrt(np.sum(here**2, axis=1) * np.sum(there**2, axis=1))
    alike = np.sum(here * there, axis=1) / np.maximum(spread, 1e-9)
    return bool(np.median(alike) >= _SAME_PICTURE)


def _excess(clip: Mosaic, source: Mosaic, moment: Indices, beat: Callable[[], None]) -> tuple[Floats, Floats]:
    """(T,) excess and area as `Added` has them, before what is the clip's own."""
    frames, around = len(moment), max(_LENGTHS) + _REACH
    excess, area = np.zeros(frames), np.zeros(frames)
    for start in range(0, frames, _TOGETHER):
        beat()
        first, stop = max(0, start - around), min(frames, start + _TOGETHER)
        some = slice(first, min(frames, stop + around))
        found = _excess_of(clip.cells[some], source.cells[moment[some]])
        excess[start:stop], area[start:stop] = (one[start - first : stop - first] for one in found)
    return excess, area


def _excess_of(here: _Cells, there: _Cells) -> tuple[Floats, Floats]:
    """The same of frames that follow each other, of the clip's cells and those of the same moments of the source."""
    unlike, frames = _unlike(here, there), len(here)
    around = np.stack([cv2.dilate(one, _AROUND) for one in unlike])
    nothing = np.zeros((max(_LENGTHS) + _REACH, *unlike.shape[1:]), np.float32)
    around = np.concatenate([nothing, around, nothing])
    excess, area = np.zeros(frames), np.zeros(frames)
    for length in _LENGTHS:
        if length + 2 > frames:
            break
        # The first frame and the last have no other side.
        starts = np.arange(1, frames - length)
        run = np.min([unlike[starts + step] for step in range(length)], axis=0)
        beside = [*range(-_REACH, 0), *range(length, length + _REACH)]
        usual = np.max([around[starts + len(nothing) + step] for step in beside], axis=0)
        over = ((run - usual) / (usual + np.float32(_FLOOR_LEVELS))).reshape(len(starts), -1)
        strength = np.partition(over, -_TOP_CELLS, axis=1)[:, -_TOP_CELLS:].mean(axis=1)
        strength[_is_mended(here, there, starts, length, over)] = 0.0
        share = (over > _LARGE_EXCESS).mean(axis=1)
        for step in range(length):
            stronger = strength > excess[starts + step]
            excess[starts[stronger] + step] = strength[stronger]
            area[starts[stronger] + step] = share[stronger]
    return excess, area


def _is_mended(here: _Cells, there: _Cells, starts: Indices, length: int, over: _Levels) -> Flags:
    """(R,) whether in the runs' cells the clip goes from the frame before to the one after more evenly than the source.

    `over` is (R, 256) the excess of the cells, by which they count.
    """
    weight = np.maximum(over, np.float32(0))
    bumps = []
    for cells in (here, there):
        inside = np.mean([cells[starts + step].astype(np.float32) for step in range(length)], axis=0)
        sides = (cells[starts - 1].astype(np.float32) + cells[starts + length].astype(np.float32)) / 2
        bumps.append(np.sum(weight * np.abs(inside - sides).sum(axis=-1).reshape(len(starts), -1), axis=1))
    return np.asarray(bumps[0] < bumps[1], dtype=bool)
