"""How the clip runs: which frames are blank, repeated, spoiled, or come after missing ones."""

from dataclasses import dataclass

import numpy as np

from caf.qc.metrics.beat import Beat, beat_of, strides
from caf.qc.metrics.findings import Flags, Floats, runs, uneven_times
from caf.qc.metrics.flickering import deviation_percent, flicker_percent
from caf.qc.metrics.outliers import Outliers
from caf.qc.metrics.shake import shake_permille
from caf.qc.metrics.steps import Steps
from caf.qc.metrics.tracks import CameraPath

__all__ = ["Course", "course"]

_SPOILED = 0.58
_LONGER_COUNTS = 1.6
"""Excess from which frames are taken to be spoiled; that of two or three together counts more, as chance makes less of
it. Untouched clips and scenes reach 0.46 and 0.22, faint false colours in a part of a frame give 0.6 and more."""
_USUAL_TINT, _TINT_COUNTS = 0.15, 4.0
"""What is taken off a tint, and how often the rest counts. Untouched clips reach 0.15, one of 36 has 0.22; faint false
colours in a sixteenth of a frame give 0.27 and more."""
_MOST_KNOWN = 0.3
"""Excess that is counted where no new colour comes with it."""
_POPPED = 0.9
_NOVELTY_COUNTS, _MOST_NOVELTY = 2.0, 0.5
"""Excess of a part and novelty together from which it popped. Untouched scenes reach 0.5, real clips of quick hands
0.8, one of 36 1.5; a missing foot or ear gives 1.3 to 2.9, but next to nothing in a part that moves fast."""
_SOME_NOVELTY = 0.03
_SPOILED_AREA = 0.03
"""Share of the picture from which a frame is spoiled as such, and not only a part of it popped."""
_RESTLESS_PERMILLE, _RESTLESS_PERCENT = 1.2, 1.2
_RESTLESS_FACTOR = 2.5
_FEW_SPOILED = 0.04
"""A clip that shakes or flickers has frames that stick out for that reason: these are that other metric's fault."""
_FADING = 0.02
"""Change of the logarithm of brightness in one step from which points are led astray."""
_CUT_LEVELS = 10.0
_QUIET_LEVELS = 0.25
_SAME_LEVELS = 3.0
"""Peak of a step to the same picture, coded again: up to 1.7. In clips that move fast a slow step is no repeat."""
_DAMPING_LEVELS = 1.2
_HANGS = 3.5
"""A picture hangs that is shown so many times as long as nine tenths of all, although things moved right before it."""
_LEAST_STEP_S = 0.01
_EVEN_PACE, _EVEN_RATIO = 1.08, 1.45
"""Below this pace a larger difference than that makes no jump: together they stay below `_JUMP`."""
_JUMP = 1.26
"""Geometric mean of a step's pace and of its difference over its neighbours', both damped where little moves. Untouched
clips reach 1.24; one missing frame gives 1.3 to 2 where things move by a pixel a frame or more."""
_ALONE, _EVEN_SPREAD = 1.2, 0.1
"""How much further a jump goes than the steps beside it, and the spread of `hurry` from which that matters. Of missing
frames nine in ten do, of the fits and starts of cameras held by hand and of somebody who skips a rope one in three."""
_OFTEN = 0.05
"""Share of jumps from which they may keep a beat."""
_STEADY_JUMP, _JUMP_SPREADS, _HURRIES = 1.15, 3.2, 1.08
"""In a clip that runs evenly less is a jump: so many times the usual spread of its own steps. Untouched ones reach 2.9
times; missing frames of small or slow figures give 5 to 9."""


@dataclass(frozen=True, slots=True)
class Course:
    """Flags (T,) and the series that they were decided by."""

    steps: Steps
    path: CameraPath
    blank: Flags
    repeated: Flags
    hung_s: Floats
    """How long the picture hangs by its timestamps, beyond a usual step; 0 for nearly all."""
    jump: Flags
    beat: Beat | None
    """Of the jumps, where they keep one."""
    cut: Flags
    fading: Flags
    """The light goes one way here, and fast."""
    spoiled: Flags
    """One to three frames that show something else."""
    popped: Flags
    """One to three frames in which a small part shows something else."""
    hurry: Floats
    """(T,) what `_JUMP` is a limit of; 1 where the motion is even or nothing moves."""
    excess: Floats
    """(T,) of `Outliers`, the strongest of the lengths."""
    surprise: Floats
    """(T,) excess and novelty of `Outliers` together."""

    @property
    def broken(self) -> Flags:
        """(T,) where the camera cannot be followed from the frame before: other pictures, or another light."""
        return np.asarray(self.blank | self.spoiled | self.cut | self.fading, dtype=bool)


def course(steps: Steps, path: CameraPath, outliers: Outliers) -> Course:
    """Everything that goes wrong from frame to frame, each frame blamed for one thing."""
    blank = _blank(steps)
    cut = _cuts(steps)
    repeated = _repeated(steps, cut) & ~blank
    restless = _is_restless(steps, path, blank)
    spoiled, popped, excess, surprise = _spoiled(outliers, blank, _beside(repeated), restless)
    touched = blank | spoiled
    touched |= np.concatenate([[False], touched[:-1]])
    fading = _fading(steps, blank | spoiled)
    unusable = touched | repeated | cut | fading
    hurry = _hurry(steps, path, unusable)
    after = np.concatenate([[False], repeated[:-1]])
    jump = (_large_jumps(hurry, steps, unusable) | _small_jumps(hurry, path)) & ~unusable & ~after
    beat = None if repeated.any() or jump.mean() < _OFTEN else beat_of(strides(steps.step, path.pace))
    hung_s = np.where(blank, 0.0, _hung_s(steps, cut))
    return Course(
        steps,
        path,
        blank,
        repeated,
        hung_s,
        jump,
        beat,
        cut,
        fading,
        spoiled,
        popped,
        hurry,
        excess,
        surprise,
    )


def _neighbourhood(step: Floats, usable: Flags, reach: int) -> Floats:
    """Median of the usable steps around each frame, the frame itself left out; NaN where there are not three."""
    padded = np.full(len(step) + 2 * reach, np.nan)
    padded[reach : reach + len(step)] = np.where(usable, step, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    others = np.delete(windows, reach, axis=1)
    result = np.full(len(step), np.nan)
    enough = np.isfinite(others).sum(axis=1) >= 3
    result[enough] = np.nanmedian(others[enough], axis=1)
    return result


def _cuts(steps: Steps) -> Flags:
    """Steps that replace the picture: many times any motion of the clip."""
    step = steps.step
    usable = np.ones(steps.frames, dtype=bool)
    usable[0] = False
    around = np.nan_to_num(_neighbourhood(step, usable, 4), nan=0.0)
    return np.asarray(usable & (step > np.maximum(6 * around, _CUT_LEVELS)), dtype=bool)


def _fading(steps: Steps, apart: Flags) -> Flags:
    lightened = np.abs(np.diff(steps.gain, prepend=steps.gain[:1]))
    steady = np.abs(deviation_percent(steps, apart)) < 1.0
    return np.asarray((lightened > _FADING) & steady, dtype=bool)


def _repeated(steps: Steps, cut: Flags) -> Flags:
    """Frames (nearly) equal to the one before although the clip moves around them.

    Motion that slows to a stop is no repeat: a run counts only where it begins and ends abruptly. A clip of
    still pictures has no motion to interrupt.
    """
    peak, length = steps.peak, steps.frames
    quiet = peak < _QUIET_LEVELS
    quiet[0] = True
    moves = ~quiet & ~cut
    if moves.sum() < max(3, 0.1 * length):
        return np.zeros(length, dtype=bool)
    around = _neighbourhood(peak, moves, reach=12)
    level = np.where(np.isfinite(around), around, float(np.median(peak[moves])))
    low = np.zeros(length, dtype=bool)
    low[1:] = (peak[1:] < np.minimum(0.3 * level[1:], _SAME_LEVELS)) & (level[1:] > 2 * _QUIET_LEVELS)
    # A key frame in the middle of a freeze redraws the same picture a little differently.
    between = ~low[1:-1] & low[:-2] & low[2:] & (peak[1:-1] < 0.6 * level[1:-1])
    low[1:-1] |= between
    for start, stop in runs(low):
        inside = float(np.median(peak[start:stop])) + 0.05
        before = peak[start - 1] if start >= 2 else np.inf
        after = peak[stop] if stop < length else np.inf
        # What rests at first or in the end interrupts nothing, unless it is the same picture to the last pixel.
        rests = (start < 2 or stop == length) and np.percentile(peak[start:stop], 90) > 2 * _QUIET_LEVELS
        if rests or min(before, after) < 2.5 * inside:
            low[start:stop] = False
    return low


def _hung_s(steps: Steps, cut: Flags) -> Floats:
    """Of frames that stand by their timestamps alone, as where a recording lost what came next.

    A slide, which a cut brought, does not hang, nor does a picture in which motion had come to rest.
    """
    result = np.zeros(steps.frames)
    moves = (steps.peak > 2 * _QUIET_LEVELS) & ~cut
    moves[:1] = False
    if moves.sum() < max(3, 0.1 * steps.frames):
        return result
    shown_s = np.diff(steps.time_s)
    usual_s = max(float(np.percentile(shown_s, 90)), _LEAST_STEP_S)
    before = moves[:-1] & (steps.peak[:-1] > 0.3 * np.median(steps.peak[moves]))
    after = moves[1:] | cut[1:]
    hangs = (shown_s > _HANGS * usual_s) & before & after
    result[:-1][hangs] = shown_s[hangs] - steps.interval_s
    return result


def _hurry(steps: Steps, path: CameraPath, unusable: Flags) -> Floats:
    """How much further the picture went in each step than in those around it.

    What a change of brightness adds to a step is taken off first. Steps below the noise of coding tell nothing.
    """
    lightened = np.concatenate([[0.0], np.abs(np.diff(steps.gain))]) * steps.luma
    factor = _at_even_times(steps)
    step = np.maximum(0, steps.step - lightened) * factor
    usable = ~unusable
    usable[0] = False
    around = _neighbourhood(step, usable, reach=4)
    ratio = np.where(np.isfinite(around), (step + _DAMPING_LEVELS) / (around + _DAMPING_LEVELS), 1.0)
    pace = path.pace if len(path.pace) == steps.frames else np.full(steps.frames, np.nan)
    pace = pace * factor / np.nan_to_num(_neighbourhood(factor, usable, reach=2), nan=1.0)
    # Where nothing could be followed the differences alone must be far off.
    pace = np.where(np.isfinite(pace), np.clip(pace, 0.2, 4.0), 1.1)
    # Where what is followed goes on evenly, something else changed, such as words over the picture.
    ratio = np.where(pace < _EVEN_PACE, np.minimum(ratio, _EVEN_RATIO), ratio)
    hurry = np.sqrt(np.clip(ratio, 0.2, 4.0) * pace)
    hurry[~usable] = 1.0
    # What trembles comes back in the next step; what is missing never does.
    back = np.minimum(hurry, 1.0) - 1.0
    hurry = hurry + 0.5 * (np.concatenate([[0.0], back[:-1]]) + np.concatenate([back[1:], [0.0]]))
    return np.asarray(np.where(usable, hurry, 1.0), dtype=np.float64)


def _at_even_times(steps: Steps) -> Floats:
    """(T,) what makes each step one of the usual time, where frames were taken at uneven ones; else ones.

    Frames that were taken evenly and are only shown at uneven times become more uneven by it.
    """
    even, lasted = np.ones(steps.frames), uneven_times(steps.time_s)
    if lasted is None:
        return even
    factor = np.append(1.0, 1 / lasted)
    return factor if _roughness(steps.step * factor) < _roughness(steps.step) else even


def _roughness(step: Floats) -> float:
    """How much steps (T,) usually differ from those before them, as a logarithm."""
    return float(np.mean(np.abs(np.diff(np.log(step[1:] + _DAMPING_LEVELS)))))


def _large_jumps(hurry: Floats, steps: Steps, unusable: Flags) -> Flags:
    """Steps that hurry alone: what accelerates hurries in the steps beside as well, a missing frame does not.

    In a clip that runs evenly two frames may be missing one after the other.
    """
    step = np.where(unusable, 0.0, steps.step) + _DAMPING_LEVELS
    beside = np.maximum(np.append(0.0, step[:-1]), np.append(step[1:], 0.0))
    alone = (step > _ALONE * beside) | (_spread(hurry) < _EVEN_SPREAD)
    return np.asarray((hurry > _JUMP) & alone, dtype=bool)


def _small_jumps(hurry: Floats, path: CameraPath) -> Flags:
    """Steps beyond the clip's own unevenness, where what moves hurries too: a caption that changes moves nothing."""
    if len(path.pace) != len(hurry) or not len(hurry):
        return np.zeros(len(hurry), dtype=bool)
    least = max(_STEADY_JUMP, float(np.median(hurry)) + _JUMP_SPREADS * _spread(hurry))
    return np.asarray((hurry > least) & (np.nan_to_num(path.pace, nan=0.0) > _HURRIES), dtype=bool)


def _spread(series: Floats) -> float:
    """How far most values are from the middle one, as a standard deviation."""
    return 1.4826 * float(np.median(np.abs(series - np.median(series))))


def _is_restless(steps: Steps, path: CameraPath, blank: Flags) -> bool:
    """Whether the picture shakes or its light flickers so that single frames stick out for that alone."""
    shake, _ = shake_permille(path, blank)
    flicker, _ = flicker_percent(steps, blank)
    flickers = flicker is not None and flicker > _RESTLESS_PERCENT
    return flickers or (shake is not None and shake > _RESTLESS_PERMILLE)


def _beside(flags: Flags) -> Flags:
    """Those and the frames before and after each."""
    padded = np.pad(flags, 1)
    return np.asarray(padded[:-2] | padded[1:-1] | padded[2:], dtype=bool)


def _spoiled(
    outliers: Outliers, blank: Flags, doubled: Flags, restless: bool
) -> tuple[Flags, Flags, Floats, Floats]:
    """(spoiled frames, frames in which a part popped, excess, excess with novelty)."""
    every, part = outliers.excess.copy(), outliers.part.copy()
    every[1:] *= _LONGER_COUNTS
    part[1:] *= _LONGER_COUNTS
    limit = _SPOILED * (_RESTLESS_FACTOR if restless else 1.0)
    over = every > limit
    tint = _TINT_COUNTS * np.maximum(0.0, outliers.tint.max(axis=0, initial=0.0) - _USUAL_TINT)
    tint[doubled] = 0.0
    tinted = tint > limit
    large = ((over & (outliers.area >= _SPOILED_AREA)).any(axis=0) | tinted) & ~blank
    novelty = np.minimum(outliers.novelty.max(axis=0, initial=0.0), _MOST_NOVELTY)
    # What brings no colour that was not near by may have passed by, such as a hand, or be a still picture coded anew.
    # Beside a picture that is shown twice all goes twice as far in a step, so that a quick hand is found nowhere near.
    known = (novelty <= _SOME_NOVELTY) | doubled
    surprise = part.max(axis=0, initial=0.0) + _NOVELTY_COUNTS * novelty
    surprise = np.where(blank, 0.0, np.where(known, np.minimum(surprise, _MOST_KNOWN), surprise))
    excess = np.maximum(every.max(axis=0, initial=0.0), tint)
    excess = np.where(blank, 0.0, np.where(known & ~large, np.minimum(excess, _MOST_KNOWN), excess))
    if restless:
        excess, surprise = excess / _RESTLESS_FACTOR, surprise / _RESTLESS_FACTOR
    small = (surprise > _POPPED) & ~large & ~blank
    if restless and large.sum() > _FEW_SPOILED * len(blank):
        large, small = np.zeros_like(large), np.zeros_like(small)
    return np.asarray(large), np.asarray(small), np.asarray(excess), np.asarray(surprise)


def _blank(steps: Steps) -> Flags:
    """Frames without content that begin or end abruptly; a fade is not a blank."""
    contrast = steps.contrast
    result = np.zeros(steps.frames, dtype=bool)
    typical = float(np.median(contrast))
    if typical < 8:
        return result
    for start, stop in runs(contrast < max(2.5, 0.15 * typical)):
        entry = contrast[start - 1] if start > 0 else 0.0
        leave = contrast[stop] if stop < steps.frames else 0.0
        if max(entry, leave) > 0.5 * typical:
            result[start:stop] = True
    return result
