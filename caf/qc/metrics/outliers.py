"""How much a frame, or two to five in a row, stick out of what comes before and after them.

A frame is spoiled where it differs from both sides although these agree, and where that difference is not what
moves there anyway. At the turning point of a clip that runs to and fro the two neighbours are the same picture, but so
are the frames beside them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.cells import cell_means
from caf.qc.metrics.frames import SeenFrame
from caf.qc.metrics.novelty import Palette, Step, novelty, palette_of
from caf.qc.metrics.piece import WHOLE, Piece
from caf.qc.metrics.softening import detail_of, is_softened

__all__ = ["LONGEST", "OutlierCollector", "Outliers"]

LONGEST = 5
"""Frames in a row that may stick out together."""
_GRID = 16
_TOP_CELLS, _TOP_CELLS_OF_A_PART, _TOP_CELLS_OF_A_TINT = 4, 2, 6
_FLOOR_LEVELS = 3.0
"""Grey levels, mean over a cell, below which a difference is the coder's or the grain's: these move a cell by 1-2."""
_COLOUR_FLOOR_LEVELS = 5.0
"""The same of a cell's mean colour: a key frame shifts it by 1 to 2, which nobody sees."""
_MOVED_LEVELS = 0.5
_WORTH_A_LOOK_LEVELS = 1.5
"""So much must a cell of a run differ from both sides, beyond how these differ, to be looked at for new colours."""
_SAME_LIGHT = 0.002
_LAGS = LONGEST + 1
"""Every frame is held against so many before it: from one neighbour of the longest run to the other."""
_KEPT = 2 * LONGEST + 6

Floats = NDArray[np.float64]
_Map = NDArray[np.float32]
"""(..., 16, 16) of so many frames; or of any other size."""
_Indices = NDArray[np.int64]


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
    softened: Floats
    """(LONGEST, T) excess, or that of a part, of runs that only lack detail: nothing of the above counts of these."""
    detail: Floats
    """(T,) mean absolute Laplacian of the frames, their long side at most 160 pixels."""


class _Run(NamedTuple):
    """What `Outliers` says of one run."""

    excess: float = 0.0
    area: float = 0.0
    novelty: float = 0.0
    part: float = 0.0
    tint: float = 0.0
    softened: float = 0.0


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is remembered of a frame."""

    tiny: _Map
    chroma: _Map
    """(2, 16, 16) mean Cr and Cb."""
    logs: _Map
    gain: float
    """Logarithm of the brightness relative to the frame before, as the median cell sees it."""
    palette: Palette
    detail: float
    """Of the frame twice as large as `tiny` is."""
    known: int
    """How many frames before it could be compared with, at most `_LAGS`."""
    whole: _Map
    """(4, 16, 16) mean absolute grey difference to each in the same light, plus that of the cells' mean colours; the
    nearest first, and 0 where it is not known."""
    colour: _Map
    """The latter alone."""


class OutlierCollector:
    """Holds a dozen small frames and some maps of 16x16 numbers, whatever the clip's length."""

    def __init__(self, piece: Piece = WHOLE) -> None:
        self._piece = piece
        self._recent: list[_Kept] = []
        self._wide: dict[tuple[int, int], _Map] = {}
        """Differences of a frame to one further back, where they were asked for."""
        self._steps: dict[int, Step] = {}
        """How the colours came from the frame before, where that was asked for."""
        self._pairs: dict[int, _Map] = {}
        """What two steps on end do not explain, by the first of them."""
        self._runs: list[list[_Run]] = []
        """Of each frame its strongest run of each length."""
        self._detail: list[float] = []
        self._frames = 0
        """One more than the newest frame's index."""

    def add(self, frame: SeenFrame) -> None:
        self.add_all([frame])

    def add_all(self, frames: Sequence[SeenFrame]) -> None:
        """Some that follow each other: a dozen at once cost each of them less."""
        fresh = _kept(frames, self._recent[-_LAGS:])
        self._recent += fresh
        for frame, kept in zip(frames, fresh, strict=True):
            if self._piece.holds(frame.index):
                self._runs.append([_Run()] * LONGEST)
                self._detail.append(kept.detail)
        self._frames = frames[-1].index + 1
        # Three steps after a run are known then: the one that leaves it, and two more.
        self._judge(np.arange(frames[0].index, self._frames) - 2)
        self._recent = self._recent[-_KEPT:]
        oldest = self._frames - len(self._recent)
        self._wide = {at: known for at, known in self._wide.items() if at[0] - at[1] >= oldest}
        self._steps = {at: known for at, known in self._steps.items() if at > oldest}
        self._pairs = {at: known for at, known in self._pairs.items() if at > oldest}

    def extend(self, later: Self) -> None:
        """Joins what was gathered of the piece after this one."""
        self._runs += later._runs
        self._detail += later._detail
        self._recent, self._wide = later._recent, later._wide
        self._steps, self._pairs = later._steps, later._pairs
        self._frames = later._frames
        self._piece = self._piece._replace(stop=later._piece.stop)

    def result(self) -> Outliers:
        # The last frames were waiting for what comes after them.
        kept = [list(rows) for rows in self._runs]
        self._judge(np.arange(self._frames - 2, self._frames))
        series = np.array(self._runs, dtype=np.float64).reshape(-1, LONGEST, len(_Run._fields)).T
        self._runs = kept
        excess, area, novelty, part, tint, softened = series
        return Outliers(excess, area, novelty, part, tint, softened, np.array(self._detail))

    def _lag(self, index: int, back: int) -> _Map | None:
        """Difference of frame `index` to the one `back` before it; None outside of the clip or of memory."""
        first = self._frames - len(self._recent)
        if index >= self._frames or index - back < first:
            return None
        here, there = self._recent[index - first], self._recent[index - back - first]
        if back <= here.known:
            return np.asarray(here.whole[back - 1], dtype=np.float32)
        found = self._wide.get((index, back))
        if found is None:
            between = [self._recent[at - first].gain for at in range(index - back + 1, index + 1)]
            lighter = np.array([sum(between)])
            whole, _ = _differences(here.tiny, here.chroma, there.tiny[None], there.chroma[None], lighter)
            found = self._wide[index, back] = whole[0]
        return found

    def _judge(self, ends: _Indices) -> None:
        """The runs of all lengths that end just before each of `ends`, indices of frames in memory that follow on."""
        first, kept = self._frames - len(self._recent), len(self._recent)
        nothing = np.zeros((_LAGS, _GRID, _GRID), np.float32)
        whole = np.array([*(one.whole for one in self._recent), nothing])
        colour = np.array([*(one.colour for one in self._recent), nothing])
        known = np.array([*(one.known for one in self._recent), 0])

        def place(index: _Indices) -> _Indices:
            """Where in the arrays above it is; where nothing is known, the last place."""
            at = index - first
            return np.where((at >= 0) & (at < kept), at, kept)

        for length in range(1, LONGEST + 1):
            starts = ends - length
            entry, leave = place(starts), place(ends)
            around = [place(at) for at in (starts - 2, starts - 1, ends + 1, ends + 2)]
            judged = (starts > 0) & (known[entry] > 0) & (known[leave] > length)
            judged &= np.any([known[at] > 0 for at in around], axis=0)
            # What moves here now was next to here a frame ago.
            usual = _spread(np.max([whole[at, 0] for at in around], axis=0))
            out_and_back = np.minimum(whole[entry, 0], whole[leave, 0])
            across = whole[leave, length]
            beyond = out_and_back - across
            strength, share = _strongest(beyond, usual, _TOP_CELLS)
            # Something that passes by leaves one neighbouring place and arrives at another.
            moved = np.maximum(usual, np.float32(0.5) * _spread(across))
            part, _ = _strongest(out_and_back - np.float32(0.5) * across, moved, _TOP_CELLS_OF_A_PART)
            tint: NDArray[np.floating] = np.zeros(len(ends))
            if length == 1:
                # How much the colours go and come back; where the tones do not come back, something moved.
                tinted = np.minimum(colour[entry, 0], colour[leave, 0])
                tinted = tinted - np.float32(0.5) * (colour[leave, 1] + across)
                usual = _spread(np.max([colour[at, 0] for at in around], axis=0))
                tint, _ = _strongest(tinted, usual, _TOP_CELLS_OF_A_TINT, _COLOUR_FLOOR_LEVELS)
            worth_a_look = beyond.max(axis=(1, 2)) > _WORTH_A_LOOK_LEVELS
            for at in np.flatnonzero(judged):
                start, stop = int(starts[at]), int(ends[at]) - 1
                new = self._new(start, stop) if worth_a_look[at] else 0.0
                run = _Run(float(strength[at]), float(share[at]), new, float(part[at]), float(tint[at]))
                if max(run.excess, run.part, new, run.tint) <= 0.0 or self._is_turning(start, stop):
                    continue
                if self._is_softened(start, stop):
                    run = _Run(softened=max(run.excess, run.part))
                self._note(start, stop, run)

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
        (some, lost), (more, later) = self._lost(start - 2), self._lost(stop + 2)
        if some + more < 2 or later is None:
            return 0.0
        lost = later if lost is None else np.asarray(cv2.max(lost, later), dtype=np.float32)
        run = [self._recent[at - first] for at in (start - 1, start, stop + 1)]
        return novelty(
            run[0].palette,
            self._step(start),
            self._step(stop + 1),
            run[2].palette,
            usual=lost,
            lightened=max(abs(run[1].gain), abs(run[2].gain)),
        )

    def _lost(self, index: int) -> tuple[int, _Map | None]:
        """How many of the steps to frame `index` and to the next are known, and what these do not explain."""
        # Of the oldest frame in memory it is not known what it came from.
        first = self._frames - len(self._recent)
        inside = [at for at in (index, index + 1) if first < at < self._frames]
        if len(inside) < 2:
            return len(inside), self._step(inside[0]).unfound if inside else None
        found = self._pairs.get(index)
        if found is None:
            both = cv2.max(self._step(index).unfound, self._step(index + 1).unfound)
            found = self._pairs[index] = np.asarray(both, dtype=np.float32)
        return 2, found

    def _step(self, index: int) -> Step:
        """From the frame before to frame `index`."""
        found = self._steps.get(index)
        if found is None:
            at = index - self._frames + len(self._recent)
            found = self._steps[index] = Step(self._recent[at - 1].palette, self._recent[at].palette)
        return found

    def _is_turning(self, start: int, stop: int) -> bool:
        """Whether the clip runs back from here: two frames out on both sides are the same, though it moves."""
        before, wide = self._lag(start - 1, 1), self._lag(stop + 2, stop - start + 4)
        if before is None or wide is None:
            return False
        moved = float(before.mean())
        return moved > _MOVED_LEVELS and float(wide.mean()) < 0.5 * moved

    def _is_softened(self, start: int, stop: int) -> bool:
        """Whether the run only lacks detail, which is no fault of the motion."""
        first = self._frames - len(self._recent)
        run = self._recent[start - 1 - first : stop + 2 - first]
        lights = np.cumsum([0.0, *(one.gain for one in run[1:])])
        ends = (0, 1, -2, -1)
        before, start_at, stop_at, after = (run[at].tiny * np.float32(np.exp(-lights[at])) for at in ends)
        colours = (run[0].chroma, run[1].chroma, run[-2].chroma, run[-1].chroma)
        return is_softened((before, start_at, stop_at, after), colours, [one.detail for one in run])


def _kept(frames: Sequence[SeenFrame], before: Sequence[_Kept]) -> list[_Kept]:
    """What is remembered of `frames`; `before` them there were these."""
    known, count = len(before), len(before) + len(frames)
    height, width = (max(1, side // 2) for side in frames[0].tiny.shape)
    halves = [cv2.resize(one.tiny, (width, height), interpolation=cv2.INTER_AREA) for one in frames]
    tiny = np.array([*(one.tiny for one in before), *halves], dtype=np.float32)
    coloured = [one.chroma(_GRID).transpose(2, 0, 1) for one in frames]
    chroma = np.array([*(one.chroma for one in before), *coloured], dtype=np.float32)
    # Eight grey levels keep the noise of black cells out of the ratio.
    fresh = np.log(cell_means(tiny[known:], _GRID) + np.float32(8.0))
    logs = np.array([*(one.logs for one in before), *fresh], dtype=np.float32)
    gain = np.zeros(count)
    gain[:known] = [one.gain for one in before]
    steps = np.sort((logs[1:] - logs[:-1]).reshape(-1, _GRID * _GRID), axis=1)[max(0, known - 1) :]
    half = _GRID * _GRID // 2
    gain[max(1, known) :] = (steps[:, half - 1] + steps[:, half]) / 2
    whole, colour = np.zeros((2, count, _LAGS, _GRID, _GRID), np.float32)
    for back in range(1, _LAGS + 1):
        first = max(known, back)
        if first < count:
            # Summed from the oldest step on, wherever the clip is cut.
            lighter = sum(gain[first - at : count - at] for at in range(back - 1, -1, -1))
            then = slice(first - back, count - back)
            whole[first:, back - 1], colour[first:, back - 1] = _differences(
                tiny[first:], chroma[first:], tiny[then], chroma[then], np.asarray(lighter)
            )
    return [
        _Kept(
            tiny[at],
            chroma[at],
            logs[at],
            float(gain[at]),
            palette_of(frame),
            detail_of(frame.tiny),
            min(at, _LAGS),
            whole[at],
            colour[at],
        )
        for at, frame in enumerate(frames, known)
    ]


def _spread(maps: _Map) -> _Map:
    """(N, 16, 16) the largest of each cell and its eight neighbours."""
    found = maps.copy()
    np.maximum(found[:, 1:], maps[:, :-1], out=found[:, 1:])
    np.maximum(found[:, :-1], maps[:, 1:], out=found[:, :-1])
    rows = found.copy()
    np.maximum(found[:, :, 1:], rows[:, :, :-1], out=found[:, :, 1:])
    np.maximum(found[:, :, :-1], rows[:, :, 1:], out=found[:, :, :-1])
    return found


def _strongest(
    beyond: _Map, usual: _Map, cells: int, floor_levels: float = _FLOOR_LEVELS
) -> tuple[NDArray[np.floating], Floats]:
    """Of each map the mean of the strongest of so many cells, in multiples of what is usual there, and the share of
    cells above half.

    0 where no cell is above half of what is usual.
    """
    excess = (beyond - np.float32(0.5) * usual) / (usual + np.float32(floor_levels))
    excess = excess.reshape(len(excess), -1)
    strength = np.mean(np.partition(excess, -cells, axis=1)[:, -cells:], axis=1)
    return np.maximum(0.0, strength), np.mean(excess > 0.5, axis=1)


def _differences(
    tiny: _Map, chroma: _Map, other_tiny: _Map, other_chroma: _Map, lighter: Floats
) -> tuple[_Map, _Map]:
    """(N, 16, 16) `whole` and `colour` of `_Kept`, of N pairs. `lighter` (N,): logarithm of the brightness of the one
    over that of the other."""
    gain = np.exp(np.clip(lighter, -0.4, 0.4)).astype(np.float32)[:, None, None]
    seen = np.where(np.abs(lighter)[:, None, None] < _SAME_LIGHT, np.float32(1), gain)
    grey = cell_means(np.abs(tiny - other_tiny * seen), _GRID)
    red, blue = np.abs(chroma - other_chroma * gain[..., None]).swapaxes(0, 1)
    colour = red + blue
    return grey + colour, colour
