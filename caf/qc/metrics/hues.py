"""Hues that turn steadily while the clip goes on: what a drift looks like to who has never seen the source.

Of the picture's colours most stay what they are from sample to sample, wherever they move to. What is left when those
are taken away hops about in a clean clip. Where a subject's colours drift it is a part of the hue circle that wanders,
and turned back at the right speed all samples show the same hues.

A scene that changes, because the camera or the light does, also changes how light and how coloured the picture is, and
light pulls opposite hues opposite ways. A drift of hues does neither, unless it goes so far that it explains the other
colours by itself, and it does not jump as from one still picture to the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.frames import Image
from caf.qc.metrics.samples import Sample
from caf.qc.metrics.scoring import calibrate

__all__ = ["HueTurn", "hue_turn"]

_LEAST_SAMPLES = 6
_CELL_PX = 4
_HUES, _LEVELS = 72, 64
_SMOOTH_HUES = 1.6
"""Standard deviation in bins of 5 degrees."""
_SMOOTH_LEVELS = 2.0
_COLOURLESS, _COLOURED, _MOST_COLOUR = 12.0, 36.0, 80.0
"""Levels between the largest and the smallest of red, green and blue: none below the first, in full from the second."""
_STAYS = 8
"""What a colour has in the lowest eighth of the samples, it has throughout."""
_WAVES = 26
"""Of the smoothed hue circle: what is finer is nothing."""
_SPEEDS_DEG = np.arange(-180.0, 181.0, 5.0)
# How alike the samples are after turning back, 0..1: clean clips 0.81 to 0.87, turned by 25 degrees 0.87 to 0.96.
_ALIKE = ((0.84, 0.0), (0.87, 1.0))
# How much else changes from the first third to the last, 1 - Bhattacharyya coefficient of the largest of the three
# colours and of the colourfulness: dancers before a camera that stands 0.011 and 0.004, a camera that moves 0.02 and
# 0.01 or more.
_LIGHT_CHANGES, _COLOUR_CHANGES = 0.015, 0.008
# By how much the samples become more alike when turned back, and the power of it that counts. In 3.2 s of real clips,
# where eight samples find a speed by chance, 0.03 to 0.07; a figure that turns by 25 degrees 0.08, a large part more.
_GAIN, _GAIN_POWER = ((0.0, 0.0), (0.074, 1.0)), 3
# Where that and how alike they become are both so high, the turn explains it if the picture is otherwise coloured in
# the end: hues that are turned far are otherwise bright. Clean clips with as much are otherwise light as well.
_SURE_GAIN, _SURE_ALIKE = ((0.1, 0.0), (0.14, 1.0)), ((0.92, 0.0), (0.95, 1.0))
# Of all that the hues change from sample to sample, what the two largest steps are: dancers and steady turns 0.6 at
# most, three still pictures in a row 1.
_JUMPS = ((0.7, 0.0), (0.85, 1.0))
# Mean colour levels that are left: coding leaves less.
_LEFT_LEVELS = ((1.0, 0.0), (1.7, 1.0))

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class HueTurn:
    """The steady turn that explains most of what the samples' hues do."""

    degrees: float
    """From the first sample to the last, to the nearest 5; the sign tells the way."""
    share: float
    """Of the picture's colour that turns, times how much more alike it is when turned back, as far as that is more than
    chance; 0..1, 0 for no turn."""


@dataclass(frozen=True, slots=True)
class _Colours:
    """Of each sample: mean colour by hue (T, 72), shares of lightness and of colourfulness (T, 64)."""

    hues: Floats
    light: Floats
    colourful: Floats


def hue_turn(samples: Sequence[Sample]) -> HueTurn | None:
    """The turn over all samples, in time order; None of fewer than six, or where nothing has a colour."""
    if len(samples) < _LEAST_SAMPLES or samples[-1].time_s <= samples[0].time_s:
        return None
    rows = [_colours_of(sample.image) for sample in samples]
    seen = _Colours(*(np.array([row[place] for row in rows]) for place in range(3)))
    hues = seen.hues @ _ROUND
    colour = float(np.median(hues.sum(axis=1)))
    if colour <= 0:
        return None
    time = np.array([sample.time_s for sample in samples])
    left = np.maximum(hues - np.sort(hues, axis=0)[len(hues) // _STAYS], 0.0)
    amount = left.sum(axis=1)
    alike = _alike(left, amount, (time - time[0]) / (time[-1] - time[0]) - 0.5)
    best, still = int(np.argmax(alike)), len(_SPEEDS_DEG) // 2
    degrees, much = float(_SPEEDS_DEG[best]), float(np.median(amount))
    gain = float(alike[best] - alike[still])
    sure = calibrate(gain, _SURE_GAIN) * calibrate(float(alike[best]), _SURE_ALIKE)
    certain = calibrate(float(alike[best]), _ALIKE) * calibrate(much, _LEFT_LEVELS) * _same_scene(seen, sure)
    certain *= calibrate(gain, _GAIN) ** _GAIN_POWER * (1 - calibrate(_jumps(hues), _JUMPS))
    share = gain * much / colour * certain
    return HueTurn(degrees, min(1.0, share))


def _colours_of(image: Image) -> tuple[Floats, Floats, Floats]:
    size = (max(1, image.shape[1] // _CELL_PX), max(1, image.shape[0] // _CELL_PX))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    most, least = small.max(axis=2), small.min(axis=2)
    hue = cv2.cvtColor(small.astype(np.float32) / np.float32(255), cv2.COLOR_BGR2HSV)[..., 0]
    colour = (most - least).astype(np.float64).ravel()
    weight = np.clip((colour - _COLOURLESS) / (_COLOURED - _COLOURLESS), 0, 1) * np.minimum(
        colour, _MOST_COLOUR
    )
    place = hue.astype(np.float64).ravel() * (_HUES / 360)
    low = np.floor(place).astype(np.int64)
    above = place - low
    here = np.bincount(low % _HUES, weight * (1 - above), _HUES)
    beyond = np.bincount((low + 1) % _HUES, weight * above, _HUES)
    return np.asarray((here + beyond) / len(weight), dtype=np.float64), _shares(most), _shares(most - least)


def _shares(levels: NDArray[np.uint8]) -> Floats:
    counts = np.bincount(levels.ravel() // (256 // _LEVELS), minlength=_LEVELS).astype(np.float64)
    smooth = np.asarray(cv2.GaussianBlur(counts[None], (0, 0), _SMOOTH_LEVELS), dtype=np.float64)[0]
    return np.asarray(smooth / smooth.sum(), dtype=np.float64)


def _round_smoother() -> Floats:
    """(72, 72): a Gaussian on the hue circle."""
    apart = np.abs(np.arange(_HUES)[:, None] - np.arange(_HUES)[None, :])
    bell = np.exp(-(np.minimum(apart, _HUES - apart) ** 2) / (2 * _SMOOTH_HUES**2))
    return np.asarray(bell / bell[0].sum(), dtype=np.float64)


_ROUND = _round_smoother()


def _alike(left: Floats, amount: Floats, when: Floats) -> Floats:
    """By speed: the length of the mean of the samples' unit vectors, each turned back by its share of the speed.

    Turned in the Fourier domain, where a turn is a factor, and the length is the same (Parseval).
    """
    units = np.sqrt(left / np.maximum(amount[:, None], 1e-9))
    waves = np.fft.rfft(units, axis=1)[:, :_WAVES]
    weight = np.minimum(amount, np.median(amount))
    order = np.arange(_WAVES)
    turn = np.exp(2j * np.pi / 360 * _SPEEDS_DEG[:, None, None] * when[None, :, None] * order[None, None, :])
    mean = np.abs((turn * (waves * weight[:, None])[None]).sum(axis=1)) / max(float(weight.sum()), 1e-9)
    twice = np.where(order == 0, 1.0, 2.0)
    length: Floats = np.sqrt((mean**2 * twice).sum(axis=1) / _HUES)
    return length


def _jumps(hues: Floats) -> float:
    steps = np.sort(np.abs(np.diff(hues, axis=0)).sum(axis=1))
    return float(steps[-2:].sum()) / max(float(steps.sum()), 1e-9)


def _same_scene(seen: _Colours, sure: float) -> float:
    """1 where the last third is as light and as coloured as the first; 0 where it clearly is not. A turn that is
    `sure`, 0..1, may itself have changed how coloured it is."""
    light, coloured = (
        min(1.0, max(0.0, 2 - change))
        for change in (_apart(seen.light) / _LIGHT_CHANGES, _apart(seen.colourful) / _COLOUR_CHANGES)
    )
    return min(light, max(coloured, sure))


def _apart(shares: Floats) -> float:
    third = max(1, len(shares) // 3)
    early, late = shares[:third].mean(axis=0), shares[-third:].mean(axis=0)
    return 1 - float(np.sqrt(early * late).sum())
