"""freeze and cadence: is every frame a new one, and is none missing?"""

from itertools import pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.beat import Beat, Doubling
from caf.qc.metrics.course import Course
from caf.qc.metrics.findings import LEAST_FRAMES, Finding, Flags, Floats, counted, places, runs, worst_of
from caf.qc.metrics.scoring import Calibration, calibrate, measured, unmeasured

__all__ = ["cadence", "freeze", "jumps_score", "repeats_score"]

# Seconds that the longest freeze stands still beyond one frame's time: a tenth is a hitch that most see.
_FREEZE: Calibration = ((0.0, 1.0), (0.03, 0.8), (0.1, 0.62), (0.33, 0.45), (1.0, 0.15), (2.0, 0.0))
# Shares of all frames. One repeated frame in a hundred is seen by who looks for it; one in five is judder.
_REPEATS: Calibration = ((0.0, 1.0), (0.01, 0.86), (0.02, 0.79), (0.05, 0.55), (0.2, 0.3), (0.6, 0.0))
# Those that keep the beat of a conversion, so that none is missing. Every sixth or fifth (25 and 24 to 30) is
# watchable, as what is left out evenly is; every other (drawn on twos) is not.
_EVEN_REPEATS: Calibration = (
    (0.0, 1.0),
    (0.1, 0.82),
    (0.2, 0.73),
    (0.25, 0.7),
    (0.34, 0.5),
    (0.5, 0.3),
    (0.67, 0.0),
)
_JUMPS: Calibration = ((0.0, 1.0), (0.012, 0.92), (0.03, 0.75), (0.075, 0.55), (0.15, 0.35), (0.4, 0.1))
# The even judder of a frame-rate conversion (30 to 25: a jump in every fifth frame) is watchable.
_EVEN_JUMPS: Calibration = ((0.0, 1.0), (0.05, 0.9), (0.15, 0.76), (0.2, 0.71), (0.3, 0.45), (0.5, 0.2))
# The same where another source runs on evenly: these are the clip's own faults for sure.
_BESIDE_THE_SOURCE: Calibration = (
    (0.0, 1.0),
    (0.005, 0.86),
    (0.01, 0.8),
    (0.02, 0.74),
    (0.03, 0.66),
    (0.05, 0.55),
    (0.2, 0.3),
)
_MOST = 0.7
_SLIPPING = 0.34
"""Share of shifts from which the beat is no whole number of frames, and shifts by itself."""
_BOTH = 0.25
"""How much the lesser of the two faults takes from the score of the other."""
_SHORTEST_PERIOD, _LONGEST_PERIOD = 3, 8
_CHANCE = 0.01
_POOR, _SURER = 0.7, 0.1
_SHORT_RUN = 2
"""A repeat of at most so many frames is the cadence's, a longer one a freeze."""


def freeze(seen: Course) -> Finding:
    """Calibrated length of the longest stretch in which the picture stands still although the clip moves.

    Frames stand still that repeat the one before, and those that the timestamps hold for long.
    raw: `longest_freeze_s`, `longest_freeze_frames` (repeated ones), `frozen_share`. Stretches of up to two repeated
    frames count as cadence.
    """
    name, steps = "freeze", seen.steps
    if steps.frames < LEAST_FRAMES:
        return _too_short(name, steps.frames)
    held = _in_runs(seen.repeated, _SHORT_RUN + 1)
    longest = max((stop - start for start, stop in runs(held)), default=0)
    shown_s = np.diff(steps.time_s, append=steps.time_s[-1:] + steps.interval_s)
    stands_s = np.where(held, shown_s, seen.hung_s)
    held |= seen.hung_s > 0
    still_s = max((float(stands_s[start:stop].sum()) for start, stop in runs(held)), default=0.0)
    raw = {
        "longest_freeze_s": still_s,
        "longest_freeze_frames": longest,
        "frozen_share": float(held.mean()),
    }
    blamed = places(held)
    repeats = f" ({longest} repeated frames)" if longest else ""
    reason = (
        f"The picture stands still for {still_s:.2f} s{repeats}."
        if blamed
        else "The picture never stands still while the clip moves."
    )
    found = measured(name, calibrate(still_s, _FREEZE), reason, raw, worst_of(blamed, stands_s - steps.peak))
    return Finding(found, blamed, {"peak_step_levels": steps.peak})


def cadence(seen: Course) -> Finding:
    """The lower of two calibrations: the shares of doubled frames and of steps in which frames are missing.

    raw: `doubled_share`, `odd_doubled_share` (those that keep no beat), `jump_share`, `odd_jump_share`,
    `largest_hurry` (how much further than its neighbours the hastiest step went), beside a source that shows the same
    at the same rate `again_share`: of frames that are shown again though it goes on, and `lost_share`: of the steps in
    which it goes on by more than a frame. Where there are any of these, they alone are blamed, and judged more
    strictly. Jumps and doubled frames as even as a conversion of the frame rate leaves them are judged less strictly,
    and not blamed.
    """
    name, steps = "cadence", seen.steps
    if steps.frames < LEAST_FRAMES:
        return _too_short(name, steps.frames)
    all_doubled = seen.repeated & ~_in_runs(seen.repeated, _SHORT_RUN + 1)
    of_repeats, doubled = repeats_score(all_doubled, seen.doubling)
    of_jumps, odd = jumps_score(seen.jump, seen.hurry, seen.beat, seen.lost)
    raw = {
        "doubled_share": float(all_doubled.mean()),
        "odd_doubled_share": float(doubled.mean()),
        "jump_share": float(seen.jump.mean()),
        "odd_jump_share": float(odd.mean()),
        "largest_hurry": float(seen.hurry.max()),
    }
    score = min(of_repeats, of_jumps)
    beside = ""
    if seen.again is not None and seen.lost is not None:
        again, lost = seen.again & all_doubled, seen.lost
        raw |= {"again_share": float(again.mean()), "lost_share": float(lost.mean())}
        if again.any() or lost.any():
            doubled, odd, beside = again, lost, ", held against the source"
            score = min(score, calibrate(float((again | lost).mean()), _BESIDE_THE_SOURCE))
    if not beside:
        doubled, odd = _told(doubled, of_repeats, odd, of_jumps)
    blamed = places(doubled | odd)
    if not blamed and all_doubled.any():
        reason = (
            f"{int(all_doubled.sum())} frames are shown twice evenly, as after a change of the frame rate."
        )
    elif not blamed and not seen.jump.any():
        reason = "Every frame is a new one and none is missing."
    elif not blamed:
        reason = f"Motion jumps evenly in {int(seen.jump.sum())} places, as after a change of the frame rate."
    elif odd.any() and (odd.sum() > doubled.sum() if beside else of_jumps <= of_repeats or not doubled.any()):
        reason = f"Motion jumps in {counted(odd, 'place')}, as if frames were missing there{beside}."
    else:
        are = "is" if doubled.sum() == 1 else "are"
        reason = f"{counted(doubled, 'frame')} {are} shown twice{beside}."
    badness = seen.hurry + 10.0 * doubled
    found = measured(name, score, reason, raw, worst_of(blamed, badness))
    return Finding(found, blamed, {"hurry": seen.hurry, "peak_step_levels": steps.peak})


def _told(doubled: Flags, of_repeats: float, odd: Flags, of_jumps: float) -> tuple[Flags, Flags]:
    """Those to blame: beside the worse fault a few signs of the other one are as many as clean clips have.

    A doubled frame is surer than a jump.
    """
    if doubled.any() and odd.any():
        nothing = np.zeros_like(odd)
        if of_repeats < of_jumps + _SURER and of_jumps >= _POOR:
            return doubled, nothing
        if of_repeats >= max(_POOR, of_jumps + _SURER):
            return nothing, odd
    return doubled, odd


def repeats_score(repeated: Flags, doubling: Doubling | None, missing: float = 0.0) -> tuple[float, Flags]:
    """The score of the repeated frames, and those to blame: what no conversion of the frame rate explains, or all where
    even what it explains is poor.

    `missing`: frames that a picture stands for as well, which hangs by its timestamps.
    """
    even = np.zeros_like(repeated) if doubling is None else doubling.on & repeated
    odd = repeated & ~even
    shown = len(repeated) + missing
    of_odd = calibrate((float(odd.sum()) + missing) / shown, _REPEATS)
    of_even = calibrate(float(even.sum()) / shown, _EVEN_REPEATS)
    return min(of_odd, of_even), repeated if of_even < _POOR else odd


def jumps_score(
    jump: Flags, hurry: Floats, beat: Beat | None = None, lost: Flags | None = None
) -> tuple[float, Flags]:
    """The score of the jumps, and the frames before which some are missing that no conversion of the rate explains.

    Jumps of a conversion all keep one beat. A frame that is lost afterwards shifts the beat of all that come after it.
    Where no `beat` of the whole clip is sure, one of the jumps is looked for. Frames that are `lost` for sure, as the
    source has them, are those that are blamed.
    """
    score, odd = _jumps_alone(jump, hurry, beat)
    if lost is None or not lost.any():
        return score, odd
    return min(score, calibrate(float(lost.mean()), _JUMPS)), lost


def _jumps_alone(jump: Flags, hurry: Floats, beat: Beat | None) -> tuple[float, Flags]:
    odd = np.zeros_like(jump)
    if beat is not None:
        odd[list(beat.lost)] = True
    else:
        even, period = _even(jump)
        if not period:
            return calibrate(float(jump.mean()), _JUMPS), jump
        odd = _off_beat(jump, even, hurry, period)
    scores = (
        calibrate(float(jump.mean()), _EVEN_JUMPS),
        calibrate(float(odd.mean()), _JUMPS),
    )
    return max(0.0, min(scores) - _BOTH * (1 - max(scores))), odd


def _off_beat(jump: Flags, even: Flags, hurry: Floats, period: int) -> Flags:
    """Where the beat shifts by some frames, as many of that stretch as hurry most; else the jumps beside the beat."""
    beat = places(even)
    odd = jump & ~even
    shifts = [(here, there, (here - there) % period) for here, there in pairwise(beat)]
    if sum(lost > 0 for _, _, lost in shifts) > _SLIPPING * len(shifts):
        return odd if _slips(np.diff(places(jump))) else jump
    # A jump of the beat hurries all the same; it is blamed only for what it does so more than others.
    usual = float(np.median(hurry[even])) - 1.0
    for here, there, lost in shifts:
        if lost:
            hurries = hurry[here:there].copy()
            hurries[0] -= usual
            odd[here:there] = False
            odd[here + np.argsort(-hurries, kind="stable")[:lost]] = True
    return odd


def _slips(gaps: NDArray[np.int64]) -> bool:
    """Whether the beat lies between two whole numbers of frames, so that most gaps are one or the other."""
    near = [np.isin(gaps, (apart, apart + 1)).mean() for apart in range(_SHORTEST_PERIOD, _LONGEST_PERIOD)]
    return bool(max(near) >= _MOST)


def _even(jump: Flags) -> tuple[Flags, int]:
    """Jumps that keep time, and their period: the one that most share, seven tenths of all, and at least four.

    They have another one or two periods before or after, and at least every fourth that could be is there; or half of
    them have, and all are on the same beat, where chance hardly ever puts so many. None, and 0, otherwise.
    """
    best, shared = np.zeros_like(jump), 0
    if jump.sum() < 4:
        return best, shared
    for period in range(_SHORTEST_PERIOD, _LONGEST_PERIOD + 1):
        near = np.zeros_like(jump)
        for apart in (period, 2 * period):
            near[apart:] |= jump[:-apart]
            near[:-apart] |= jump[apart:]
        often = (jump & near).sum() >= 0.25 * len(jump) / period
        for found in (jump & near if often else np.zeros_like(jump), _on_beat(jump, period)):
            if best.sum() < found.sum() <= 2 * (found & near).sum() and found.sum() >= 0.7 * jump.sum():
                best, shared = found, period
    return np.asarray(best, dtype=bool), shared


def _on_beat(jump: Flags, period: int) -> Flags:
    """The jumps on the commonest beat of a period, none if chance puts so many there once in a hundred clips."""
    beat = np.flatnonzero(jump) % period
    count = np.bincount(beat, minlength=period)
    total, most = int(count.sum()), int(count.max())
    share = 1 / period
    chance = sum(comb(total, k) * share**k * (1 - share) ** (total - k) for k in range(most, total + 1))
    on = np.zeros_like(jump)
    if chance * period < _CHANCE:
        on[np.flatnonzero(jump)[beat == int(count.argmax())]] = True
    return on


def _in_runs(flags: Flags, least: int) -> Flags:
    result = np.zeros_like(flags)
    for start, stop in runs(flags):
        result[start:stop] = stop - start >= least
    return result


def _too_short(name: str, frames: int) -> Finding:
    return Finding(unmeasured(name, f"Too few frames to judge how smoothly the clip runs: {frames}."))
