"""loop_seam: is the step from the last frame back to the first like any other step of the clip?"""

import numpy as np

from caf.ports import Measurement
from caf.qc.metrics.scoring import calibrate, measured, unmeasured
from caf.qc.metrics.steps import Steps

__all__ = ["loop_seam"]

# Ratio of the seam's step to the clip's large steps: 1.3 is lost in the motion, at 2 a viewer sees a hitch, at 4
# a cut. Brightness: 2 % at once is at the edge of being seen (compare flicker in `temporal`), 10 % is a flash.
_STEP = ((1.3, 1.0), (2.0, 0.7), (3.0, 0.45), (5.0, 0.15), (9.0, 0.0))
_GAIN = ((2.0, 1.0), (5.0, 0.7), (12.0, 0.3), (30.0, 0.0))
_LEAST_FRAMES = 8
_NOISE_LEVEL = 0.6


def loop_seam(steps: Steps) -> Measurement:
    """Calibrated ratio of the seam's frame difference to the 90th percentile of the clip's own steps.

    score: the lower of the step's and the brightness jump's calibration. raw: `seam_step_levels`,
    `typical_step_levels` (grey levels at 160 px), `seam_ratio`, `brightness_jump_percent`.
    """
    name = "loop_seam"
    if steps.frames < _LEAST_FRAMES:
        return unmeasured(name, f"Too few frames to know the clip's typical step: {steps.frames}.")
    inner = steps.step[1:]
    # A still clip has no step of its own: below the noise of coding nothing is seen.
    typical = max(float(np.percentile(inner, 90)), _NOISE_LEVEL)
    ratio = steps.seam / typical
    usual_gain = float(np.percentile(np.abs(np.diff(steps.gain)), 90))
    jump = 100 * max(0.0, abs(steps.seam_gain) - usual_gain)
    score = min(calibrate(ratio, _STEP), calibrate(jump, _GAIN))
    raw = {
        "seam_step_levels": steps.seam,
        "typical_step_levels": typical,
        "seam_ratio": ratio,
        "brightness_jump_percent": jump,
    }
    if score >= 0.7:
        reason = f"The clip loops smoothly: the step at the seam is {ratio:.1f} times a large step inside."
    else:
        reason = f"The loop jumps: the step at the seam is {ratio:.1f} times a large step inside the clip."
    worst = () if score >= 0.7 else (0, steps.frames - 1)
    return measured(name, score, reason, raw, worst)
