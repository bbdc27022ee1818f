"""How much a frame, or two or three in a row, stick out of what comes before and after them.

A frame is spoiled where it differs from both sides although these agree, and where that difference is not what
moves there anyway. At the turning point of a clip that runs to and fro the two neighbours are the same picture, but so
are the frames beside them.
"""

from collections import deque
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.cells import cell_means, middle
from caf.qc.metrics.frames import SeenFrame
from caf.qc.metrics.novelty import Palette, novelty, palette_of, unfound
from caf.qc.metrics.piece import WHOLE, Piece

__all__ = ["LONGEST", "OutlierCollector", "Outliers"]

LONGEST = 3
"""Frames in a row that may stick out together."""
_GRID = 16
_TOP_CELLS, _TOP_CELLS_OF_A_PART, _TOP_CELLS_OF_A_TINT = 4, 2, 6
_FLOOR_LEVELS = 3.0
"""Grey levels, mean over a cell, below which a difference is the coder's or the grain's: these move a cell by 1-2."""
_COLOUR_FLOOR_LEVELS = 2.0
"""The same of a cell's mean colour, which motion changes far less than its tones."""
_MOVED_LEVELS = 0.5
_WORTH_A_LOOK_LEVELS = 1.5
"""So much must a cell of a run differ from both sides, beyond how these differ, to be looked at for new colours."""
_SAME_LIGHT = 0.002
_CHROMA_SIDE_PX = 64

Floats = NDArray[np.float64]
_Map = NDArray[np.float32]
_NEIGHBOURS = np.ones((3, 3), np.uint8)


@dataclass(frozen=True, slots=True)
class Outliers:
    """Per-frame series of a clip of T frames, in multiples of what moves in the same place just before and after."""

    excess: Floats
    """(LONGEST, T): row d is that of runs of d + 1 frames, each frame with its strongest run. Mean of the four
    strongest of 16x16 cells."""
    area: Floats
    """(LONGEST, T) share of the cells with an excess above 0.5, of the same run."""
    novelty: Floats
    """(LONGEST, T): colours of a limb's size that the run has and both sides have not, or the reverse."""
    part: Floats
    """(LONGEST, T) as `excess`, of the two strongest cells, where what moved for good beside them counts as usual."""
    tint: Floats
    """(LONGEST, T) as `excess`, of the six strongest cells and their colours alone; 0 but for single frames."""


class _Run(NamedTuple):
    """What `Outliers` says of one run."""

    excess: float = 0.0
    area: float = 0.0
    novelty: float = 0.0
    part: float = 0.0
    tint: float = 0.0


class _Lag(NamedTuple):
    """How two frames differ, per cell."""

    whole: _Map
    """Mean absolute grey difference in the same light, plus that of the cells' mean colours."""
    colour: _Map
    """The latter alone."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is remembered of a frame."""

    tiny: NDArray[np.float32]
    chroma: tuple[_Map, _Map]
    logs: _Map
    gain: float
    """Logarithm of the brightness relative to the frame before, as the median cell sees it."""
    palette: Palette
    step: _Lag | None
    """Difference to the frame before."""


class OutlierCollector:
    """Holds a dozen small frames and some maps of 16x16 numbers, whatever the clip's length."""

    def __init__(self, piece: Piece = WHOLE) -> None:
        self._piece = piece
        self._recent: deque[_Kept] = deque(maxlen=2 * LONGEST + 6)
        self._lags: dict[tuple[int, int], _Lag] = {}
        self._unfound: dict[int, _Map] = {}
        """What the step to a frame does not explain, where that was asked for."""
        self._runs: list[list[_Run]] = []
        """Of each frame its strongest run of each length."""
        self._frames = 0
        """One more than the newest frame's index."""

    def add(self, frame: SeenFrame) -> None:
        half = (max(1, frame.tiny.shape[1] // 2), max(1, frame.tiny.shape[0] // 2))
        tiny = np.asarray(cv2.resize(frame.tiny, half, interpolation=cv2.INTER_AREA), dtype=np.float32)
        # Eight grey levels keep the noise of black cells out of the ratio.
        logs = np.log(cell_means(tiny, _GRID) + np.float32(8.0))
        gain = middle(logs - self._recent[-1].logs) if self._recent else 0.0
        red, blue = (
            np.asarray(one, dtype=np.float32) for one in cv2.split(frame.chroma(_GRID, _CHROMA_SIDE_PX))
        )
        palette = palette_of(frame)
        step = _difference(tiny, (red, blue), self._recent[-1], gain) if self._recent else None
        logs = np.asarray(logs, dtype=np.float32)
        self._recent.append(_Kept(tiny, (red, blue), logs, gain, palette, step))
        if self._piece.holds(frame.index):
            self._runs.append([_Run()] * LONGEST)
        self._frames = frame.index + 1
        self._judge(self._frames)
        oldest = self._frames - len(self._recent)
        if oldest > 0:
            for back in range(2, 2 * LONGEST + 1):
                self._lags.pop((oldest + back, back), None)
            self._unfound.pop(oldest, None)

    def extend(self, later: Self) -> None:
        """Joins what was gathered of the piece after this one."""
        self._runs += later._runs
        self._recent, self._lags, self._unfound = later._recent, later._lags, later._unfound
        self._frames = later._frames
        self._piece = self._piece._replace(stop=later._piece.stop)

    def result(self) -> Outliers:
        # The last three frames were waiting for what comes after them.
        kept = [list(rows) for rows in self._runs]
        for beyond in range(1, 4):
            self._judge(self._frames + beyond)
        series = np.array(self._runs, dtype=np.float64).reshape(-1, LONGEST, len(_Run._fields)).T
        self._runs = kept
        return Outliers(*series)

    def _lag(self, index: int, back: int) -> _Lag | None:
        """Difference of frame `index` to the one `back` before it; None outside of the clip or of memory."""
        first = self._frames - len(self._recent)
        if index >= self._frames or index - back < first:
            return None
        if back == 1:
            return self._recent[index - first].step
        found = self._lags.get((index, back))
        if found is None:
            here, there = self._recent[index - first], self._recent[index - back - first]
            between = [self._recent[at - first].gain for at in range(index - back + 1, index + 1)]
            found = _difference(here.tiny, here.chroma, there, sum(between))
            self._lags[index, back] = found
        return found

    def _judge(self, frames: int) -> None:
        """The runs that end three frames before the newest of `frames`, so that three steps after them are known."""
        stop = frames - 4
        leave, later = self._lag(stop + 1, 1), [self._lag(stop + 2, 1), self._lag(stop + 3, 1)]
        if leave is None:
            return
        for length in range(1, LONGEST + 1):
            start = stop - length + 1
            entry, across = self._lag(start, 1), self._lag(stop + 1, length + 1)
            if start < 1 or entry is None or across is None:
                continue
            around = [self._lag(start - 2, 1), self._lag(start - 1, 1), *later]
            steps = [one for one in around if one is not None]
            if not steps:
                continue
            # What moves here now was next to here a frame ago.
            usual = cv2.dilate(reduce(cv2.max, [one.whole for one in steps]), _NEIGHBOURS)
            out_and_back = cv2.min(entry.whole, leave.whole)
            beyond = cv2.subtract(out_and_back, across.whole)
            new = self._new(start, stop) if float(beyond.max()) > _WORTH_A_LOOK_LEVELS else 0.0
            strength, share = _strongest(beyond, usual, _TOP_CELLS)
            # Something that passes by leaves one neighbouring place and arrives at another.
            moved = cv2.max(usual, 0.5 * cv2.dilate(across.whole, _NEIGHBOURS))
            part, _ = _strongest(cv2.scaleAdd(across.whole, -0.5, out_and_back), moved, _TOP_CELLS_OF_A_PART)
            tint = _tint(entry, leave, across, steps) if length == 1 else 0.0
            if max(strength, part, new, tint) > 0.0 and not self._is_turning(start, stop):
                self._note(start, stop, _Run(strength, share, new, part, tint))

    def _note(self, start: int, stop: int, run: "_Run") -> None:
        for at in range(start, stop + 1):
            if self._piece.holds(at):
                rows, length = self._runs[at - self._piece.start], stop - start
                known = rows[length]
                excess, area = max(run[:2], known[:2])
                rows[length] = _Run(excess, area, *map(max, run[2:], known[2:]))

    def _new(self, start: int, stop: int) -> float:
        """The novelty of the run; 0 where fewer than two steps around it are known."""
        first = self._frames - len(self._recent)
        # Of the oldest frame in memory it is not known what it came from.
        inside = [at for at in (start - 2, start - 1, stop + 2, stop + 3) if first < at < self._frames]
        if len(inside) < 2 or stop + 2 >= self._frames:
            return 0.0
        lost = np.max(np.stack([self._lost(at) for at in inside]), axis=0)
        run = [self._recent[at - first] for at in (start - 1, start, stop, stop + 1)]
        lightened = max(abs(run[1].gain), abs(run[3].gain))
        before, start_at, stop_at, after = (one.palette for one in run)
        return novelty(before, start_at, stop_at, after, usual=lost, lightened=lightened)

    def _lost(self, index: int) -> _Map:
        """What the step to frame `index` does not explain."""
        found = self._unfound.get(index)
        if found is None:
            at = index - self._frames + len(self._recent)
            found = self._unfound[index] = unfound(self._recent[at].palette, self._recent[at - 1].palette)
        return found

    def _is_turning(self, start: int, stop: int) -> bool:
        """Whether the clip runs back from here: two frames out on both sides are the same, though it moves."""
        before, wide = self._lag(start - 1, 1), self._lag(stop + 2, stop - start + 4)
        if before is None or wide is None:
            return False
        moved = float(before.whole.mean())
        return moved > _MOVED_LEVELS and float(wide.whole.mean()) < 0.5 * moved


def _tint(entry: _Lag, leave: _Lag, across: _Lag, steps: list[_Lag]) -> float:
    """How much the colours go and come back in a frame; where the tones do not come back, something moved."""
    beyond = cv2.scaleAdd(cv2.add(across.colour, across.whole), -0.5, cv2.min(entry.colour, leave.colour))
    if float(beyond.max()) <= 0.0:
        return 0.0
    usual = cv2.dilate(reduce(cv2.max, [one.colour for one in steps]), _NEIGHBOURS)
    return _strongest(beyond, usual, _TOP_CELLS_OF_A_TINT, _COLOUR_FLOOR_LEVELS)[0]


def _strongest(
    beyond: _Map, usual: _Map, cells: int, floor_levels: float = _FLOOR_LEVELS
) -> tuple[float, float]:
    """Mean of the strongest of so many cells, in multiples of what is usual there, and the share of cells above half.

    0 where no cell is above half of what is usual.
    """
    over = cv2.scaleAdd(usual, -0.5, beyond)
    if float(over.max()) <= 0.0:
        return 0.0, 0.0
    excess = over / (usual + np.float32(floor_levels))
    strength = float(np.mean(np.partition(excess, -cells, axis=None)[-cells:]))
    return max(0.0, strength), float(np.mean(excess > 0.5))


def _difference(tiny: _Map, chroma: tuple[_Map, _Map], other: _Kept, lighter: float) -> _Lag:
    """Of 16x16 cells. `lighter` is the logarithm of the brightness of the one over that of the other."""
    gain = np.float32(np.exp(min(0.4, max(-0.4, lighter))))
    lit = other.tiny if abs(lighter) < _SAME_LIGHT else other.tiny * gain
    grey = cell_means(np.asarray(cv2.absdiff(tiny, lit), dtype=np.float32), _GRID)
    red, blue = (cv2.absdiff(here, there * gain) for here, there in zip(chroma, other.chroma, strict=True))
    colour = np.asarray(cv2.add(red, blue), dtype=np.float32)
    return _Lag(np.asarray(cv2.add(grey, colour), dtype=np.float32), colour)
