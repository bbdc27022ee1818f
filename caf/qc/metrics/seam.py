"""loop_seam: is the step from the last frame back to the first like the steps beside it?"""

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np

from caf.ports import Measurement
from caf.qc.metrics.scoring import calibrate, measured, unmeasured
from caf.qc.metrics.steps import ENDS, Steps

__all__ = ["loop_seam"]

# Ratio of the seam's step to the large steps beside it. Of 198 loops made of 99 real clips, there and back or faded
# over, none reaches 1.4; of those that lack the last 15 %, nine tenths reach 1.5; at 4 it is a cut.
# Brightness: 2 % at once is at the edge of being seen (compare flicker in `temporal`), 10 % is a flash.
_STEP = ((1.2, 1.0), (1.5, 0.7), (2.2, 0.45), (4.0, 0.15), (7.5, 0.0))
_GAIN = ((2.0, 1.0), (5.0, 0.7), (12.0, 0.3), (30.0, 0.0))
_LEAST_FRAMES = 8
_CODING_LEVELS = 0.5
"""By so much two pictures differ that were coded apart, as the first and the last are."""
_HELD_LEVEL, _MOVING = 0.1, 3
"""A picture that is shown again moves less than this; with fewer steps beside the seam that do, nothing is known."""
_FLOW_SIDE_PX = 12
"""In smaller pictures OpenCV finds no flow."""


def loop_seam(steps: Steps) -> Measurement:
    """Calibrated ratio of the seam's frame difference to the 90th percentile of the ten steps beside it.

    The same once more of what is left of the difference when the optical flow is taken out; the larger ratio counts.
    Where pictures are held for so long that too few move beside the seam, only the frame difference is looked at,
    against all steps that move.

    score: the lower of the step's and the brightness jump's calibration. raw: `seam_step_levels`,
    `typical_step_levels` (grey levels at 160 px), `seam_rest_levels`, `typical_rest_levels` (without the motion; where
    looked at), `seam_ratio`, `brightness_jump_percent`.
    """
    name = "loop_seam"
    if steps.frames < _LEAST_FRAMES:
        return unmeasured(name, f"Too few frames to know the clip's typical step: {steps.frames}.")
    inner = steps.step[1:]
    beside = np.concatenate((inner[-ENDS:], inner[:ENDS]))
    moves = int((beside > _HELD_LEVEL).sum()) >= _MOVING
    moving = beside if moves else inner[inner > _HELD_LEVEL]
    typical = float(np.percentile(moving, 90)) if len(moving) else 0.0
    ratio = steps.seam / (typical + _CODING_LEVELS)
    usual_gain = float(np.percentile(np.abs(np.diff(steps.gain)), 90))
    jump = 100 * max(0.0, abs(steps.seam_gain) - usual_gain)
    raw = {
        "seam_step_levels": steps.seam,
        "typical_step_levels": typical,
        "brightness_jump_percent": jump,
    }
    if moves and min(steps.end[-1].shape) >= _FLOW_SIDE_PX:
        seam, *others = _rests(steps)
        usual = float(np.percentile(others, 90))
        raw |= {"seam_rest_levels": seam, "typical_rest_levels": usual}
        ratio = max(ratio, seam / (usual + _CODING_LEVELS))
    raw["seam_ratio"] = ratio
    of_step, of_light = calibrate(ratio, _STEP), calibrate(jump, _GAIN)
    score = min(of_step, of_light)
    if score >= 0.7 or of_step <= of_light:
        said = "The clip loops smoothly" if score >= 0.7 else "The loop jumps"
        reason = f"{said}: the step at the seam is {ratio:.1f} times a large step beside it."
    else:
        reason = f"The loop jumps: at the seam the light changes by {jump:.0f} %."
    worst = () if score >= 0.7 else (0, steps.frames - 1)
    return measured(name, score, reason, raw, worst)


def _rests(steps: Steps) -> Iterator[float]:
    """What motion does not explain of the seam, then of every step beside it, in grey levels."""
    end, beginning = (
        [cv2.convertScaleAbs(picture) for picture in pictures] for pictures in (steps.end, steps.beginning)
    )
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    height, width = end[-1].shape[:2]
    places = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    for before, after in ((end[-1], beginning[0]), *pairwise(end), *pairwise(beginning)):
        flow = finder.calc(before, after, np.zeros_like(places))
        moved = cv2.remap(after, places + flow, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        yield float(cv2.mean(cv2.absdiff(moved, before))[0])
