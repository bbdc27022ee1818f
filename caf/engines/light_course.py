"""The light that is meant, under a flicker: the simplest course that the measured light leaves possible.

Light stays, is faded or is switched far more often than it wanders. A moving average does not know that, and keeps of
a random flicker what is as slow as its own width. Here a shot is cut where the light was switched, and each part
gets the course with the least error to be expected, out of a level, a line, a fade, two curves and smoothers of
several widths. What the flicker alone would do to each of them is tried on random series with its spectrum.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.engines.smooth import shots

__all__ = ["SIGMA_S", "flicker_rms", "intended", "switches"]

SIGMA_S = 0.4
"""A quadratic under a Gaussian of this width is the quickest course: light that changes in a second is meant."""
_WIDER = (10, 4, 2, 1)
_TRIALS = 32
_STIFF = 5.0
"""A simpler course is preferred until it is this much worse than the flicker explains."""
_LEAST = 5
_FARTHEST_SIGMAS = 3.5
_BLOCK = 512
_SPIKE = 4.0
_DARKEST_OF_FADE = 0.05
_SWITCH = 0.05
_SURELY = 4.5
_ABOVE_REST = 1.5
_REACH_S = 0.6
"""A longer look would take the turns of light that swells and fades for jumps."""
_AT_ONCE_FRAMES = 6
_AT_ONCE = 0.5
_APART_S = 0.3

Series = NDArray[np.float64]


class _Jump(NamedTuple):
    size: float
    variance: float
    """Of the size, for a flicker of variance one."""
    certainty: float


def intended(light: Series, fps: float, edges: Sequence[int] = ()) -> Series:
    """The course (T,) that the log light (T,) is meant to take; it may jump at `edges` only."""
    course = np.empty_like(light)
    for part in shots(len(light), edges):
        course[part] = _simplest(light[part], SIGMA_S * fps)
    return course


def flicker_rms(light: Series, fps: float, edges: Sequence[int] = ()) -> float:
    """RMS of what is too quick to be meant, edges apart, (T, D) summed over D."""
    rest = [_quick(light[part], SIGMA_S * fps) for part in shots(len(light), edges)]
    return float(np.sqrt(np.mean(np.sum(np.concatenate(rest) ** 2, axis=1)))) if rest else 0.0


def _quick(light: Series, sigma: float) -> Series:
    return light - (_local(light, sigma, 2) if len(light) >= _LEAST else light.mean(axis=0))


def _simplest(light: Series, sigma: float) -> Series:
    """Of all courses that with the least expected squared distance from the one that is meant.

    The quickest course Q is taken to have no error but the flicker's. Another, C, then has |Q - C|^2, less what the
    flicker does to Q - C, more what it does to C.
    """
    count = len(light)
    if count < _LEAST:
        return np.full(count, light.mean())
    even = _without_spikes(light)
    power, _ = _spectrum(_quick(even[:, None], sigma)[:, 0], sigma)
    trials = np.column_stack((even, _random_series(power, count)))
    quickest = _local(trials, sigma, 2)
    found: list[tuple[float, Series]] = []

    def judge(course: Series, expected: float) -> None:
        found.append((float(np.sum((quickest[:, 0] - course) ** 2)) + expected, course))

    for name, courses in _candidates(trials, sigma):
        noise = np.sum(courses[:, 1:] ** 2) - np.sum((quickest[:, 1:] - courses[:, 1:]) ** 2)
        expected = _STIFF * float(noise) / _TRIALS
        judge(courses[:, 0], expected)
        fade = _fade(even) if name == "line" else None
        if fade is not None:
            judge(fade, expected)
    judge(quickest[:, 0], _STIFF * float(np.sum(quickest[:, 1:] ** 2)) / _TRIALS)
    return min(found, key=lambda one: one[0])[1]


def _candidates(series: Series, sigma: float) -> list[tuple[str, Series]]:
    """Simplest first: of equal ones the first counts."""
    named = [
        (name, _polynomial(series, order)) for order, name in enumerate(("level", "line", "bow", "bend"))
    ]
    wide = [wider for wider in _WIDER if len(series) > 2 * wider * sigma]
    return named + [(f"smooth {wider}", _local(series, wider * sigma, 1)) for wider in wide]


def _without_spikes(light: Series) -> Series:
    """Single frames far from their neighbours drawn in: a flash is no course."""
    near = np.lib.stride_tricks.sliding_window_view(np.pad(light, 2, mode="reflect"), 5)
    usual = np.median(near, axis=1)
    rest = light - usual
    reach = _SPIKE * max(1.4826 * float(np.median(np.abs(rest))), 1e-6)
    return np.asarray(usual + np.clip(rest, -reach, reach))


def _powers(count: int, order: int) -> Series:
    return np.linspace(-1.0, 1.0, count)[:, None] ** np.arange(order + 1)


def _polynomial(series: Series, order: int) -> Series:
    basis = _powers(len(series), order)
    return np.asarray(basis @ np.linalg.lstsq(basis, series, rcond=None)[0])


def _fade(light: Series) -> Series | None:
    """A straight line of the gain itself, as editors fade; None where it would pass through black."""
    basis = _powers(len(light), 1)
    gain = np.exp(light - light.mean())
    line = gain
    for _ in range(4):
        # By the line's own inverse, because the flicker is relative.
        line = basis @ np.linalg.lstsq(basis / line[:, None], gain / line, rcond=None)[0]
        if line.min() < _DARKEST_OF_FADE * line.max():
            return None
    course = np.log(line)
    return np.asarray(course + (light - course).mean())


def _local(series: Series, sigma: float, order: int) -> Series:
    """(T, D) smoothed: at each frame a polynomial of `order` under a Gaussian, cut off at the ends."""
    count = len(series)
    reach = min(count - 1, int(np.ceil(_FARTHEST_SIGMAS * sigma)))
    offset = np.arange(-reach, reach + 1, dtype=np.float64)
    kernel, basis = np.exp(-0.5 * (offset / sigma) ** 2), (offset / sigma) ** np.arange(order + 1)[:, None]
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(series, ((reach, reach), (0, 0))), 2 * reach + 1, axis=0
    )
    out = np.empty_like(series)
    for start in range(0, count, _BLOCK):
        at = np.arange(start, min(start + _BLOCK, count))
        frame = at[:, None] + offset
        weight = kernel * ((frame >= 0) & (frame < count))
        moments = np.einsum("tw,iw,jw->tij", weight, basis, basis, optimize=True)
        moments += 1e-9 * np.eye(order + 1)
        first = np.linalg.inv(moments)[:, 0]
        out[at] = np.einsum("tw,tdw->td", weight * (first @ basis), windows[at], optimize=True)
    return out


def _spectrum(rest: Series, sigma: float) -> tuple[Series, float]:
    """The flicker's power by frequency, of twice as many frames, and the level it is given where light is meant.

    What is as slow as meant light cannot be told from it, so there the flicker is as strong as usual elsewhere:
    by ranks, so that a hum at one frequency, which the smoothers take out, does not count.
    """
    power = np.abs(np.fft.rfft(rest, 2 * len(rest))) ** 2 / len(rest)
    frequency = np.fft.rfftfreq(2 * len(rest))
    slowest = 0.4 / sigma
    high = frequency > slowest
    near = high & (frequency < 4 * slowest)
    if not near.any():
        return power, float(power.mean())
    # Of white noise the power is exponential: its median is ln 2 of the mean, its 60th percentile 0.916.
    floor = max(float(np.median(power[high])) / np.log(2.0), float(np.quantile(power[near], 0.6)) / 0.916)
    return np.where(high, power, floor), floor


def _random_series(power: Series, count: int) -> Series:
    """(T, trials) of this spectrum, the same for the same spectrum."""
    chance = np.random.default_rng(0).normal(size=(2, len(power), _TRIALS))
    waves = np.sqrt(power * count)[:, None] * (chance[0] + 1j * chance[1])
    return np.asarray(np.fft.irfft(waves, 2 * count, axis=0)[:count])


def switches(light: Series, fps: float, cuts: Sequence[int] = ()) -> list[int]:
    """Frames from which the log light (T,) was switched: a jump at once, that lasts, and that no flicker feigns."""
    jumps: dict[int, _Jump] = {}
    for part in shots(len(light), cuts):
        jumps |= {part.start + at: jump for at, jump in _jumps(light[part], fps).items()}
    kept: dict[int, _Jump] = {}
    while jumps:
        best = max(jumps, key=lambda frame: jumps[frame].certainty)
        kept[best] = jumps[best]
        jumps = {at: jump for at, jump in jumps.items() if abs(at - best) > _APART_S * fps}
    while kept:
        # Again, beside a flicker that is not white: a slow one jumps more than its single frames tell.
        parts = shots(len(light), [*cuts, *kept])
        rest = np.concatenate([_quick(light[part][:, None], SIGMA_S * fps)[:, 0] for part in parts])
        floor = max(_spectrum(rest, SIGMA_S * fps)[1], 1e-12)
        weakest = min(kept, key=lambda at: kept[at].size ** 2 / kept[at].variance)
        if kept[weakest].size ** 2 >= _SURELY**2 * floor * kept[weakest].variance:
            break
        del kept[weakest]
    return sorted(kept)


def _jumps(light: Series, fps: float) -> dict[int, _Jump]:
    reach = max(_LEAST, round(_REACH_S * fps))
    found = {at: _jump(light, at, reach) for at in range(_LEAST, len(light) - _LEAST + 1)}
    return {at: jump for at, jump in found.items() if jump is not None}


def _jump(light: Series, at: int, reach: int) -> _Jump | None:
    """The jump between frame `at - 1` and `at` of a parabola through `reach` frames on both sides, if it is one."""
    left, right = min(reach, at), min(reach, len(light) - at)
    around = light[at - left : at + right]
    solve, design = _step_design(left, right, 2)
    fitted = solve @ around
    size, variance = abs(float(fitted[-1])), float(solve[-1] @ solve[-1])
    if size < _SWITCH:
        return None
    noise = float(np.sum((around - design @ fitted) ** 2)) / max(1, left + right - 4)
    if size < _ABOVE_REST * np.sqrt(noise) or size < _SURELY * np.sqrt(noise * variance):
        return None
    left, right = min(_AT_ONCE_FRAMES, left), min(_AT_ONCE_FRAMES, right)
    across, _ = _step_design(left, right, 1)
    at_once = float(across[-1] @ light[at - left : at + right]) * float(np.sign(fitted[-1]))
    if at_once < _AT_ONCE * size:
        return None  # a quick fade, or a bend
    return _Jump(size, variance, size / float(np.sqrt(max(noise * variance, 1e-8))))


@cache
def _step_design(left: int, right: int, order: int) -> tuple[Series, Series]:
    """What finds a polynomial of `order` and a step after `left` of `left + right` frames, and what draws them."""
    time = (np.arange(left + right) - left + 0.5) / (left + right)
    curve = time[:, None] ** np.arange(order + 1)
    design = np.column_stack((curve, np.where(time > 0, 1.0, 0.0)))
    return np.asarray(np.linalg.pinv(design)), design
