"""freeze and cadence: is every frame a new one, and is none missing?"""

import numpy as np

from caf.qc.metrics.course import Course
from caf.qc.metrics.findings import LEAST_FRAMES, Finding, Flags, places, runs, worst_of
from caf.qc.metrics.scoring import Calibration, calibrate, measured, unmeasured

__all__ = ["EVEN_JUMPS", "JUMPS", "REPEATS", "cadence", "freeze", "is_even"]

# Seconds that the longest freeze stands still beyond one frame's time: a tenth is a hitch that most see.
_FREEZE: Calibration = ((0.0, 1.0), (0.03, 0.8), (0.1, 0.62), (0.33, 0.45), (1.0, 0.15), (2.0, 0.0))
# Shares of all frames. One repeated frame in a hundred goes unnoticed; one in five is pulldown judder.
REPEATS: Calibration = ((0.0, 1.0), (0.012, 0.9), (0.02, 0.8), (0.05, 0.55), (0.2, 0.3), (0.6, 0.0))
JUMPS: Calibration = ((0.0, 1.0), (0.012, 0.92), (0.03, 0.75), (0.075, 0.55), (0.15, 0.35), (0.4, 0.1))
# The even judder of a frame-rate conversion (30 to 25: jumps show in 3-12 % of the frames) is watchable.
EVEN_JUMPS: Calibration = ((0.0, 1.0), (0.05, 0.88), (0.14, 0.72), (0.2, 0.45), (0.4, 0.2))
_WIDEST_PERIOD = 8
_SHORT_RUN = 2
"""A repeat of at most so many frames is the cadence's, a longer one a freeze."""


def freeze(seen: Course) -> Finding:
    """Calibrated length of the longest stretch in which the picture stands still although the clip moves.

    raw: `longest_freeze_s`, `longest_freeze_frames`, `frozen_share`. Stretches of up to two frames count as cadence.
    """
    name, steps = "freeze", seen.steps
    if steps.frames < LEAST_FRAMES:
        return _too_short(name, steps.frames)
    held = _in_runs(seen.repeated, _SHORT_RUN + 1)
    longest = max((stop - start for start, stop in runs(held)), default=0)
    still_s = longest * steps.interval_s
    raw = {
        "longest_freeze_s": still_s,
        "longest_freeze_frames": longest,
        "frozen_share": float(held.mean()),
    }
    blamed = places(held)
    reason = (
        "The picture never stands still."
        if not blamed
        else f"The picture stands still for {still_s:.2f} s ({longest} repeated frames)."
    )
    found = measured(name, calibrate(still_s, _FREEZE), reason, raw, worst_of(blamed, -steps.peak))
    return Finding(found, blamed, {"peak_step_levels": steps.peak})


def cadence(seen: Course) -> Finding:
    """The lower of two calibrations: the shares of doubled frames and of steps in which frames are missing.

    raw: `doubled_share`, `jump_share`, `largest_hurry` (how much further than its neighbours the hastiest step went).
    Jumps that come as evenly as a conversion of the frame rate leaves them are judged less strictly.
    """
    name, steps = "cadence", seen.steps
    if steps.frames < LEAST_FRAMES:
        return _too_short(name, steps.frames)
    doubled = seen.repeated & ~_in_runs(seen.repeated, _SHORT_RUN + 1)
    repeats, jumps = float(doubled.mean()), float(seen.jump.mean())
    raw = {"doubled_share": repeats, "jump_share": jumps, "largest_hurry": float(seen.hurry.max())}
    of_jumps = calibrate(jumps, EVEN_JUMPS if is_even(seen.jump) else JUMPS)
    score = min(calibrate(repeats, REPEATS), of_jumps)
    blamed = places(doubled | seen.jump)
    if not blamed:
        reason = "Every frame is a new one and none is missing."
    elif of_jumps <= calibrate(repeats, REPEATS):
        reason = f"Motion jumps in {int(seen.jump.sum())} places, as if frames were missing there."
    else:
        reason = f"{int(doubled.sum())} frames are shown twice."
    badness = seen.hurry + 10.0 * doubled
    found = measured(name, score, reason, raw, worst_of(blamed, badness))
    return Finding(found, blamed, {"hurry": seen.hurry, "peak_step_levels": steps.peak})


def is_even(jump: Flags) -> bool:
    """Whether jumps come every 3rd to 8th frame, as a conversion to a lower frame rate leaves them."""
    found = np.flatnonzero(jump)
    if len(found) < 3 or float(np.median(np.diff(found))) > _WIDEST_PERIOD:
        return False
    return any(
        np.bincount(found % period).max() >= 0.75 * len(found) for period in range(3, _WIDEST_PERIOD + 1)
    )


def _in_runs(flags: Flags, least: int) -> Flags:
    result = np.zeros_like(flags)
    for start, stop in runs(flags):
        result[start:stop] = stop - start >= least
    return result


def _too_short(name: str, frames: int) -> Finding:
    return Finding(unmeasured(name, f"{frames} frames are too few to judge how smoothly the clip runs."))
