"""Flicker: how the light changed over a clip, and the gains that hold it to the course that is meant."""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.engines.burnt import recovered, softened
from caf.engines.fades import fade_course
from caf.engines.gain import Gain, Small, gain_between, shrunk
from caf.engines.light_course import flicker_rms, intended, switches
from caf.engines.scene import evenly, is_cut
from caf.engines.smooth import shots
from caf.media.read import Frame

__all__ = ["LightMeter", "LightPlan", "lit", "plan_light"]

_LAGS = (1, 4, 16)
"""Frames back: over the near ones the picture agrees best, over the far ones small errors do not add up."""
_SURELY = 3.0
"""Times the errors of measuring, which a shaking camera and a large subject in even light stay below."""
_SUREST = 0.004
_LARGEST = 0.7
_WORTH_IT = 0.003
_POWER_WORTH_IT = 0.01
_LARGEST_POWER = 2.0
_DARK_FRAMES = 3
"""So many in a row, or any at an end of a shot, show too little to tell the light after them from that before."""
_IDLE = 1e-4
# Brightness, and what two channels have more of than the others: lamps and exposure change all alike.
_PARTS = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-0.5, 1.0, -0.5]]).T

Series = NDArray[np.float64]


class _Level(NamedTuple):
    """A frame's light since the shot's first frame."""

    factors: Series
    at_pivot: Series
    power: float
    """Log of it."""


class LightMeter:
    """Measures, frame by frame, the gain of each colour channel against several frames before."""

    def __init__(self) -> None:
        self._before: deque[Small] = deque(maxlen=max(_LAGS))
        self._pivot = 0.0
        self.levels: list[_Level] = []
        """Log gains since the first frame of the shot."""
        self.pivots: list[float] = []
        """Log level at which a change of gamma changes nothing."""
        self.errors: list[float] = []
        """How far apart the levels are that the frames before lead to, in the same unit: errors of measuring alone."""
        self.power_errors: list[float] = []
        """As `errors`, of the power's log."""
        self.cuts: list[int] = []
        self.told: list[bool] = []
        """Whether a frame shows enough that is neither black nor white to tell its level."""

    def add(self, image: NDArray[np.uint8]) -> None:
        """Measure the next frame, (H, W, 3) uint8 BGR."""
        small = shrunk(image)
        if self._before and is_cut(evenly(self._before[-1]), evenly(small)):
            self.cuts.append(len(self.levels))
            self._before.clear()
        if not self._before:
            self._pivot = float(np.log(np.clip(small, 8.0, 247.0)).mean())
        gains = {lag: self._since(small, lag) for lag in _LAGS if lag <= len(self._before)}
        found = {lag: gain for lag, gain in gains.items() if gain is not None}
        self.told.append(bool(found) if self._before else gain_between(small, small, self._pivot) is not None)
        self.levels.append(self._level(found))
        self.pivots.append(self._pivot)
        self._before.append(small)

    def _since(self, small: Small, lag: int) -> Gain | None:
        return gain_between(self._before[-lag], small, self._pivot)

    def _level(self, gains: dict[int, Gain]) -> _Level:
        """What the frames before lead to, each by how well it agrees."""
        if not self._before:
            return _Level(np.zeros(3), np.zeros(3), 0.0)
        if not gains:
            return self.levels[-1]
        factors, at_pivot, power, total = np.zeros(3), np.zeros(3), 0.0, 0.0
        led: list[tuple[float, float]] = []
        led_powers: list[tuple[float, float]] = []
        for lag, gain in gains.items():
            before, weight = self.levels[-lag], 1.0 / max(gain.spread, _SUREST)
            bent = (1.0 + gain.slope / 2) / (1.0 - gain.slope / 2)
            factors += weight * (before.factors + gain.factors)
            at_pivot += weight * (bent * before.at_pivot + gain.at_pivot / (1.0 - gain.slope / 2))
            led_powers.append((weight, before.power + float(np.log(bent))))
            power += weight * led_powers[-1][1]
            total += weight
            led.append((weight, float((before.factors + gain.factors).mean())))
        self.errors += _error_of(led)
        self.power_errors += _error_of(led_powers)
        return _Level(factors / total, at_pivot / total, power / total)


def _error_of(led: list[tuple[float, float]]) -> list[float]:
    """Of the mean of some levels with their weights, the standard error; nothing of one alone."""
    weight, level = np.array(led).T
    if len(led) < 2:
        return []
    apart = level - weight @ level / weight.sum()
    return [float(np.sqrt(weight @ apart**2 / weight.sum() / (len(led) - 1)))]


class LightPlan(NamedTuple):
    """What `lit` is to do to each frame, and how much flicker that leaves."""

    gains: Series
    """(T, 3) factors for B, G, R."""
    powers: Series
    """(T,) 1 where the flicker is one of gain alone."""
    flicker_before_pct: float
    flicker_after_pct: float

    cuts: tuple[int, ...] = ()
    """First frames of new shots."""

    def over(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The frames evened; what is burnt out in dimmed ones is as bright as those beside show it.

        Frames after the last that was measured are treated as that one. Three frames are held in memory.
        """
        if not len(self.gains) or (np.abs(self.gains - 1.0).max() < _IDLE and (self.powers == 1.0).all()):
            yield from frames
            return
        source = iter(frames)
        now, index, before = next(source, None), 0, None
        even = self._levelled(now.image, index) if now is not None else None
        while now is not None and even is not None:
            coming = next(source, None)
            after = self._levelled(coming.image, index + 1) if coming is not None else None
            gains = self._gains(index)
            shown = even
            if gains.min() < 1.0 - _IDLE:
                soft = softened(now.image, even) if gains.max() < 1.0 else even
                beside = (None if index in self.cuts else before, None if index + 1 in self.cuts else after)
                shown = recovered(now.image, even, soft, [one for one in beside if one is not None])
            yield Frame(shown, now.time_s)
            now, even, before, index = coming, after, shown, index + 1

    def _gains(self, index: int) -> Series:
        return np.asarray(self.gains[min(index, len(self.gains) - 1)])

    def _levelled(self, image: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        return _levelled(image, self._gains(index), float(self.powers[min(index, len(self.powers) - 1)]))


def plan_light(meter: LightMeter, fps: float, strength: float) -> LightPlan:
    """Gains that hold each frame to the course of light that is meant, with `strength` 0..1.

    Cuts and switched lights stay where they are, fades stay fades. Where the flicker cannot be told from the
    measurement's own error nothing is done.
    """
    count, cuts = len(meter.levels), tuple(meter.cuts)
    factors = np.array([level.factors for level in meter.levels]).reshape(-1, 3)
    dark, apart = _dark(meter.told, cuts)
    fades = np.zeros(count)
    for part in shots(count, apart):
        if not dark[part.start]:
            fades[part] = fade_course(factors[part].mean(axis=1), fps)
    powers = np.where(dark, 0.0, [level.power for level in meter.levels])
    factors = np.where(dark[:, None], 0.0, factors - fades[:, None])
    edges = sorted({*apart, *switches(factors.mean(axis=1), fps, apart)})
    bent = flicker_rms(powers[:, None], fps, edges) > max(_POWER_WORTH_IT, _SURELY * _rms(meter.power_errors))
    at_pivot = np.array([level.at_pivot for level in meter.levels]).reshape(-1, 3)
    light = np.where(dark[:, None], 0.0, at_pivot - fades[:, None]) if bent else factors
    before = flicker_rms(light.mean(axis=1)[:, None], fps, edges)
    worth = max(_WORTH_IT, _SURELY * _rms(meter.errors))
    colour = flicker_rms(light, fps, edges) / np.sqrt(3)
    if strength <= 0 or count < 3 or (max(before, colour) < worth and not bent):
        return LightPlan(np.ones((count, 3)), np.ones(count), 100 * before, 100 * before, cuts)
    change = np.clip(strength * (_meant(light, fps, edges) - light), -_LARGEST, _LARGEST)
    change[dark] = 0.0
    after = flicker_rms((light + change).mean(axis=1)[:, None], fps, edges)
    if not bent:
        return LightPlan(np.exp(change), np.ones(count), 100 * before, 100 * after, cuts)
    power = np.exp(strength * (intended(powers, fps, edges) - powers))
    power = np.clip(power, 1 / _LARGEST_POWER, _LARGEST_POWER)[:, None]
    # From the level of the pivot to white, which a power of levels between 0 and 1 leaves alone.
    to_white = np.log(255.0) - np.array(meter.pivots)[:, None]
    light = light + fades[:, None]
    gains = np.exp(light + change - power * light + (power - 1.0) * to_white)
    return LightPlan(gains, power[:, 0], 100 * before, 100 * after, cuts)


def _rms(errors: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else 0.0


def _dark(told: list[bool], cuts: Sequence[int]) -> tuple[NDArray[np.bool_], list[int]]:
    """(T,) the frames whose light is not told, and the first frames of what they and the cuts tell apart."""
    dark = np.zeros(len(told), np.bool_)
    for shot in shots(len(told), cuts):
        known = np.flatnonzero(told[shot]) + shot.start
        if not len(known):
            dark[shot] = True
            continue
        dark[shot.start : known[0]] = dark[known[-1] + 1 : shot.stop] = True
        for one, other in itertools.pairwise(known):
            dark[one + 1 : other] = other - one > _DARK_FRAMES
    return dark, sorted({*cuts, *(int(at) + 1 for at in np.flatnonzero(np.diff(dark)))})


def _meant(light: Series, fps: float, edges: list[int]) -> Series:
    parts = light @ np.linalg.inv(_PARTS).T
    return np.asarray(np.column_stack([intended(part, fps, edges) for part in parts.T]) @ _PARTS.T)


def lit(image: NDArray[np.uint8], gains: Series, power: float = 1.0) -> NDArray[np.uint8]:
    """The frame with its levels, 0..1, raised to `power` and its channels multiplied by `gains` (3,).

    Burnt-out highlights have lost their colour, and dimmed in full they would turn into flat grey-green
    patches: pixels with a channel near the top are dimmed less, all channels alike.
    """
    even = _levelled(image, gains, power)
    return softened(image, even) if even is not image and gains.max() < 1.0 else even


def _levelled(image: NDArray[np.uint8], gains: Series, power: float) -> NDArray[np.uint8]:
    if np.abs(gains - 1.0).max() < _IDLE and abs(power - 1.0) < _IDLE:
        return image
    levels = 255.0 * ((np.arange(256.0) / 255.0) ** power)[:, None] * gains[None, :]
    return np.asarray(cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8)[None]), np.uint8)
