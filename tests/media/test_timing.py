"""Frame times out of a file's own clock."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caf.media.timing import seconds, snapped_rate


@given(st.integers(-(2**50), 2**50), st.integers(1, 2**20), st.integers(1, 2**31))
def test_seconds_are_those_of_the_exact_fraction(ticks: int, numerator: int, denominator: int) -> None:
    base = Fraction(numerator, denominator)
    assert seconds(ticks, base) == float(ticks * base)


@pytest.mark.parametrize("step_s", [2, 7.04, 90, 1800.5, 3600, 86_400])
def test_a_clip_of_slides_that_stand_for_hours_has_a_rate(step_s: float) -> None:
    assert 1 / snapped_rate(1 / step_s) == pytest.approx(step_s)
