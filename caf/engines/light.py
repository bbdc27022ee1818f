"""Flicker: how the light changed from frame to frame, and the gains that hold it to its smooth course."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.engines.scene import is_cut, overlaid
from caf.engines.smooth import high_pass_rms, shots, smooth

__all__ = ["LightMeter", "LightPlan", "lit", "plan_light"]

SIGMA_S = 0.4
"""Light that changes more slowly than this is meant."""
_SMALL = (96, 54)
_DARK, _BRIGHT = 14.0, 238.0  # outside, clipping hides the gain
_LEAST_SHARE = 0.05
_JUMP_FRAMES = 8
_JUMP = 0.08
_SURELY = 3.0
_LARGEST = 0.7
_WORTH_IT = 0.003
_SHOULDER = 236
_KEPT_BURNT = 0.4
_BURNT_SOFTNESS_PX = 1.5

Series = NDArray[np.float64]


class LightMeter:
    """Measures, frame by frame, the gain of each colour channel against the frame before."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None
        self.steps: list[Series] = []
        """(3,) log gain B, G, R per frame; zero for the first frame of a shot."""
        self.noise: list[float] = []
        """Standard error of the steps, in the same unit."""
        self.cuts: list[int] = []

    def add(self, image: NDArray[np.uint8]) -> None:
        """Measure the next frame, (H, W, 3) uint8 BGR."""
        small = cv2.resize(image, _SMALL, interpolation=cv2.INTER_AREA).astype(np.float32)
        before, self._before = self._before, small
        step, noise = np.zeros(3), 0.0
        if before is not None:
            if is_cut(before.mean(axis=2), small.mean(axis=2)):
                self.cuts.append(len(self.steps))
            else:
                step, noise = _gains(*overlaid(before, small))
        self.steps.append(step)
        self.noise.append(noise)


def _gains(before: NDArray[np.float32], after: NDArray[np.float32]) -> tuple[Series, float]:
    """Median log ratio per channel: what moves in the picture does not pull it."""
    step, noise = np.zeros(3), 0.0
    for channel in range(3):
        a, b = before[..., channel], after[..., channel]
        usable = (a > _DARK) & (a < _BRIGHT) & (b > _DARK) & (b < _BRIGHT)
        if usable.mean() < _LEAST_SHARE:
            continue
        ratio = np.log(b[usable] / a[usable])
        step[channel] = np.median(ratio)
        spread = 1.4826 * float(np.median(np.abs(ratio - step[channel])))
        noise = max(noise, 1.25 * spread / float(np.sqrt(ratio.size)))
    return step, noise


class LightPlan(NamedTuple):
    """Gains to apply, and what they do."""

    gains: Series
    """(T, 3) factors for B, G, R."""
    flicker_before_pct: float
    flicker_after_pct: float


def plan_light(meter: LightMeter, fps: float, strength: float) -> LightPlan:
    """Gains that hold each frame to the clip's smooth course of light with `strength` 0..1.

    Cuts and switched lights stay where they are, fades stay straight. Where the flicker cannot be told from
    the measurement's own error nothing is done.
    """
    count = len(meter.steps)
    course = np.zeros((count, 3))
    for shot in shots(count, meter.cuts):
        course[shot] = np.cumsum(np.array(meter.steps[shot]), axis=0)
    edges = sorted({*meter.cuts, *_switches(course.mean(axis=1), meter.cuts)})
    sigma = SIGMA_S * fps
    before = high_pass_rms(course.mean(axis=1)[:, None], sigma, cuts=edges)
    worth = max(_WORTH_IT, 1.5 * float(np.median(meter.noise)) if count else 0.0)
    colour = high_pass_rms(course, sigma, cuts=edges) / np.sqrt(3)
    if strength <= 0 or count < 3 or max(before, colour) < worth:
        return LightPlan(np.ones((count, 3)), 100 * before, 100 * before)
    change = np.clip(strength * (smooth(course, sigma, cuts=edges) - course), -_LARGEST, _LARGEST)
    after = high_pass_rms((course + change).mean(axis=1)[:, None], sigma, cuts=edges)
    return LightPlan(np.exp(change), 100 * before, 100 * after)


def _switches(light: Series, cuts: Sequence[int]) -> list[int]:
    """Frames at which the light was switched: a jump between the straight lines on either side."""
    found: list[int] = []
    reach = _JUMP_FRAMES
    for shot in shots(len(light), cuts):
        scores = np.zeros(shot.stop - shot.start)
        for index in range(shot.start + reach, shot.stop - reach + 1):
            left, left_rest = _line_end(light[index - reach : index], reach)
            right, right_rest = _line_end(light[index : index + reach][::-1], reach)
            jump = abs(right - left)
            if jump > _JUMP and jump > _SURELY * max(left_rest, right_rest):
                scores[index - shot.start] = jump
        while scores.any():
            peak = int(np.argmax(scores))
            found.append(shot.start + peak)
            scores[max(0, peak - reach) : peak + reach] = 0.0
    return sorted(found)


def _line_end(values: Series, reach: int) -> tuple[float, float]:
    """Where the straight line through `values` is half a step after them, and the RMS distance from it."""
    at = np.arange(reach, dtype=np.float64)
    slope, base = np.polyfit(at, values, 1)
    rest = float(np.sqrt(np.mean((values - base - slope * at) ** 2)))
    return float(base + slope * (reach - 0.5)), rest


def lit(image: NDArray[np.uint8], gains: Series) -> NDArray[np.uint8]:
    """The frame with its channels multiplied by `gains` (3,).

    Burnt-out highlights have lost their colour, and dimmed in full they would turn into flat grey-green
    patches: pixels with a channel near the top are dimmed less, all channels alike.
    """
    if np.abs(gains - 1.0).max() < 1e-4:
        return image
    levels = np.arange(256.0)[:, None] * gains[None, :]
    even = np.asarray(cv2.LUT(image, np.clip(np.rint(levels), 0, 255).astype(np.uint8)[None]), np.uint8)
    if gains.max() >= 1.0:
        return even
    blue, green, red = cv2.split(image)
    top = cv2.max(cv2.max(blue, green), red)
    if not (top > _SHOULDER).any():
        return even
    rise = np.clip((np.arange(256.0) - _SHOULDER) / (255.0 - _SHOULDER), 0.0, 1.0)
    table = (_KEPT_BURNT * rise * rise * (3.0 - 2.0 * rise)).astype(np.float32)
    burnt = cv2.GaussianBlur(cv2.LUT(top, table), (0, 0), _BURNT_SOFTNESS_PX)
    return np.asarray(cv2.blendLinear(image, even, burnt, 1.0 - burnt), np.uint8)
