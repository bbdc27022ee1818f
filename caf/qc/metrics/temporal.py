"""temporal_stability: does the clip run smoothly?

Seven physical quantities are calibrated one by one, and the score is the lowest of them: a viewer is bothered
by the worst, and the reason can name it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caf.ports import Measurement
from caf.qc.metrics.scoring import Calibration, calibrate, measured, unmeasured
from caf.qc.metrics.steps import Steps
from caf.qc.metrics.tracks import CameraPath, smoothing_residual

__all__ = ["LEAST_FRAMES", "shake_permille", "temporal_stability"]

LEAST_FRAMES = 12
"""Half a second: less does not tell shake from motion."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Per mille of the diagonal, RMS in the shakiest second; 1 is 0.73 px at 640x360. Steady clips: 0.05-0.3.
_SHAKE: Calibration = ((0.6, 1.0), (1.2, 0.8), (2.0, 0.6), (5.0, 0.25), (12.0, 0.0))
# Percent of brightness, RMS in the worst second. Untouched clips: 0.1-0.35. Source of the limit: brightness
# changes of 1-2 % at 5-15 Hz are visible (H. de Lange, J. Opt. Soc. Am. 48, 1958).
_FLICKER: Calibration = ((0.6, 1.0), (1.2, 0.75), (2.5, 0.5), (6.0, 0.2), (15.0, 0.0))
# Shares of all frames. One repeated frame in a hundred goes unnoticed; one in five is pulldown judder.
_REPEATS: Calibration = ((0.009, 1.0), (0.02, 0.8), (0.05, 0.55), (0.2, 0.3), (0.6, 0.0))
_JUMPS: Calibration = ((0.01, 1.0), (0.03, 0.85), (0.075, 0.7), (0.15, 0.4), (0.4, 0.1))
# The even judder of a frame-rate conversion (30 to 25: jumps show in 3-12 % of the frames) is watchable.
_EVEN_JUMPS: Calibration = ((0.01, 1.0), (0.05, 0.88), (0.14, 0.72), (0.2, 0.45), (0.4, 0.2))
# Counted: a single spoiled or blank frame is seen by most.
_GLITCHES: Calibration = ((0.0, 1.0), (1.0, 0.55), (3.0, 0.35), (8.0, 0.1))
# Shares of frames in which a small part, such as a limb, is elsewhere for one frame. A body-swap clip with a cat
# that visibly twitches nine times in 24 s has 0.015.
_POPS: Calibration = ((0.008, 1.0), (0.03, 0.75), (0.1, 0.4), (0.3, 0.1))
_GLITCH_CELLS = 3
_FEW_GLITCHES = 0.04
_BLANKS: Calibration = ((0.0, 1.0), (1.0, 0.4), (3.0, 0.2), (8.0, 0.0))


@dataclass(frozen=True, slots=True)
class _Part:
    quantity: float
    table: Calibration
    words: str
    frames: tuple[int, ...]


def temporal_stability(steps: Steps, path: CameraPath) -> Measurement:
    """The lowest of seven calibrated parts: shake, flicker, repeats, jumps, glitches, pops, blank frames.

    raw: `shake_permille` (of the diagonal, RMS), `flicker_percent` (brightness, RMS), `repeated_share`,
    `jump_share`, `glitch_frames`, `pop_share`, `blank_frames`, `longest_freeze_frames`; a part that could not be
    measured (no texture to follow for the shake) is left out and named in the reason.
    """
    name = "temporal_stability"
    if steps.frames < LEAST_FRAMES:
        return unmeasured(name, f"{steps.frames} frames are too few to judge how smoothly the clip runs.")
    length = steps.frames
    blank = _blank(steps)
    shake, shake_frames = shake_permille(path)
    glitch, pop = _glitches(steps, blank, shake)
    spoiled = blank | glitch
    repeated = _repeated(steps)
    jump = _jumps(steps, spoiled, repeated)
    flicker, flicker_frames = flicker_percent(steps, spoiled)
    parts = {
        "flicker_percent": _Part(
            flicker, _FLICKER, f"brightness flickers by {flicker:.1f} %", flicker_frames
        ),
        "repeated_share": _flagged(repeated, 1 / length, _REPEATS, "frames are repeated"),
        "jump_share": _flagged(
            jump, 1 / length, _EVEN_JUMPS if _even(jump) else _JUMPS, "motion jumps: frames are missing"
        ),
        "glitch_frames": _flagged(glitch, 1.0, _GLITCHES, "single frames are spoiled"),
        "pop_share": _flagged(pop, 1 / length, _POPS, "parts of the picture pop for single frames"),
        "blank_frames": _flagged(blank, 1.0, _BLANKS, "frames are blank"),
    }
    if shake is not None:
        words = f"the picture shakes by {shake:.1f} per mille of its diagonal"
        parts["shake_permille"] = _Part(shake, _SHAKE, words, shake_frames)
    scores = {key: calibrate(part.quantity, part.table) for key, part in parts.items()}
    weakest = min(scores, key=lambda key: scores[key])
    score = scores[weakest]
    raw = {key: part.quantity for key, part in parts.items()} | {"longest_freeze_frames": _longest(repeated)}
    reason = "The clip runs smoothly" if score >= 0.7 else f"The clip is unsteady: {parts[weakest].words}"
    if shake is None:
        reason += "; it has too little texture to measure shake"
    return measured(name, score, reason + ".", raw, () if score >= 0.7 else parts[weakest].frames)


def _flagged(flags: Flags, unit: float, table: Calibration, words: str) -> _Part:
    places = np.flatnonzero(flags)
    return _Part(
        len(places) * unit, table, f"{words} ({len(places)})", tuple(int(place) for place in places[:12])
    )


def shake_permille(path: CameraPath) -> tuple[float | None, tuple[int, ...]]:
    """RMS of the camera path around its own smoothing, in the shakiest second, and the frames of that second.

    None when too few frames could be followed. The smoothing is a quadratic over 15 frames, so pans, zooms
    and handheld drift slower than about 1 Hz do not count.
    """
    best: tuple[float, int] | None = None
    for start, stop in _stretches(path.known):
        power = np.sum(smoothing_residual(path.shift[start:stop]) ** 2, axis=1)
        worst, place = _worst_second(power)
        if best is None or worst > best[0]:
            best = worst, start + place
    if best is None or path.known.mean() < 0.5:
        return None, ()
    value, place = best
    return float(np.sqrt(value)), tuple(range(place, min(place + 25, len(path.known)), 5))


def _stretches(known: Flags) -> list[tuple[int, int]]:
    """Runs of at least LEAST_FRAMES followed frames; a cut or a blank frame ends one."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
    runs = zip(edges[::2], edges[1::2], strict=True)
    return [(int(start), int(stop)) for start, stop in runs if stop - start >= LEAST_FRAMES]


def _worst_second(power: Floats, window: int = 25) -> tuple[float, int]:
    window = min(window, len(power))
    means = np.convolve(power, np.ones(window) / window, mode="valid")
    place = int(np.argmax(means))
    return float(means[place]), place


def flicker_percent(steps: Steps, spoiled: Flags) -> tuple[float, tuple[int, ...]]:
    """RMS of the median cell's brightness around its own smoothing in the worst second, spoiled frames apart."""
    gain = steps.gain.copy()
    good = np.flatnonzero(~spoiled)
    if len(good) < LEAST_FRAMES:
        return 0.0, ()
    gain = np.interp(np.arange(len(gain)), good, gain[good])
    residual = 100 * smoothing_residual(gain, window=9)
    worst, place = _worst_second(residual**2)
    return float(np.sqrt(worst)), tuple(range(place, min(place + 25, len(gain)), 5))


def _neighbourhood(step: Floats, usable: Flags, reach: int = 8) -> Floats:
    """Median of the usable steps around each frame, the frame itself left out; NaN where there is none."""
    padded = np.full(len(step) + 2 * reach, np.nan)
    padded[reach : reach + len(step)] = np.where(usable, step, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    others = np.delete(windows, reach, axis=1)
    result = np.full(len(step), np.nan)
    enough = np.isfinite(others).sum(axis=1) >= 3
    result[enough] = np.nanmedian(others[enough], axis=1)
    return result


def _repeated(steps: Steps) -> Flags:
    """Frames (nearly) equal to the one before although the clip moves around them.

    Motion that slows to a stop is not a repeat: a run counts only where it begins and ends abruptly.
    """
    step = steps.step
    quiet = np.zeros(steps.frames, dtype=bool)
    quiet[1:] = step[1:] < 0.12
    moving = _neighbourhood(step, ~quiet, reach=12)
    typical = float(np.median(step[1:][~quiet[1:]])) if np.any(~quiet[1:]) else 0.0
    level = np.where(np.isfinite(moving), moving, typical)
    low = np.zeros(steps.frames, dtype=bool)
    low[1:] = (step[1:] < 0.3 * level[1:]) & (level[1:] > 0.3)
    for start, stop in _runs(low):
        inside = float(np.median(step[start:stop])) + 0.05
        before = step[start - 1] if start >= 2 else np.inf
        after = step[stop] if stop < steps.frames else np.inf
        if min(before, after) < 2.5 * inside:
            low[start:stop] = False
    return low


def _runs(flags: Flags) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def _longest(flags: Flags) -> int:
    return max((stop - start for start, stop in _runs(flags)), default=0)


def _jumps(steps: Steps, spoiled: Flags, repeated: Flags) -> Flags:
    """Single steps well above their neighbours: frames are missing there. A hard cut is one large exception.

    What a change of brightness adds to a step is taken off first.
    """
    lightened = np.concatenate([[0.0], np.abs(np.diff(steps.gain))]) * steps.luma
    step = np.maximum(0, steps.step - lightened)
    touched = spoiled | np.concatenate([[False], spoiled[:-1]])
    usable = ~touched & ~repeated
    usable[0] = False
    around = _neighbourhood(step, usable, reach=4)
    jump = usable & np.isfinite(around) & (step > 1.7 * around) & (step - around > 1.2)
    # A cut replaces the picture: many times any motion of the clip.
    cut = step > np.maximum(6 * around, 25.0)
    return np.asarray(jump & ~cut, dtype=bool)


def _even(jump: Flags) -> bool:
    """Whether jumps come every 3rd to 8th frame, as a conversion to a lower frame rate leaves them."""
    places = np.flatnonzero(jump)
    if len(places) < 3:
        return False
    return any(np.bincount(places % period).max() >= 0.75 * len(places) for period in range(3, 9))


def _glitches(steps: Steps, blank: Flags, shake: float | None) -> tuple[Flags, Flags]:
    """Spoiled frames (a twentieth of the picture or more) and popping parts, as neither neighbour shows them.

    A clip that shakes or flickers has many such frames: then they are that other part's fault.
    """
    spoiled = (steps.spoiled_cells >= _GLITCH_CELLS) & ~blank
    pop = (steps.spoiled_cells > 0) & ~spoiled & ~blank
    flicker, _ = flicker_percent(steps, blank)
    restless = (shake is not None and calibrate(shake, _SHAKE) < 0.8) or calibrate(flicker, _FLICKER) < 0.8
    if restless and spoiled.sum() > _FEW_GLITCHES * steps.frames:
        nothing = np.zeros(steps.frames, dtype=bool)
        return nothing, nothing
    return spoiled, pop


def _blank(steps: Steps) -> Flags:
    """Frames without content that begin or end abruptly; a fade is not a blank."""
    contrast = steps.contrast
    typical = float(np.median(contrast))
    empty = contrast < max(2.5, 0.15 * typical)
    if typical < 8:
        return np.zeros(steps.frames, dtype=bool)
    result = np.zeros(steps.frames, dtype=bool)
    for start, stop in _runs(empty):
        entry = contrast[start - 1] if start > 0 else 0.0
        leave = contrast[stop] if stop < steps.frames else 0.0
        if max(entry, leave) > 0.5 * typical:
            result[start:stop] = True
    return result
