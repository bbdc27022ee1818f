"""How much a frame, or two or three in a row, stick out of what comes before and after them.

A frame is spoiled where it differs from both sides although these agree, and where that difference is not what
moves there anyway. At the turning point of a clip that runs to and fro the two neighbours are the same picture, but so
are the frames beside them.
"""

from collections import deque
from dataclasses import dataclass
from functools import reduce
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.frames import SeenFrame
from caf.qc.metrics.piece import WHOLE, Piece

__all__ = ["LONGEST", "OutlierCollector", "Outliers"]

LONGEST = 3
"""Frames in a row that may stick out together."""
_GRID = 16
_TOP_CELLS = 4
_FLOOR_LEVELS = 3.0
"""Grey levels, mean over a cell, below which a difference is the coder's or the grain's: these move a cell by 1-2."""
_MOVED_LEVELS = 0.5
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


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is remembered of a frame."""

    tiny: NDArray[np.float32]
    chroma: tuple[_Map, _Map]
    logs: _Map
    gain: float
    """Logarithm of the brightness relative to the frame before, as the median cell sees it."""


class OutlierCollector:
    """Holds a dozen small frames and some maps of 16x16 numbers, whatever the clip's length."""

    def __init__(self, piece: Piece = WHOLE) -> None:
        self._piece = piece
        self._recent: deque[_Kept] = deque(maxlen=2 * LONGEST + 6)
        self._lags: dict[tuple[int, int], _Map] = {}
        self._excess: list[list[float]] = []
        self._area: list[list[float]] = []
        self._frames = 0
        """One more than the newest frame's index."""

    def add(self, frame: SeenFrame) -> None:
        tiny = np.asarray(cv2.blur(frame.tiny, (3, 3)), dtype=np.float32)
        # Eight grey levels keep the noise of black cells out of the ratio.
        logs = np.log(cv2.resize(tiny, (_GRID, _GRID), interpolation=cv2.INTER_AREA) + np.float32(8.0))
        gain = float(np.median(logs - self._recent[-1].logs)) if self._recent else 0.0
        red, blue = cv2.split(frame.chroma(_GRID, _CHROMA_SIDE_PX))
        self._recent.append(
            _Kept(tiny, (np.asarray(red), np.asarray(blue)), np.asarray(logs, dtype=np.float32), gain)
        )
        if self._piece.holds(frame.index):
            self._excess.append([0.0] * LONGEST)
            self._area.append([0.0] * LONGEST)
        self._frames = frame.index + 1
        self._judge(self._frames)
        oldest = self._frames - len(self._recent)
        if oldest > 0:
            for back in range(1, 2 * LONGEST + 1):
                self._lags.pop((oldest + back, back), None)

    def extend(self, later: Self) -> None:
        """Joins what was gathered of the piece after this one."""
        self._excess += later._excess
        self._area += later._area
        self._recent, self._lags, self._frames = later._recent, later._lags, later._frames
        self._piece = self._piece._replace(stop=later._piece.stop)

    def result(self) -> Outliers:
        # The last two frames were waiting for what comes after them.
        excess, area = [list(row) for row in self._excess], [list(row) for row in self._area]
        for beyond in (self._frames + 1, self._frames + 2):
            self._judge(beyond)
        found = Outliers(
            np.array(self._excess, dtype=np.float64).reshape(-1, LONGEST).T,
            np.array(self._area, dtype=np.float64).reshape(-1, LONGEST).T,
        )
        self._excess, self._area = excess, area
        return found

    def _lag(self, index: int, back: int) -> _Map | None:
        """Difference of frame `index` to the one `back` before it; None outside of the clip or of memory."""
        first = self._frames - len(self._recent)
        if index >= self._frames or index - back < first:
            return None
        found = self._lags.get((index, back))
        if found is None:
            here, there = self._recent[index - first], self._recent[index - back - first]
            between = [self._recent[at - first].gain for at in range(index - back + 1, index + 1)]
            found = _difference(here, there, sum(between))
            self._lags[index, back] = found
        return found

    def _judge(self, frames: int) -> None:
        """The runs that end two frames before the newest of `frames`, so that two steps after them are known."""
        for length in range(1, LONGEST + 1):
            stop = frames - 3
            start = stop - length + 1
            entry, leave, across = (
                self._lag(start, 1),
                self._lag(stop + 1, 1),
                self._lag(stop + 1, length + 1),
            )
            if start < 1 or entry is None or leave is None or across is None:
                continue
            around = [self._lag(at, 1) for at in (start - 2, start - 1, stop + 2, stop + 3)]
            steps = [one for one in around if one is not None]
            if not steps:
                continue
            # What moves here now was next to here a frame ago.
            usual = cv2.dilate(reduce(cv2.max, steps), _NEIGHBOURS)
            over = cv2.subtract(cv2.min(entry, leave), cv2.scaleAdd(usual, 0.5, across))
            if over.max() <= 0.0:
                continue
            excess = over / (usual + np.float32(_FLOOR_LEVELS))
            strength = float(np.mean(np.partition(excess, -_TOP_CELLS, axis=None)[-_TOP_CELLS:]))
            if strength <= 0.0 or self._is_turning(start, stop):
                continue
            share = float(np.mean(excess > 0.5))
            for at in range(start, stop + 1):
                row = at - self._piece.start
                if self._piece.holds(at) and strength > self._excess[row][length - 1]:
                    self._excess[row][length - 1] = strength
                    self._area[row][length - 1] = share

    def _is_turning(self, start: int, stop: int) -> bool:
        """Whether the clip runs back from here: two frames out on both sides are the same, though it moves."""
        before, wide = self._lag(start - 1, 1), self._lag(stop + 2, stop - start + 4)
        if before is None or wide is None:
            return False
        moved = float(before.mean())
        return moved > _MOVED_LEVELS and float(wide.mean()) < 0.5 * moved


def _difference(one: _Kept, other: _Kept, lighter: float) -> _Map:
    """(16, 16) mean absolute grey difference per cell in the same light, plus that of the cells' mean colours.

    `lighter` is the logarithm of the brightness of the one over that of the other.
    """
    gain = np.float32(np.exp(min(0.4, max(-0.4, lighter))))
    lit = other.tiny if abs(lighter) < _SAME_LIGHT else other.tiny * gain
    grey = cv2.resize(cv2.absdiff(one.tiny, lit), (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    red, blue = (
        cv2.absdiff(here, there * gain) for here, there in zip(one.chroma, other.chroma, strict=True)
    )
    return np.asarray(cv2.add(cv2.add(grey, red), blue), dtype=np.float32)
