"""How the clip runs: which frames are blank, repeated, spoiled, or come after missing ones."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.added import Added
from caf.qc.metrics.beat import Beat, Doubling, beat_of, doubling_of, strides
from caf.qc.metrics.cells import middle
from caf.qc.metrics.findings import Flags, Floats, around_of, at_rate, behind, places, runs
from caf.qc.metrics.flickering import deviation_percent, flicker_percent
from caf.qc.metrics.hurry import hurry_of, jumps_of
from caf.qc.metrics.outliers import Outliers
from caf.qc.metrics.shake import shake_permille
from caf.qc.metrics.slides import slides_of
from caf.qc.metrics.softening import dulled
from caf.qc.metrics.steps import CUT_LEVELS, Steps
from caf.qc.metrics.tracks import CameraPath

__all__ = ["ADDED", "CLEAR", "EMPTY_LEVELS", "Course", "course"]

EMPTY_LEVELS = 2.5
"""Standard deviation of grey levels below which a picture shows nothing."""

_SPOILED = 0.58
_LONGER_COUNTS = 1.6
"""Excess from which frames are taken to be spoiled; that of two or three together counts more, as chance makes less of
it. Untouched clips and scenes reach 0.46 and 0.22, faint false colours in a part of a frame give 0.6 and more."""
_BRIEF, _LONG_COUNTS, _LONG_NOVELTY = 3, 0.3, 0.25
"""Frames up to which a run is brief; what excess and novelty of a longer one are multiplied by beside, and the most
that novelty makes of it: a blink lasts as long, and so does a ball that flies by. So of 82 real clips as many fail as
without the longer runs (eight; 14 if they counted in full), and of 28 large limbs that came or went for five frames
19."""
_USUAL_TINT, _TINT_COUNTS = 0.15, 4.0
"""What is taken off a tint, and how often the rest counts. Untouched clips reach 0.24, and with figures that throw
themselves about 0.8; faint false colours in a sixteenth of a frame give 0.31 and more."""
_MOST_KNOWN = 0.3
"""Excess that is counted where no new colour comes with it."""
_USUAL_PERCENTS, _USUAL_COUNTS = (75, 90), (4.0, 1.0)
"""Percentiles of excess that tell what is usual in a clip, and how often each counts. The lower one is 0 where nothing
but spoiled frames sticks out, however many these are."""
_UNREST = 3.0
"""How much what is usual in a clip lessens all. In 65 of 82 real clips excess is next to nothing; in those of a few
frames a second, or of figures that throw themselves about, 0.1 to 1.1 is usual."""
_POPPED = 0.9
_NOVELTY_COUNTS, _MOST_NOVELTY = 2.0, 0.5
"""Excess of a part and novelty together from which it popped. Untouched scenes reach 0.5, real clips of quick hands
0.8, 19 of 82 more somewhere; a missing foot or ear gives 1.3 to 2.9, but next to nothing in a part that moves fast."""
_SOME_NOVELTY = 0.03
_UNSURE_FACTOR = 4.0
"""Beside a picture that is shown twice all goes twice as far in a step, and where the picture shakes or flickers
nothing stays as it was: there it counts for a quarter. Untouched, 1 in 400 such frames has a novelty of 2; what popped
has 0.7 to 16."""
_DOUBLED_FACTOR = 2.0
"""The same of excess, which no longer run makes up for there: a picture that is shown twice is a run of two."""
_COARSE_HZ = 20.0
"""At fewer frames a second a gesture comes and goes within a few of them. Excess counts less by the root of how much
longer a step lasts than at this rate, and parts and novelty by its square: of 24 real clips of 8 to 16 frames a second
5 failed without, one does with it, of 30 thinned out to 6 to 15 nine and two; torn or discoloured frames as before."""
ADDED = 1.0
"""Excess over the source from which a frame shows something else. Coded again: up to 0.25, steadied 0.10, shaken 1.6;
of limbs that pop faintly the faintest 1.0, half 3 and more."""
CLEAR = 1.2
"""Surprise of a pop that is noticed beside frames that are spoiled as such, or show what their source does not."""
_SPOILED_AREA = 0.03
"""Share of the picture from which a frame is spoiled as such, and not only a part of it popped."""
_RESTLESS_PERMILLE, _RESTLESS_PERCENT = 1.2, 1.2
_RESTLESS_FACTOR = 2.5
_FEW_SPOILED = 0.04
"""A clip that shakes or flickers has frames that stick out for that reason: these are that other metric's fault."""
_FADING = 0.02
"""Change of the logarithm of brightness in one step from which points are led astray."""
_FLASHES, _SAME_SHOT = 15, 0.3
"""Frames, up to 30 a second, that another picture shows between two cuts at most, if these are to the same shot: the
second side differs from the first by so much less than the cuts. No shot is that short, and none goes on unchanged."""
_BLURRED = 12
"""Frames, up to 30 a second, that may be blurred together: as many as `sharpness` takes for a sudden loss."""
_MOSTLY_DULL = 0.5
_QUIET_LEVELS = 0.25
_SAME_LEVELS = 3.0
"""Peak of a step to the same picture, coded again: up to 1.7. In clips that move fast a slow step is no repeat."""
_STILL_SHARE = 0.5
"""Share of the clip's usual step that things move by around a frame at least."""
_HANGS = 3.5
"""A picture hangs that is shown so many times as long as nine tenths of all, although things moved right before it."""
_LEAST_STEP_S = 0.01
_FEW_REPEATS, _OFTEN = 0.03, 0.05
"""Share of repeats up to which, and of jumps from which, these may keep a beat."""


@dataclass(frozen=True, slots=True)
class Course:
    """Flags (T,) and the series that they were decided by."""

    steps: Steps
    path: CameraPath
    blank: Flags
    repeated: Flags
    """Those that the clip tells by itself, and those that its source does not show again."""
    hung_s: Floats
    """How long the picture hangs by its timestamps, beyond a usual step; 0 for nearly all."""
    jump: Flags
    beat: Beat | None
    """Of the jumps, where they keep one."""
    doubling: Doubling | None
    """Of the repeated frames, where they keep a beat."""
    cut: Flags
    fading: Flags
    """The light goes one way here, and fast."""
    spoiled: Flags
    """One to five frames that show something else, another picture up to half a second."""
    softened: Flags
    """One to five frames that only lack detail: no fault of the motion, but nothing is told by their steps."""
    popped: Flags
    """One to five frames in which a small part shows something else, beside a source up to twelve."""
    hurry: Floats
    """(T,) how much further the picture goes than around; 1 where the motion is even or nothing moves."""
    excess: Floats
    """(T,) of `Outliers`, the strongest of the lengths."""
    surprise: Floats
    """(T,) excess and novelty of `Outliers` together."""
    added: Floats | None = None
    """(T,) excess over what another source shows at the same moment, of `Added`; None where it cannot be told."""
    again: Flags | None = None
    """(T,) that show the frame before again, though that source goes on."""
    lost: Flags | None = None
    """(T,) before which moments of that source are missing."""

    @property
    def broken(self) -> Flags:
        """(T,) where the camera cannot be followed from the frame before: other pictures, or another light."""
        return np.asarray(self.blank | self.spoiled | self.softened | self.cut | self.fading, dtype=bool)


def course(steps: Steps, path: CameraPath, outliers: Outliers, added: Added | None = None) -> Course:
    """Everything that goes wrong from frame to frame, each frame blamed for one thing."""
    blank = _blank(steps)
    empty = blank | (steps.contrast < EMPTY_LEVELS)
    cut = _cuts(steps)
    softened = (outliers.softened.max(axis=0, initial=0.0) > _SPOILED) & ~blank
    # Steps into a softened frame and out of it are larger than the motion, and those between such frames less.
    unsure = softened | behind(softened)
    dull = dulled(outliers.detail, at_rate(_BLURRED, steps.interval_s)) & ~blank
    stands = _certain(_repeated(steps, cut | unsure), unsure, dull) & ~blank
    slide = slides_of(steps.logs, stands, cut, empty, steps.interval_s)
    repeated = stands & ~slide
    unsure |= dull | behind(dull) | slide
    again = None if added is None else added.doubled & ~blank & ~cut
    if again is not None:
        repeated |= again
    restless = _is_restless(steps, path, blank)
    doubled = _beside(repeated)
    spoiled, popped, excess, surprise = _spoiled(outliers, steps.interval_s, empty, doubled, restless)
    spoiled |= _flashes(steps, cut, blank | spoiled)
    popped &= ~spoiled
    excess_added = None
    if added is not None:
        excess_added = np.where(blank | doubled, 0.0, added.excess)
        excess_added /= _RESTLESS_FACTOR if restless else 1.0
        apart = excess_added > ADDED
        spoiled |= apart & (added.area >= _SPOILED_AREA)
        popped = (apart | (popped & ((surprise > CLEAR) | ~apart.any()))) & ~spoiled
    touched = blank | spoiled | softened
    touched |= behind(touched)
    fading = _fading(steps, blank | spoiled)
    usable = ~(touched | unsure | repeated | cut | fading)
    usable[:1] = False
    pace = path.pace if len(path.pace) == steps.frames else np.full(steps.frames, np.nan)
    hurry = hurry_of(steps, pace, usable)
    after = behind(repeated)
    jump = jumps_of(hurry, pace) & usable & ~after
    evenly = repeated.mean() <= _FEW_REPEATS and jump.mean() >= _OFTEN
    beat = beat_of(np.where(unsure, 0.0, strides(steps.step, pace))) if evenly else None
    hung_s = np.where(blank, 0.0, _hung_s(steps, cut))
    return Course(
        steps,
        path,
        blank,
        repeated,
        hung_s,
        jump,
        beat,
        doubling_of(repeated, steps.step),
        cut,
        fading,
        spoiled,
        softened,
        popped,
        hurry,
        excess,
        surprise,
        excess_added,
        again,
        None if added is None else added.lost & ~touched,
    )


def _cuts(steps: Steps) -> Flags:
    """Steps that replace the picture: many times any motion of the clip."""
    step = steps.step
    usable = np.ones(steps.frames, dtype=bool)
    usable[0] = False
    around = np.nan_to_num(around_of(step, usable, 4), nan=0.0)
    return np.asarray(usable & (step > np.maximum(6 * around, CUT_LEVELS)), dtype=bool)


def _flashes(steps: Steps, cut: Flags, known: Flags) -> Flags:
    """Frames of another picture for a moment, as of another clip or a test card: the shot before goes on after it.

    Light that is switched on and off leaves the cells as they are to each other. Beside frames that are `known` to be
    spoiled cuts tell nothing.
    """
    result = np.zeros(steps.frames, dtype=bool)
    most = at_rate(_FLASHES, steps.interval_s)
    for start, stop in pairwise(places(cut)):
        if stop - start > most or known[start - 1 : stop + 1].any():
            continue
        (before, first), (last, after) = steps.sides[start], steps.sides[stop]
        entry, leave, across = (_unlike(*pair) for pair in ((before, first), (last, after), (before, after)))
        result[start:stop] = across < _SAME_SHOT * min(entry, leave)
    return result


def _unlike(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """How much cells differ, whatever the light of the whole picture does."""
    apart = one - other
    return float(np.mean(np.abs(apart - middle(apart))))


def _fading(steps: Steps, apart: Flags) -> Flags:
    lightened = np.abs(np.diff(steps.gain, prepend=steps.gain[:1]))
    steady = np.abs(deviation_percent(steps, apart)) < 1.0
    return np.asarray((lightened > _FADING) & steady, dtype=bool)


def _certain(repeated: Flags, unsure: Flags, dull: Flags) -> Flags:
    """Those of the repeats that neither begin nor end where it is unsure how things move, and are as sharp as others.

    Of a stretch that is blurred steps are less throughout.
    """
    certain = repeated.copy()
    for start, stop in runs(repeated):
        blurred = dull[start:stop].mean() >= _MOSTLY_DULL
        certain[start:stop] = not (blurred or unsure[max(0, start - 1) : stop + 1].any())
    return certain


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
    around = around_of(peak, moves, reach=12)
    usual = float(np.median(peak[moves]))
    # Where the clip ends all that is near may be a still picture that is coded again.
    level = np.where(np.isfinite(around), np.maximum(around, _STILL_SHARE * usual), usual)
    low = np.zeros(length, dtype=bool)
    low[1:] = (peak[1:] < np.minimum(0.3 * level[1:], _SAME_LEVELS)) & (level[1:] > 2 * _QUIET_LEVELS)
    # A key frame in the middle of a freeze redraws the same picture a little differently.
    between = ~low[1:-1] & low[:-2] & low[2:] & (peak[1:-1] < 0.6 * level[1:-1])
    low[1:-1] |= between
    # What a fade leads to, or comes from, shows nothing that could hang.
    low &= steps.contrast >= EMPTY_LEVELS
    card = at_rate(_FLASHES, steps.interval_s)
    for start, stop in runs(low):
        inside = float(np.median(peak[start:stop])) + 0.05
        before = peak[start - 1] if start >= 2 else np.inf
        after = peak[stop] if stop < length else np.inf
        # What rests at first or in the end interrupts nothing, unless it is the same picture to the last pixel.
        rests = (start < 2 or stop == length) and np.percentile(peak[start:stop], 90) > 2 * _QUIET_LEVELS
        if rests or min(before, after) < 2.5 * inside or _is_card(cut, start, stop, card):
            low[start:stop] = False
    return low


def _is_card(cut: Flags, start: int, stop: int, least: int) -> bool:
    """Whether a whole shot stands still, from a cut or the clip's beginning to a cut or its end, as a title does."""
    begins, ends = start < 2 or bool(cut[start - 1]), stop == len(cut) or bool(cut[stop])
    return begins and ends and stop - start + 1 >= least and (start >= 2 or stop < len(cut))


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
    outliers: Outliers, interval_s: float, blank: Flags, doubled: Flags, restless: bool
) -> tuple[Flags, Flags, Floats, Floats]:
    """(spoiled frames, frames in which a part popped, excess, excess with novelty)."""
    coarse = max(1.0, interval_s * _COARSE_HZ)
    every, part = outliers.excess / np.sqrt(coarse), outliers.part / coarse**2
    novelty = outliers.novelty / coarse**2
    every[1:] *= np.where(doubled, 1.0, _LONGER_COUNTS)
    part[1:] *= _LONGER_COUNTS
    every[_BRIEF:] *= _LONG_COUNTS
    part[_BRIEF:] *= _LONG_COUNTS
    novelty[_BRIEF:] = np.minimum(novelty[_BRIEF:] * _LONG_COUNTS, _LONG_NOVELTY)
    every /= np.where(doubled, _DOUBLED_FACTOR, 1.0)
    unrest = 1.0 + _UNREST * _usual(every.max(axis=0, initial=0.0))
    every /= unrest
    limit = _SPOILED * (_RESTLESS_FACTOR if restless else 1.0)
    over = every > limit
    tint = outliers.tint.max(axis=0, initial=0.0) / np.sqrt(coarse)
    tint = _TINT_COUNTS * np.maximum(0.0, tint - _USUAL_TINT)
    tint = np.where(doubled, 0.0, tint / unrest)
    tinted = tint > limit
    large = ((over & (outliers.area >= _SPOILED_AREA)).any(axis=0) | tinted) & ~blank
    novelty = novelty.max(axis=0, initial=0.0)
    # What brings no colour that was not near by may have passed by, such as a hand, or be a still picture coded anew.
    known = novelty <= _SOME_NOVELTY
    usual = np.where(doubled | restless, _UNSURE_FACTOR, 1.0)
    surprise = part.max(axis=0, initial=0.0) / usual
    surprise += _NOVELTY_COUNTS * np.minimum(novelty / usual, _MOST_NOVELTY)
    surprise = np.where(blank, 0.0, np.where(known, np.minimum(surprise, _MOST_KNOWN), surprise))
    small = (surprise > _POPPED) & ~large & ~blank
    excess = np.maximum(every.max(axis=0, initial=0.0), tint)
    excess = np.where((known | (doubled & ~small)) & ~large, np.minimum(excess, _MOST_KNOWN), excess)
    excess = np.where(blank, 0.0, excess / _RESTLESS_FACTOR if restless else excess)
    if restless and large.sum() > _FEW_SPOILED * len(blank):
        large, small = np.zeros_like(large), np.zeros_like(small)
    return np.asarray(large), np.asarray(small), np.asarray(excess), np.asarray(surprise)


def _usual(excess: Floats) -> float:
    """Excess (T,) that frames of the clip have anyway."""
    return float(min(np.percentile(excess, _USUAL_PERCENTS) * _USUAL_COUNTS))


def _blank(steps: Steps) -> Flags:
    """Frames without content that begin or end abruptly; a fade is not a blank."""
    contrast = steps.contrast
    result = np.zeros(steps.frames, dtype=bool)
    typical = float(np.median(contrast))
    if typical < 8:
        return result
    for start, stop in runs(contrast < max(EMPTY_LEVELS, 0.15 * typical)):
        entry = contrast[start - 1] if start > 0 else 0.0
        leave = contrast[stop] if stop < steps.frames else 0.0
        if max(entry, leave) > 0.5 * typical:
            result[start:stop] = True
    return result
