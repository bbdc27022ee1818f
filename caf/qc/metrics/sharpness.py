"""sharpness and blockiness: how crisp the picture is, and whether the coder's blocks show."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.ports import Measurement
from caf.qc.metrics.frames import Gray, SeenFrame
from caf.qc.metrics.scoring import calibrate, measured, unmeasured

__all__ = ["Crispness", "CrispnessCollector", "blockiness", "sharpness"]

Floats = NDArray[np.float64]

_CELLS = 6
_BAND_PX = 640 * 360
# Crete's blur: crisp clips 0.25-0.45, soft 0.5, clearly blurred from 0.6 on.
_BLUR = ((0.35, 1.0), (0.5, 0.8), (0.6, 0.5), (0.75, 0.15), (0.9, 0.0))
# Factor by which fine detail of the median cell drops below the clip's own level in its softest frames; clean
# clips 1.08-1.15.
_DIP = ((1.2, 1.0), (1.5, 0.75), (2.0, 0.5), (4.0, 0.2), (12.0, 0.0))
# Excess of steps on the 8-pixel grid over steps beside it. H.264 with deblocking: 0.9-1.1.
_GRID_EXCESS = ((1.12, 1.0), (1.3, 0.75), (1.7, 0.4), (3.0, 0.1), (6.0, 0.0))


@dataclass(frozen=True, slots=True)
class Crispness:
    """`detail` (T, 36) logarithm of the mean absolute Laplacian per cell; `blur` and `grid` of sampled frames."""

    detail: Floats
    blur: Floats
    grid: Floats


class CrispnessCollector:
    """A few numbers per frame; blur and grid are measured on every n-th, n doubling from 8 as the clip goes on."""

    def __init__(self) -> None:
        self._detail: list[NDArray[np.float32]] = []
        self._blur: list[float] = []
        self._grid: list[float] = []
        self._every = 8

    def add(self, frame: SeenFrame) -> None:
        band = _bands(frame.gray)
        laplacian = np.abs(np.asarray(cv2.Laplacian(band, cv2.CV_16S, ksize=1))).astype(np.float32)
        cells = cv2.resize(laplacian, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
        self._detail.append(np.log(np.asarray(cells, dtype=np.float32) + np.float32(0.5)).ravel())
        if frame.index % self._every == 0:
            self._blur.append(_crete_blur(band))
            self._grid.append(_grid_excess(frame.gray))
            if len(self._blur) >= 48:
                self._blur, self._grid, self._every = self._blur[::2], self._grid[::2], self._every * 2

    def result(self) -> Crispness:
        detail = np.array(self._detail, dtype=np.float64).reshape(-1, _CELLS**2)
        return Crispness(detail, np.array(self._blur), np.array(self._grid))


def _bands(gray: Gray) -> Gray:
    """Full resolution, but of a large frame only six evenly spread bands of rows."""
    height, width = gray.shape
    if height * width <= _BAND_PX:
        return gray
    rows = max(12, _BAND_PX // width // 6)
    starts = np.linspace(0, height - rows, 6).astype(int)
    return np.ascontiguousarray(np.concatenate([gray[start : start + rows] for start in starts]))


def _crete_blur(gray: Gray) -> float:
    """0 crisp .. 1 blurred: how little of the gradient a second blurring takes away.

    Source: F. Crete et al., "The blur effect", SPIE 6492 (2007).
    """
    picture = gray.astype(np.float32)
    worst = 0.0
    for axis, kernel in ((1, (9, 1)), (0, (1, 9))):
        smooth = np.asarray(cv2.blur(picture, kernel), dtype=np.float32)
        sharp_step = np.abs(np.diff(picture, axis=axis))
        lost = np.maximum(0, sharp_step - np.abs(np.diff(smooth, axis=axis)))
        total = float(sharp_step.sum())
        worst = max(worst, (total - float(lost.sum())) / total if total > 0 else 1.0)
    return worst


def _grid_excess(gray: Gray) -> float:
    """Mean step over the 8-pixel grid's lines divided by the mean step elsewhere; the stronger phase counts."""
    worst = 0.0
    for axis in (0, 1):
        steps = np.asarray(
            cv2.absdiff(gray[1:], gray[:-1]) if axis == 0 else cv2.absdiff(gray[:, 1:], gray[:, :-1])
        )
        # Strong edges are content, not the coder.
        profile = np.minimum(steps, 24).mean(axis=1 - axis)
        usable = len(profile) // 8 * 8
        if usable < 32:
            continue
        phases = profile[:usable].reshape(-1, 8).mean(axis=0)
        strongest = int(np.argmax(phases))
        rest = float(np.mean(np.delete(phases, strongest)))
        worst = max(worst, (float(phases[strongest]) + 0.05) / (rest + 0.05))
    return worst


def sharpness(crisp: Crispness) -> Measurement:
    """The lower of two calibrations: Crete's blur of the clip, and its deepest dip below its own detail.

    A dip counts where the median of 36 cells loses detail, so motion blur of the subject alone does not.
    raw: `blur` (0..1), `detail_dip_factor` (1 = none), `soft_frames`.
    """
    if len(crisp.blur) == 0:
        return unmeasured("sharpness", "The clip has no frame to look at.")
    blur = float(np.median(crisp.blur))
    dips = _dips(crisp.detail)
    soft = np.flatnonzero(dips > np.log(1.4))
    dip = float(np.exp(np.max(dips))) if len(dips) else 1.0
    score = min(calibrate(blur, _BLUR), calibrate(dip, _DIP))
    if score >= 0.7:
        reason = "The picture is crisp."
    elif calibrate(dip, _DIP) <= calibrate(blur, _BLUR):
        reason = f"{len(soft)} frames lose detail by a factor of up to {dip:.1f}."
    else:
        reason = f"The whole clip is soft: blur {blur:.2f} of 1."
    raw = {"blur": blur, "detail_dip_factor": dip, "soft_frames": len(soft)}
    return measured("sharpness", score, reason, raw, tuple(int(place) for place in soft[:12]))


def _dips(detail: Floats) -> Floats:
    """(T,) logarithm of how far each frame's median cell lies below the clip's own level, two frames long at least.

    The level is each cell's median over a second and a half to both sides.
    """
    length = len(detail)
    if length < 5:
        return np.zeros(0)
    reach = min(45, length // 2)
    centres = np.unique(np.linspace(0, length - 1, max(2, length // 8)).astype(int))
    medians = np.array([np.median(detail[max(0, at - reach) : at + reach + 1], axis=0) for at in centres])
    level = np.array(
        [np.interp(np.arange(length), centres, medians[:, cell]) for cell in range(detail.shape[1])]
    ).T
    dips = np.median(level - detail, axis=1)
    # A single soft frame is a coder's bidirectional frame; a burst lasts.
    return np.minimum(dips[:-1], dips[1:])


def blockiness(crisp: Crispness) -> Measurement:
    """Calibrated strength of the 8-pixel grid. raw: `grid_ratio` (1 = no grid)."""
    if len(crisp.grid) == 0:
        return unmeasured("blockiness", "The clip has no frame to look at.")
    ratio = float(np.percentile(crisp.grid, 75))
    score = calibrate(ratio, _GRID_EXCESS)
    reason = (
        "No coding blocks show."
        if score >= 0.7
        else f"Coding blocks show: grid lines stand out {ratio:.2f} times."
    )
    return measured("blockiness", score, reason, {"grid_ratio": ratio})
