"""Frame times: constant or variable, and the time base that holds them exactly."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

__all__ = ["is_variable", "seconds", "snapped_rate", "time_base_for"]

_MICROSECOND = Fraction(1, 1_000_000)


def seconds(ticks: int, base: Fraction) -> float:
    """`float(ticks * base)`, to the bit, without the fraction in between, which costs ten times as much."""
    return ticks * base.numerator / base.denominator


def is_variable(times_s: Sequence[float], tick_s: float) -> bool:
    """True when frame steps differ by more than a tenth and the rounding of the file's own clock."""
    if len(times_s) < 3:
        return False
    steps = sorted(b - a for a, b in pairwise(times_s))
    typical = steps[len(steps) // 2]
    slack = max(2.01 * tick_s if tick_s <= 0.002 else 1e-6, 0.1 * typical)
    return steps[-1] - typical > slack or typical - steps[0] > slack


def snapped_rate(fps: float) -> Fraction:
    """The exact rate a measured one stands for: whole, n/1.001, or the nearest with a small denominator.

    Of less than a frame a second, what lies between two frames has it: no rate is taken for zero.
    """
    if 0 < fps < 1:
        return 1 / Fraction(1 / fps).limit_denominator(1001)
    whole = round(fps)
    for candidate in (Fraction(whole), Fraction(whole * 1000, 1001)):
        if whole > 0 and abs(float(candidate) - fps) < 2e-4 * fps:
            return candidate
    return Fraction(fps).limit_denominator(1001)


def time_base_for(fps: float, *, variable: bool) -> Fraction:
    """A unit that holds every frame time: a share of the exact frame step, or a microsecond when variable."""
    if variable or fps <= 0:
        return _MICROSECOND
    rate = snapped_rate(fps)
    # Fine enough that a time which is a little off the grid keeps its place to within 0.1 ms.
    ticks = rate.numerator
    return Fraction(1, ticks * max(1, -(-10_000 // ticks)))
