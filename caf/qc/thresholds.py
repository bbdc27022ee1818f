"""Where a threshold between good and bad clips is best put, and how sure one can be of it. Pure statistics.

Higher scores are better. As for the gates, a score below the threshold fails and one at it passes: a good clip below
it is a false alarm, a bad clip below it is caught.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from msgspec import Struct

__all__ = [
    "FEWEST_GOOD",
    "LOWEST_AUC",
    "NoProposal",
    "Outcome",
    "auc",
    "outcome",
    "propose",
    "roc",
    "upper_limit",
]

FEWEST_GOOD: Final = 5
"""Good clips without which nothing is proposed."""
LOWEST_AUC: Final = 0.7
"""Below it a metric does not tell good from bad well enough for any threshold."""
_DIGITS: Final = 4


class Outcome(Struct, frozen=True, kw_only=True):
    """What a threshold does to clips whose goodness is known."""

    threshold: float
    false_alarms: int
    """Good clips below it."""
    caught: int
    """Bad clips below it."""
    false_alarm_rate: float | None
    """0..1 of the good clips; None without any. So with the next two."""
    false_alarm_limit: float | None
    """Upper end of the 95 % interval of that rate; see `upper_limit`."""
    catch_rate: float | None
    """0..1 of the bad clips."""


class NoProposal(NamedTuple):
    """Why no threshold is proposed, in words."""

    reason: str


def auc(good: Sequence[float], bad: Sequence[float]) -> float | None:
    """The probability that a good clip scores above a bad one, ties counting half; None without both.

    Source: Mann and Whitney's U over its greatest value; Hanley and McNeil, Radiology 143 (1982) 29-36.
    """
    if not good or not bad:
        return None
    ranked = sorted(good)
    # In halves, which are whole numbers: the sum is exact.
    halves = sum(2 * len(ranked) - bisect_left(ranked, score) - bisect_right(ranked, score) for score in bad)
    return halves / (2 * len(good) * len(bad))


def outcome(threshold: float, good: Sequence[float], bad: Sequence[float]) -> Outcome:
    """What `threshold` does to clips with these scores."""
    false_alarms = sum(score < threshold for score in good)
    caught = sum(score < threshold for score in bad)
    return Outcome(
        threshold=threshold,
        false_alarms=false_alarms,
        caught=caught,
        false_alarm_rate=false_alarms / len(good) if good else None,
        false_alarm_limit=upper_limit(false_alarms, len(good)) if good else None,
        catch_rate=caught / len(bad) if bad else None,
    )


def propose(good: Sequence[float], bad: Sequence[float], allowed: float) -> Outcome | NoProposal:
    """The threshold that catches most bad clips with at most the share `allowed` (0..1) of false alarms.

    Thresholds lie between neighbouring scores. Where several catch as many, it is the middle of the widest gap, and
    of equally wide ones the lowest.
    """
    if not bad:
        return NoProposal("no bad clip was measured")
    if len(good) < FEWEST_GOOD:
        return NoProposal(f"only {len(good)} of the {FEWEST_GOOD} good clips that are needed were measured")
    area = auc(good, bad)
    assert area is not None
    if area < LOWEST_AUC:
        return NoProposal(f"AUC {area:.3f} is below {LOWEST_AUC:.2f}: it does not tell them apart")
    fine, poor = sorted(good), sorted(bad)
    gaps = [
        (bisect_right(poor, below), above - below, -below, above)
        for below, above in pairwise(sorted({*good, *bad}))
        if bisect_right(fine, below) / len(fine) <= allowed
    ]
    caught, _, negated, above = max(gaps, default=(0, 0.0, 0.0, 0.0))
    if caught == 0:
        return NoProposal(f"none catches a bad clip with at most {100 * allowed:g} % of false alarms")
    return outcome(_between(-negated, above), good, bad)


def _between(below: float, above: float) -> float:
    """The middle, short where there is room for it; `below` fails at it, and `above` passes."""
    middle = (below + above) / 2
    short = round(middle, _DIGITS)
    if below < short < above:
        return short
    return middle if below < middle else above  # neighbouring floats have no middle


def roc(good: Sequence[float], bad: Sequence[float]) -> tuple[tuple[float, float], ...]:
    """(false-alarm rate, catch rate) from (0, 0) to (1, 1), a corner for each score; empty without both.

    The area under the lines through them is `auc`.
    """
    if not good or not bad:
        return ()
    fine, poor = sorted(good), sorted(bad)
    return (
        (0.0, 0.0),
        *(
            (bisect_right(fine, score) / len(fine), bisect_right(poor, score) / len(poor))
            for score in sorted({*good, *bad})
        ),
    )


def upper_limit(events: int, trials: int, confidence: float = 0.95) -> float:
    """The upper end of the two-sided interval of a rate of which `events` of `trials` were seen.

    It is exact, that is never too narrow, for a threshold that was fixed before; for one that was chosen on the same
    clips it is a little too hopeful.

    Source: Clopper and Pearson, Biometrika 26 (1934) 404-413.
    """
    if events >= trials:
        return 1.0
    tail = (1 - confidence) / 2
    low, high = events / trials, 1.0
    while low < (middle := (low + high) / 2) < high:  # until they are neighbouring floats
        low, high = (middle, high) if _at_most(events, trials, middle) > tail else (low, middle)
    return high


def _at_most(events: int, trials: int, rate: float) -> float:
    """The probability of at most `events` in `trials`; 0 < rate < 1."""
    log_rate, log_rest = math.log(rate), math.log1p(-rate)
    total = math.lgamma(trials + 1)
    return math.fsum(
        math.exp(
            total - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * log_rate + (trials - k) * log_rest
        )
        for k in range(events + 1)
    )
