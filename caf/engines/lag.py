"""Whether weak texture lags behind what is strong, as it does where a coder saved: it stays where it was for a while.

Noise that was coded once and kept, a dim corner, a wall in a clip of few bits: most of what can be followed there moves
less than the picture, and together, so that it looks like the background. What is strong was coded as it moves.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.engines.background import SURE, Motion, camera_motion
from caf.engines.camera import Step
from caf.engines.similarity import strays

__all__ = ["Weighed", "alike", "weak_lag", "weighed"]

_LAGS: Final = 0.95
"""The weaker half of the features goes so much of the way of the stronger half, or less. Source: 41 clips of known
shake: 0.81 to 0.87 in the dark, in pale haze and at crf 40; 0.95 to 0.98 where something passes or the scene itself
creeps; 0.98 to 1.00 in all others, noise, grain and blur among them."""
_NEAR_PX: Final = 1.5
_NEAR_SHARE: Final = 0.8
"""What strays farther from the camera than this, and than so much of the way it goes, is no background that lags."""
_FEWEST: Final = 40
"""Of fewer features in a frame each half is half a dozen places."""
_MOVES_PX: Final = 0.3
"""RMS; of a camera that moves less from frame to frame nothing is told: what coding does is as large."""


class Weighed(NamedTuple):
    """Steps whose features count by their worth, where that is told apart, or all alike; and the camera by them."""

    steps: Sequence[Step]
    closing: Step | None
    """From the last frame back to the first."""
    camera: Motion


def weighed(steps: Sequence[Step], closing: Step | None, sigma: float) -> Weighed:
    """The camera, `sigma` as in `camera_motion`: by what is strong where weak texture lags, if that tells as much.

    A subject that moves before a weak background is strong too.
    """
    plain = alike(steps)
    camera = camera_motion(plain, sigma)
    if weak_lag(steps, camera):
        strong = camera_motion(steps, sigma)
        unsure, before = (int((each.confidence < SURE).sum()) for each in (strong, camera))
        if unsure <= before:
            return Weighed(steps, closing, strong)
    return Weighed(plain, closing and alike([closing])[0], camera)


def alike(steps: Sequence[Step]) -> list[Step]:
    """The steps with all features counting alike."""
    return [step._replace(worth=None, key_worth=None) for step in steps]


def weak_lag(steps: Sequence[Step], camera: Motion) -> bool:
    """Whether the weaker half of the background's features mostly goes less far than the stronger half."""
    gone, way, count = np.zeros(2), np.zeros(2), 0
    for index, step in enumerate(steps):
        if step.worth is None:
            continue
        usual = camera.background[index][step.cells]
        if np.count_nonzero(usual) >= _FEWEST:
            told = _along(step.points[usual].astype(np.float64), step.worth[usual], camera.steps[index])
            gone += told[0]
            way += told[1]
            count += int(np.count_nonzero(usual))
    if not way.all() or way.sum() < _MOVES_PX**2 * count:
        return False
    return bool(gone[0] / way[0] < _LAGS * gone[1] / way[1])


def _along(
    points: NDArray[np.float64], worth: NDArray[np.float32], motion: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of the weaker and the stronger half, (2,) each: how far they go along the camera's way, and it; px squared."""
    unit = np.array([1.0, 1j])
    went = (points[:, 2:] - points[:, :2]) @ unit
    off = strays(motion, np.ascontiguousarray(points[:, :2]), np.ascontiguousarray(points[:, 2:]))
    goes = went + off
    near = np.abs(off) < max(_NEAR_PX, _NEAR_SHARE * float(np.median(np.abs(goes))))
    strong = worth > np.median(worth)
    halves = (near & ~strong, near & strong)
    gone = [float((went[half] * goes[half].conj()).real.sum()) for half in halves]
    return np.array(gone), np.array([float((np.abs(goes[half]) ** 2).sum()) for half in halves])
