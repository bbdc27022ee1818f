"""temporal_stability: does the clip run smoothly?

Seven physical quantities are calibrated one by one, and the score is the lowest of them: a viewer is bothered
by the worst, and the reason can name it. Most have a metric of their own, by the same tables.
"""

from dataclasses import dataclass

from caf.qc.metrics.course import Course
from caf.qc.metrics.findings import LEAST_FRAMES, Finding, Flags, places, runs
from caf.qc.metrics.flickering import flicker_percent
from caf.qc.metrics.glitch import GLITCHES, POPS
from caf.qc.metrics.light import BLANKS, FLICKER, blanks_of
from caf.qc.metrics.scoring import Calibration, calibrate, measured, unmeasured
from caf.qc.metrics.shake import SHAKE, shake_permille
from caf.qc.metrics.timing import jumps_score, repeats_score

__all__ = ["temporal_stability"]


@dataclass(frozen=True, slots=True)
class _Part:
    quantity: float
    score: float
    words: str
    frames: tuple[int, ...]


def temporal_stability(seen: Course) -> Finding:
    """The lowest of seven calibrated parts: shake, flicker, repeats, jumps, glitches, pops, blank frames.

    raw: `shake_permille` (of the diagonal, RMS), `flicker_percent` (brightness, RMS), `repeated_share`,
    `jump_share`, `glitch_frames`, `pop_share`, `blank_frames`, `longest_freeze_frames`; a part that could not be
    measured (no texture to follow for the shake, too few whole frames for the flicker) is left out and named in the
    reason.
    """
    name, steps = "temporal_stability", seen.steps
    if steps.frames < LEAST_FRAMES:
        return Finding(
            unmeasured(name, f"Too few frames to judge how smoothly the clip runs: {steps.frames}.")
        )
    parts = _parts(seen)
    scores = {key: part.score for key, part in parts.items()}
    weakest = min(scores, key=lambda key: scores[key])
    score, frames = scores[weakest], parts[weakest].frames
    raw = {key: part.quantity for key, part in parts.items()}
    raw["longest_freeze_frames"] = max((stop - start for start, stop in runs(seen.repeated)), default=0)
    reason = "The clip runs smoothly" if score >= 0.7 else f"The clip is unsteady: {parts[weakest].words}"
    if "shake_permille" not in parts:
        reason += "; it has too little texture to measure shake"
    if "flicker_percent" not in parts:
        reason += "; too few frames are whole to measure flicker"
    if score >= 0.7:
        frames = ()
    return Finding(measured(name, score, reason + ".", raw, frames[:12]), frames)


def _parts(seen: Course) -> dict[str, _Part]:
    steps = seen.steps
    unit = 1 / steps.frames
    shake, shake_frames = shake_permille(seen.path, seen.broken)
    flicker, flicker_frames = flicker_percent(steps, seen.blank | seen.spoiled)
    of_jumps, odd = jumps_score(seen.jump, seen.hurry, seen.beat, seen.lost)
    share = float(seen.jump.mean())
    parts = {
        "repeated_share": _repeated(seen),
        "jump_share": _Part(share, of_jumps, "motion jumps: frames are missing", places(odd)),
        "glitch_frames": _flagged(seen.spoiled, 1.0, GLITCHES, "single frames are spoiled"),
        "pop_share": _flagged(seen.popped, unit, POPS, "parts of the picture pop for single frames"),
        "blank_frames": _flagged(blanks_of(seen), 1.0, BLANKS, "frames are blank"),
    }
    if flicker is not None:
        words = f"brightness flickers by {flicker:.1f} %"
        parts["flicker_percent"] = _Part(flicker, calibrate(flicker, FLICKER), words, flicker_frames)
    if shake is not None:
        words = f"the picture shakes by {shake:.1f} per mille of its diagonal"
        parts["shake_permille"] = _Part(shake, calibrate(shake, SHAKE), words, shake_frames)
    return parts


def _repeated(seen: Course) -> _Part:
    """A picture that hangs counts as the frames that are missing for as long."""
    steps = seen.steps
    missing = float(seen.hung_s.sum()) / steps.interval_s if steps.interval_s > 0 else 0.0
    score, odd = repeats_score(seen.repeated, seen.doubling, missing)
    share = (int(seen.repeated.sum()) + missing) / (steps.frames + missing)
    words = "the picture hangs" if missing else f"frames are repeated ({int(odd.sum())})"
    return _Part(share, score, words, places(odd | (seen.hung_s > 0)))


def _flagged(flags: Flags, unit: float, table: Calibration, words: str) -> _Part:
    frames = places(flags)
    quantity = len(frames) * unit
    return _Part(quantity, calibrate(quantity, table), f"{words} ({len(frames)})", frames)
