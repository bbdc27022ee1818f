"""blank and flicker: is there a picture in every frame, and is its light steady?"""

import numpy as np

from caf.qc.metrics.course import EMPTY_LEVELS, Course
from caf.qc.metrics.findings import LEAST_FRAMES, Finding, Flags, places, worst_of
from caf.qc.metrics.flickering import deviation_percent, flicker_percent
from caf.qc.metrics.scoring import Calibration, calibrate, measured, unmeasured

__all__ = ["BLANKS", "FLICKER", "blank", "blanks_of", "flicker"]

# Percent of brightness, RMS in the worst second. Untouched clips: 0.1-0.35. Source of the limit: brightness
# changes of 1-2 % at 5-15 Hz are visible (H. de Lange, J. Opt. Soc. Am. 48, 1958).
FLICKER: Calibration = ((0.0, 1.0), (0.6, 0.92), (1.2, 0.75), (2.5, 0.5), (6.0, 0.2), (15.0, 0.0))
_VISIBLE_PERCENT = 1.46
"""Where `FLICKER` gives 0.7."""
# Counted: a single blank frame is seen by most.
BLANKS: Calibration = ((0.0, 1.0), (1.0, 0.4), (3.0, 0.2), (8.0, 0.0))


def blank(seen: Course) -> Finding:
    """Calibrated count of frames without content that begin or end abruptly; fades are none. Where most of the
    clip has no content, each such frame counts.

    raw: `blank_frames`, `least_contrast_levels` (standard deviation of the emptiest frame's grey levels).
    """
    name, steps = "blank", seen.steps
    if steps.frames == 0:
        return Finding(unmeasured(name, "The clip has no frame to look at."))
    blamed = places(blanks_of(seen))
    raw = {"blank_frames": len(blamed), "least_contrast_levels": float(steps.contrast.min())}
    reason = "No frame is blank." if not blamed else f"Frames are blank: {len(blamed)}."
    if _is_empty(seen):
        reason = f"The clip shows nothing in {len(blamed)} of {steps.frames} frames."
    found = measured(name, calibrate(len(blamed), BLANKS), reason, raw, worst_of(blamed, -steps.contrast))
    return Finding(found, blamed, {"contrast_levels": steps.contrast, "luma_levels": steps.luma})


def blanks_of(seen: Course) -> Flags:
    """(T,) the frames that `blank` counts."""
    return seen.steps.contrast < EMPTY_LEVELS if _is_empty(seen) else seen.blank


def _is_empty(seen: Course) -> bool:
    return float(np.median(seen.steps.contrast)) < EMPTY_LEVELS


def flicker(seen: Course) -> Finding:
    """Calibrated `flicker_percent`. Blames the frames that deviate visibly, where the clip flickers."""
    name, steps = "flicker", seen.steps
    if steps.frames < LEAST_FRAMES:
        return Finding(unmeasured(name, f"Too few frames to tell flicker from light: {steps.frames}."))
    percent, frames = flicker_percent(steps, seen.blank | seen.spoiled)
    if percent is None:
        return Finding(unmeasured(name, "Too few frames are whole to tell flicker from light."))
    deviation = np.abs(deviation_percent(steps, seen.blank | seen.spoiled))
    flickers = percent > _VISIBLE_PERCENT
    blamed = places(deviation > _VISIBLE_PERCENT) if flickers else ()
    said = "Brightness flickers" if flickers else "The light is steady"
    worst = (worst_of(blamed, deviation) or frames) if flickers else ()
    found = measured(
        name, calibrate(percent, FLICKER), f"{said}: {percent:.1f} %.", {"flicker_percent": percent}, worst
    )
    return Finding(found, blamed, {"flicker_percent": deviation})
