"""Frame times out of a file's own clock."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from caf.media.timing import seconds


@given(st.integers(-(2**50), 2**50), st.integers(1, 2**20), st.integers(1, 2**31))
def test_seconds_are_those_of_the_exact_fraction(ticks: int, numerator: int, denominator: int) -> None:
    base = Fraction(numerator, denominator)
    assert seconds(ticks, base) == float(ticks * base)
