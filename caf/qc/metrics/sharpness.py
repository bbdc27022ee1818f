"""sharpness and blockiness: how crisp the picture is, and whether the coder's blocks show."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.cells import middles
from caf.qc.metrics.detail import laplacian_means
from caf.qc.metrics.findings import Finding, Flags, at_rate, counted, places, runs, worst_of
from caf.qc.metrics.frames import Gray, SeenFrame
from caf.qc.metrics.piece import WHOLE, Piece, step_for
from caf.qc.metrics.scoring import calibrate, measured, unmeasured

__all__ = ["Crispness", "CrispnessCollector", "blockiness", "sharpness"]

Floats = NDArray[np.float64]

_CELLS = 6
_FIRST_STEP, _MOST = 8, 16
_EACH_PX, _SAMPLED_PX = 640 * 270, 640 * 360
"""So many pixels tell the detail of every frame, and the blur of a sampled one."""
_FLAT_LEVELS = 0.15
"""Mean step below which nothing is drawn there, such as in a bar."""
_BAR_LEVEL = 6
_UNSEEN_LEVELS = 1.0
"""A step that nobody sees: on smooth ground, as in enlarged clips in 4K, a well coded grid is half a level high."""
# Crete's blur: crisp clips 0.25-0.45, soft 0.5, clearly blurred from 0.6 on.
_BLUR = ((0.25, 1.0), (0.45, 0.93), (0.55, 0.75), (0.6, 0.5), (0.75, 0.15), (0.9, 0.0))
# Factor by which fine detail drops below the clip's own level in its softest two frames; clean clips 1.01-1.09.
_DIP = ((1.0, 1.0), (1.1, 0.92), (1.2, 0.76), (1.35, 0.6), (1.7, 0.45), (3.0, 0.2), (8.0, 0.0))
_CUT = 0.35
"""By so much the cells' coarse detail changes unevenly in a step to another picture (0.46 to 0.62); blur is even
(up to 0.26), whatever its strength."""
_SEEN_LEVELS: Final = 1.0
"""Standard deviation of the grey levels up to which nothing shows that could be soft: the first and the last frames of
a fade, of which the coder keeps what it likes."""
_SOFT, _SURELY_SOFT = 1.15, 1.22
"""Factors from which a frame is blamed: every frame of a stretch that reaches the second somewhere."""
_HALF: Final = _CELLS**2 // 2
_FEW: Final = _CELLS**2 // 3
"""Of the cells: before a background that is out of focus no more have coarser detail to lose."""
_MIDDLE_COUNTS: Final = 1.2
_LOW_COUNTS: Final = 1.6
"""How much sudden losses of middle and low detail count, as logarithms. 261 segments of real clips, untouched and with
pans, whips, cuts, flashes and strong coding, lose at once up to 1.18 and 1.14, of two frames and more 1.13 and 1.10."""
_LONGEST_SUDDEN: Final = 12
"""Frames that a loss of detail may last and still be sudden."""
# Excess of steps on the 8-pixel grid over steps beside it. H.264 with deblocking: 0.9-1.1. Of a burst over the clip's
# own excess: 82 real clips, however blocky, 1.02-1.19.
_GRID_EXCESS = ((1.0, 1.0), (1.12, 0.94), (1.3, 0.72), (1.7, 0.4), (3.0, 0.1), (6.0, 0.0))
_BURST, _SHOWS = 8, 1.15
"""Frames, up to 30 a second, over which a burst of blocks counts, and its excess from which a frame is blamed."""


@dataclass(frozen=True, slots=True)
class Crispness:
    """`fine` and `coarse` (T, 36) logarithms of the mean absolute Laplacian per cell, in full size and at a quarter.

    `middle`, `low` and `base` the same of pictures of 320, 160 and 80 pixels' long side, however large the clip is.
    `blur` and `grid` are of sampled frames, NaN where too little is drawn in one; `columns` (T,) is the grid of the
    upright lines alone, `spread` (T,) the standard deviation of the grey levels beside bars, both like `time_s` of all.
    """

    fine: Floats
    coarse: Floats
    middle: Floats
    low: Floats
    base: Floats
    blur: Floats
    grid: Floats
    columns: Floats
    spread: Floats
    time_s: Floats

    def detail(self) -> Floats:
        """(T, 36) fine detail relative to coarse: neither light nor contrast changes it, only blur does."""
        return self.fine - self.coarse


class CrispnessCollector:
    """Numbers per frame; blur and grid are measured on every n-th, n doubled from 8 until they are at most 16."""

    def __init__(self, piece: Piece = WHOLE) -> None:
        self._piece = piece
        self._detail: list[NDArray[np.float32]] = []
        """Of each frame (5, 36), the five of `Crispness`, fine to base."""
        self._time_s: list[float] = []
        self._blur: list[float] = []
        self._grid: list[float] = []
        self._columns: list[float] = []
        self._spread: list[float] = []
        self._every = step_for(piece.frames, _FIRST_STEP, _MOST)

    def add(self, frame: SeenFrame) -> None:
        if not self._piece.holds(frame.index):
            return
        band, low = _bands(frame.luma, _EACH_PX), _half(frame.small)
        pictures = (band, _half(_half(band)), frame.small, low, _half(low))
        means = np.array([laplacian_means(one, _CELLS).ravel() for one in pictures], dtype=np.float32)
        means[:2] *= np.float32(frame.contrast)
        self._detail.append(np.log(means + np.float32(0.5)))
        self._columns.append(_grid_of(band[::2], 1))  # every other row says as much
        drawn = frame.tiny[frame.tiny > _BAR_LEVEL]
        self._spread.append(float(drawn.std()) if drawn.size else 0.0)
        self._time_s.append(frame.time_s)
        if frame.index % self._every == 0:
            self._blur.append(_crete_blur(frame.full(_bands(frame.luma, _SAMPLED_PX))))
            self._grid.append(_grid_excess(frame.full(frame.luma)))
            if len(self._blur) > _MOST:  # the file has more frames than it says
                self._blur, self._grid, self._every = self._blur[::2], self._grid[::2], self._every * 2

    def extend(self, later: Self) -> None:
        """Joins what was gathered of the piece after this one."""
        self._detail += later._detail
        self._time_s += later._time_s
        self._blur += later._blur
        self._grid += later._grid
        self._columns += later._columns
        self._spread += later._spread

    def result(self) -> Crispness:
        detail = np.array(self._detail, dtype=np.float64).reshape(-1, 5, _CELLS**2)
        fine, coarse, middle, low, base = np.ascontiguousarray(detail.transpose(1, 0, 2))
        return Crispness(
            fine,
            coarse,
            middle,
            low,
            base,
            np.array(self._blur),
            np.array(self._grid),
            np.array(self._columns),
            np.array(self._spread),
            np.array(self._time_s),
        )


def _bands(gray: Gray, area_px: int) -> Gray:
    """Full resolution, but of a large frame only six evenly spread bands of rows, each of a multiple of four."""
    height, width = gray.shape
    if height * width <= area_px:
        return gray
    rows = max(12, area_px // width // 6 // 4 * 4)
    return np.concatenate([gray[start : start + rows] for start in _evenly(height - rows)])


@lru_cache(maxsize=8)
def _evenly(last: int) -> list[int]:
    """Six rows from the first to the last."""
    found: list[int] = np.linspace(0, last, 6).astype(int).tolist()
    return found


def _half(gray: Gray) -> Gray:
    """Half of each side, and at least a pixel."""
    half = (max(1, gray.shape[1] // 2), max(1, gray.shape[0] // 2))
    return np.asarray(cv2.resize(gray, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _crete_blur(gray: Gray) -> float:
    """0 crisp .. 1 blurred: how little of the gradient a second blurring takes away; NaN without a gradient.

    Source: F. Crete et al., "The blur effect", SPIE 6492 (2007).
    """
    worst = float("nan")
    for kernel, here, there in (
        ((9, 1), np.s_[:, 1:], np.s_[:, :-1]),
        ((1, 9), np.s_[1:], np.s_[:-1]),
    ):
        if not gray[here].size:
            continue
        # Nine times the blurred picture, in whole numbers: exact, and half as much to move as fractions.
        smooth = cv2.boxFilter(gray, cv2.CV_16U, kernel, normalize=False)
        sharp_step = cv2.absdiff(gray[here], gray[there])
        total = 9.0 * float(cv2.sumElems(sharp_step)[0])
        smooth_step = cv2.absdiff(smooth[here], smooth[there])
        lost = cv2.subtract(cv2.multiply(sharp_step, 9.0, dtype=cv2.CV_16U), smooth_step)
        if total > 0:
            worst = float(np.fmax(worst, (total - float(cv2.sumElems(lost)[0])) / total))
    return worst


def _grid_excess(gray: Gray) -> float:
    """Mean step over the 8-pixel grid's lines relative to the lines beside them; the stronger direction counts."""
    return float(np.fmax(_grid_of(gray, 0), _grid_of(gray, 1)))


def _grid_of(gray: Gray, axis: int) -> float:
    """The same of the lines across an axis, of the strongest phase; NaN where there are too few lines, or nothing is
    drawn beside them.

    The median over the lines of a phase: a single edge right across the picture, such as a bar's, is no grid.
    """
    usable = (gray.shape[axis] - 1) // 8 * 8
    if usable < 32:
        return float("nan")
    steps = np.asarray(
        cv2.absdiff(gray[1:], gray[:-1]) if axis == 0 else cv2.absdiff(gray[:, 1:], gray[:, :-1])
    )
    # Strong edges are content, not the coder.
    profile = cv2.reduce(cv2.min(steps, 24.0), 1 - axis, cv2.REDUCE_AVG, dtype=cv2.CV_32F).ravel()
    beside = (np.convolve(profile, np.ones(9), mode="same") - profile) / 8
    ratio = ((profile + _UNSEEN_LEVELS) / (beside + _UNSEEN_LEVELS))[:usable].reshape(-1, 8)
    drawn = beside[:usable].reshape(-1, 8).max(axis=1) > _FLAT_LEVELS
    return float(middles(ratio[drawn]).max()) if drawn.sum() >= 4 else float("nan")


def sharpness(crisp: Crispness) -> Finding:
    """The lower of two calibrations: Crete's blur of the clip, and its deepest dip below its own detail.

    A dip counts where the median of the 18 richest of 36 cells loses fine detail for two frames and more, so motion
    blur of the subject alone does not, or that of the 12 richest coarser detail at once, for one frame to twelve.
    raw: `blur` (0..1), `detail_dip_factor` (1 = none), `soft_frames`.
    """
    if len(crisp.blur) == 0:
        return Finding(unmeasured("sharpness", "The clip has no frame to look at."))
    drawn = crisp.blur[np.isfinite(crisp.blur)]
    if not len(drawn):
        return Finding(unmeasured("sharpness", "Nothing is drawn in the picture that could be sharp."))
    blur = float(np.median(drawn))
    dips, losses = _dips(crisp)
    soft = _soft(dips, losses)
    dip = float(np.exp(max(np.max(_lasting(dips), initial=0.0), np.max(losses, initial=0.0))))
    score = min(calibrate(blur, _BLUR), calibrate(dip, _DIP))
    if score >= 0.7:
        reason = "The picture is crisp."
    elif calibrate(dip, _DIP) <= calibrate(blur, _BLUR):
        frames = f"{len(soft)} frames lose" if len(soft) != 1 else "1 frame loses"
        reason = f"{frames} detail by a factor of up to {dip:.1f}."
    else:
        reason = f"The whole clip is soft: blur {blur:.2f} of 1."
    raw = {"blur": blur, "detail_dip_factor": dip, "soft_frames": len(soft)}
    lost = np.maximum(dips, losses)
    found = measured("sharpness", score, reason, raw, worst_of(soft, lost))
    return Finding(found, soft, {"detail_dip_factor": np.exp(lost)})


def _dips(crisp: Crispness) -> tuple[Floats, Floats]:
    """(T,) logarithms of how far each frame's fine detail lies below the level of its own shot, and of its sudden loss
    of middle or low detail, as much as that counts; 0 in frames in which next to nothing shows."""
    cuts = np.flatnonzero(np.diff(crisp.coarse, axis=0).std(axis=1) > _CUT) + 1
    dips, losses = [], []
    for shot in (slice(*ends) for ends in pairwise([0, *cuts.tolist(), len(crisp.coarse)])):
        middle, low = (_below(band[shot], crisp.base[shot], _FEW) for band in (crisp.middle, crisp.low))
        dips.append(_below(crisp.fine[shot], crisp.coarse[shot], _HALF))
        losses.append(np.maximum(_MIDDLE_COUNTS * _sudden(middle), _LOW_COUNTS * _sudden(low)))
    shows = crisp.spread > _SEEN_LEVELS
    return np.where(shows, np.concatenate(dips), 0.0), np.where(shows, np.concatenate(losses), 0.0)


def _below(detail: Floats, coarse: Floats, cells: int) -> Floats:
    """(T,) logarithm of how far the median of the richest `cells` of a shot lies below its level.

    The level is each cell's median over a second and a half to both sides, as far as the shot goes.
    """
    length, detail = len(detail), detail - coarse
    if length < 5:
        return np.zeros(length)
    richest = np.argsort(-np.median(coarse, axis=0), kind="stable")[:cells]
    reach = min(45, length // 2)
    centres = np.unique(np.linspace(0, length - 1, max(2, length // 8)).astype(int))
    medians = np.array([np.median(detail[max(0, at - reach) : at + reach + 1], axis=0) for at in centres])
    level = np.array([np.interp(np.arange(length), centres, cell) for cell in medians.T]).T
    return np.asarray(np.median((level - detail)[:, richest], axis=1), dtype=np.float64)


def _lasting(dips: Floats) -> Floats:
    """A single frame without its fine detail is a coder's bidirectional frame; a burst lasts."""
    return np.minimum(dips[:-1], dips[1:])


def _sudden(dips: Floats) -> Floats:
    """(T,) by how much the least of a stretch of up to twelve frames is over the frames on both sides of it, and over
    0; of the stretches that a frame is in, the one that stands out most.

    What a camera or a subject blurs by moving comes and goes by and by; what is soft in every other frame is slow
    motion made of mixed ones.
    """
    result = np.zeros(len(dips))
    for length in range(1, min(_LONGEST_SUDDEN, len(dips) - 2) + 1):
        least = np.lib.stride_tricks.sliding_window_view(dips[1:-1], length).min(axis=1)
        beside = np.maximum(0.0, np.maximum(dips[: len(least)], dips[length + 1 :]))
        over = np.maximum(0.0, least - beside)
        if length == 1:
            over = _out_of_beat(over)
        for at in range(1, length + 1):
            result[at : at + len(over)] = np.maximum(result[at : at + len(over)], over)
    return result


def _out_of_beat(losses: Floats) -> Floats:
    """(T,) by how much single frames lose more than those two before and two after."""
    ends = np.concatenate([np.zeros(2), losses, np.zeros(2)])
    return np.asarray(np.maximum(0.0, losses - np.maximum(ends[:-4], ends[4:])), dtype=np.float64)


def _soft(dips: Floats, losses: Floats) -> tuple[int, ...]:
    """Frames in stretches of two or more that lose detail, and of any length that lose it suddenly."""
    soft = losses > np.log(_SURELY_SOFT)
    for start, stop in runs(dips > np.log(_SOFT)):
        if stop - start > 1 and np.sort(dips[start:stop])[-2] > np.log(_SURELY_SOFT):
            soft[start:stop] = True
    return places(soft)


def blockiness(crisp: Crispness) -> Finding:
    """The lower of two calibrations of the strength of the 8-pixel grid: of the clip, and of its worst quarter of a
    second over the clip's own.

    raw: `grid_ratio` (1 = no grid), `grid_burst_factor` (1 = none).
    """
    if len(crisp.grid) == 0:
        return Finding(unmeasured("blockiness", "The clip has no frame to look at."))
    drawn = crisp.grid[np.isfinite(crisp.grid)]
    if not len(drawn):
        reason = "The picture is too small, or too little is drawn in it, to tell coding blocks."
        return Finding(unmeasured("blockiness", reason))
    ratio = float(np.percentile(drawn, 75))
    excess, burst = _bursts(crisp)
    blamed: tuple[int, ...] = ()
    score = min(calibrate(ratio, _GRID_EXCESS), calibrate(burst, _GRID_EXCESS))
    if score >= 0.7:
        reason = "No coding blocks show."
    elif burst > ratio:
        shown = _in_bursts(crisp, excess)
        blamed = places(shown)
        reason = f"Coding blocks show in {counted(shown, 'frame')}: {burst:.2f} times as much as usual in the clip."
    else:
        reason = f"Coding blocks show: grid lines stand out {ratio:.2f} times."
    raw = {"grid_ratio": ratio, "grid_burst_factor": burst}
    found = measured("blockiness", score, reason, raw, worst_of(blamed, excess))
    return Finding(found, blamed, {"grid_burst_factor": excess})


def _bursts(crisp: Crispness) -> tuple[Floats, float]:
    """(T,) the grid over what is usual in the clip, and the mean of the worst stretch; 1 where too little is known."""
    known = np.isfinite(crisp.columns)
    if not known.any():
        return np.ones(len(crisp.columns)), 1.0
    excess = np.where(known, crisp.columns, 1.0) / max(1.0, float(np.median(crisp.columns[known])))
    length = _burst_frames(crisp)
    if len(excess) < length:
        return excess, 1.0
    return excess, float(_means(excess, length).max())


def _burst_frames(crisp: Crispness) -> int:
    interval_s = float(np.median(np.diff(crisp.time_s))) if len(crisp.time_s) > 1 else 0.0
    return at_rate(_BURST, interval_s)


def _means(excess: Floats, length: int) -> Floats:
    return np.asarray(np.lib.stride_tricks.sliding_window_view(excess, length).mean(axis=1), dtype=np.float64)


def _in_bursts(crisp: Crispness, excess: Floats) -> Flags:
    """Stretches of two frames and more in which the grid shows, and of the worst stretch also single ones."""
    shows, length = excess > _SHOWS, _burst_frames(crisp)
    blamed = np.zeros_like(shows)
    worst = int(np.argmax(_means(excess, length)))
    blamed[worst : worst + length] = shows[worst : worst + length]
    for start, stop in runs(shows):
        if stop - start > 1:
            blamed[start:stop] = True
    return blamed
