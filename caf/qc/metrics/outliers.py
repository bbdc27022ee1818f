"""How much a frame, or two or three in a row, stick out of what comes before and after them.

A frame is spoiled where it differs from both sides although these agree, and where that difference is not what
moves there anyway. At the turning point of a clip that runs to and fro the two neighbours are the same picture, but so
are the frames beside them.
"""

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.frames import Image, SeenFrame
from caf.qc.metrics.novelty import Palette, novelty, palette_of, unfound

__all__ = ["LONGEST", "OutlierCollector", "Outliers"]

LONGEST = 3
"""Frames in a row that may stick out together."""
_GRID = 16
_TOP_CELLS = 4
_FLOOR_LEVELS = 3.0
"""Grey levels, mean over a cell, below which a difference is the coder's or the grain's: these move a cell by 1-2."""
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


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is remembered of a frame."""

    tiny: NDArray[np.float32]
    chroma: _Map
    logs: _Map
    light: float
    """Logarithm of the brightness relative to the first frame, as the median cell sees it."""
    palette: Palette
    unfound: _Map | None
    """What the step from the frame before does not explain; None of the first frame."""


class OutlierCollector:
    """Holds a dozen small frames and some maps of 16x16 numbers, whatever the clip's length."""

    def __init__(self) -> None:
        self._recent: deque[_Kept] = deque(maxlen=2 * LONGEST + 6)
        self._lags: dict[tuple[int, int], _Map] = {}
        self._excess: list[list[float]] = []
        self._area: list[list[float]] = []
        self._novelty: list[list[float]] = []
        self._frames = 0

    def add(self, frame: SeenFrame) -> None:
        tiny = np.asarray(cv2.blur(frame.tiny, (3, 3)), dtype=np.float32)
        # Eight grey levels keep the noise of black cells out of the ratio.
        logs = np.log(cv2.resize(tiny, (_GRID, _GRID), interpolation=cv2.INTER_AREA) + np.float32(8.0))
        light = 0.0
        if self._recent:
            last = self._recent[-1]
            light = last.light + float(np.median(logs - last.logs))
        palette = palette_of(frame.image)
        lost = unfound(palette, self._recent[-1].palette) if self._recent else None
        chroma = _chroma_cells(frame.image)
        self._recent.append(_Kept(tiny, chroma, np.asarray(logs, dtype=np.float32), light, palette, lost))
        for series in (self._excess, self._area, self._novelty):
            series.append([0.0] * LONGEST)
        self._frames += 1
        self._judge(self._frames)
        oldest = self._frames - len(self._recent)
        if oldest > 0:
            for back in range(1, 2 * LONGEST + 1):
                self._lags.pop((oldest + back, back), None)

    def result(self) -> Outliers:
        # The last two frames were waiting for what comes after them.
        kept = [[list(row) for row in series] for series in (self._excess, self._area, self._novelty)]
        for beyond in (self._frames + 1, self._frames + 2):
            self._judge(beyond)
        found = Outliers(*(_by_length(series) for series in (self._excess, self._area, self._novelty)))
        self._excess, self._area, self._novelty = kept
        return found

    def _lag(self, index: int, back: int) -> _Map | None:
        """Difference of frame `index` to the one `back` before it; None outside of the clip or of memory."""
        first = self._frames - len(self._recent)
        if index >= self._frames or index - back < first:
            return None
        found = self._lags.get((index, back))
        if found is None:
            found = _difference(self._recent[index - first], self._recent[index - back - first])
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
            usual = cv2.dilate(np.max(np.stack(steps), axis=0), _NEIGHBOURS)
            beyond = np.minimum(entry, leave) - across
            excess = (beyond - usual / 2) / (usual + np.float32(_FLOOR_LEVELS))
            strength = float(np.mean(np.partition(excess, -_TOP_CELLS, axis=None)[-_TOP_CELLS:]))
            new = self._new(start, stop) if float(beyond.max()) > _WORTH_A_LOOK_LEVELS else 0.0
            if (strength <= 0.0 and new <= 0.0) or self._is_turning(start, stop):
                continue
            share = float(np.mean(excess > 0.5))
            for at in range(start, stop + 1):
                self._novelty[at][length - 1] = max(new, self._novelty[at][length - 1])
                if strength > self._excess[at][length - 1]:
                    self._excess[at][length - 1] = strength
                    self._area[at][length - 1] = share

    def _new(self, start: int, stop: int) -> float:
        """The novelty of the run; 0 where fewer than two steps around it are known."""
        first = self._frames - len(self._recent)
        inside = [
            at - first for at in (start - 2, start - 1, stop + 2, stop + 3) if first <= at < self._frames
        ]
        lost = [one for one in (self._recent[at].unfound for at in inside) if one is not None]
        if len(lost) < 2 or stop + 2 >= self._frames:
            return 0.0
        run = [self._recent[at - first] for at in (start - 1, start, stop, stop + 1)]
        light = [one.light for one in run]
        lightened = max(abs(light[1] - light[0]), abs(light[3] - light[2]))
        before, start_at, stop_at, after = (one.palette for one in run)
        return novelty(
            before, start_at, stop_at, after, usual=np.max(np.stack(lost), axis=0), lightened=lightened
        )

    def _is_turning(self, start: int, stop: int) -> bool:
        """Whether the clip runs back from here: two frames out on both sides are the same, though it moves."""
        before, wide = self._lag(start - 1, 1), self._lag(stop + 2, stop - start + 4)
        if before is None or wide is None:
            return False
        moved = float(before.mean())
        return moved > _MOVED_LEVELS and float(wide.mean()) < 0.5 * moved


def _by_length(series: list[list[float]]) -> Floats:
    return np.array(series, dtype=np.float64).reshape(-1, LONGEST).T


def _chroma_cells(image: Image) -> _Map:
    """(16, 16, 2) mean Cr and Cb per cell, about 0, from every n-th pixel."""
    every = max(1, max(image.shape[:2]) // _CHROMA_SIDE_PX)
    cells = cv2.resize(image[::every, ::every], (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(
        cv2.cvtColor(cells.astype(np.float32) / 255, cv2.COLOR_BGR2YCrCb)[..., 1:] * 255 - 127.5
    )


def _difference(one: _Kept, other: _Kept) -> _Map:
    """(16, 16) mean absolute grey difference per cell in the same light, plus that of the cells' mean colours."""
    gain = np.float32(np.exp(np.clip(one.light - other.light, -0.4, 0.4)))
    lit = other.tiny if abs(one.light - other.light) < _SAME_LIGHT else other.tiny * gain
    grey = cv2.resize(cv2.absdiff(one.tiny, lit), (_GRID, _GRID), interpolation=cv2.INTER_AREA)
    return np.asarray(grey + np.abs(one.chroma - gain * other.chroma).sum(axis=2), dtype=np.float32)
