"""How much further the picture goes in each step than in those around it: what a missing frame leaves behind.

Three signs are weighed together, each 1 where motion is even and about 2 after one missing frame: what moves, by the
points that are followed; how much the picture changes, held against the steps around; the same, held against the
larger of the two steps beside. What accelerates hurries in the steps beside as well, a missing frame does not.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from caf.qc.metrics.findings import Flags, Floats, around_of, uneven_times
from caf.qc.metrics.steps import Steps

__all__ = ["hurry_of", "jumps_of"]

_DAMPING_LEVELS: Final = 0.6
"""Added to both steps of a ratio: twice as far matters less where twice is still next to nothing."""
_WEIGHTS: Final = (1, 4, 2)
"""Of pace, ratio and loneliness. Source: logistic regression of missing frames in six segments of a clip of dancers
and four scenes made by code gives 4.6, 10.1 and 6.5; it finds on others what these do."""
_UNKNOWN_PACE: Final = 1.1
_LEAST, _MOST = 0.2, 4.0
"""How far a sign can go."""
_EVEN_PACE, _EVEN = 1.04, 1.25
"""Below this pace nothing hurries more than that."""
_JUMP: Final = 1.27
"""Hurry of a jump. Untouched clips that run evenly reach 1.26; one missing frame gives 1.3 to 2 where things move by
half a pixel a frame or more."""
_UNEVEN_SPREAD, _ALONE, _TOGETHER = 0.12, 1.2, 1.1
"""Spread of hurry from which a clip is uneven, how much further a jump goes than the steps beside it there, and what
other steps hurry at most. Even clips that lost a tenth of their frames reach 0.14; hand-held and jerky ones have 0.13
to 0.3, and what trembles by an eighth of a pixel a frame 0.27."""
_STEADY_JUMP, _JUMP_SPREADS, _HURRIES = 1.15, 3.2, 1.08
"""In a clip that runs evenly less is a jump: so many times the usual spread of its own steps. Untouched ones reach 2.9
times; missing frames of small or slow figures give 5 to 9."""


def hurry_of(steps: Steps, pace: Floats, usable: Flags) -> Floats:
    """(T,) weighed geometric mean of the three signs; 1 where the motion is even, nothing moves, or `usable` is not.

    `pace` (T,) is that of `CameraPath`, NaN where it is not known. What a change of brightness adds to a step is taken
    off first. Steps below the noise of coding tell nothing.
    """
    lightened = np.concatenate([[0.0], np.abs(np.diff(steps.gain))]) * steps.luma
    factor = _at_even_times(steps)
    step = np.maximum(0, steps.step - lightened) * factor
    pace = _even_pace(pace, factor, usable)
    ratio = _over(step, around_of(step, usable, reach=4))
    alone = _over(step, np.fmax(*_beside(np.where(usable, step, np.nan))))
    hurry = np.where(usable, _weighed([pace, ratio, alone], _WEIGHTS), 1.0)
    if _spread(hurry) > _UNEVEN_SPREAD:
        hurry = np.where(usable, _where_uneven(pace, ratio, alone, usable), 1.0)
    # Where what is followed goes on evenly, something else changed, such as words over the picture.
    return np.asarray(np.where(pace < _EVEN_PACE, np.minimum(hurry, _EVEN), hurry), dtype=np.float64)


def jumps_of(hurry: Floats, pace: Floats) -> Flags:
    """(T,) steps that hurry as after a missing frame, in an even clip also those beyond its own unevenness.

    The latter only where what moves hurries too: a caption that changes moves nothing.
    """
    least = max(_STEADY_JUMP, float(np.median(hurry)) + _JUMP_SPREADS * _spread(hurry))
    small = (hurry > least) & (np.nan_to_num(pace, nan=0.0) > _HURRIES)
    return np.asarray((hurry > _JUMP) | small, dtype=bool)


def _even_pace(pace: Floats, factor: Floats, usable: Flags) -> Floats:
    """(T,) the pace at even times."""
    pace = pace * factor / np.nan_to_num(around_of(factor, usable, reach=2), nan=1.0)
    # Where nothing could be followed the differences alone must be far off.
    return np.where(np.isfinite(pace), pace, _UNKNOWN_PACE)


def _over(step: Floats, other: Floats) -> Floats:
    """(T,) how much further a step goes than the other one, 1 where that is NaN."""
    return np.where(np.isfinite(other), (step + _DAMPING_LEVELS) / (other + _DAMPING_LEVELS), 1.0)


def _beside(series: Floats) -> tuple[Floats, Floats]:
    """(T,) the value before each and the one after it, NaN beyond the ends."""
    return np.append(np.nan, series[:-1]), np.append(series[1:], np.nan)


def _where_uneven(pace: Floats, ratio: Floats, alone: Floats, usable: Flags) -> Floats:
    """(T,) hurry in a clip of fits and starts, where the picture's changes tell little and a jump must stand alone."""
    hurry = np.where(usable, _weighed([pace, ratio], (1, 1)), 1.0)
    # What trembles comes back in the next step; what is missing never does.
    hurry += 0.5 * np.nansum(_beside(np.minimum(hurry, 1.0) - 1.0), axis=0)
    return np.where(alone > _ALONE, hurry, np.minimum(hurry, _TOGETHER))


def _weighed(signs: Sequence[Floats], weights: Sequence[int]) -> Floats:
    """(T,) geometric mean."""
    logs = [np.log(np.clip(sign, _LEAST, _MOST)) for sign in signs]
    return np.asarray(np.exp(np.average(logs, axis=0, weights=weights)), dtype=np.float64)


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


def _spread(series: Floats) -> float:
    """How far most values are from the middle one, as a standard deviation."""
    return 1.4826 * float(np.median(np.abs(series - np.median(series))))
