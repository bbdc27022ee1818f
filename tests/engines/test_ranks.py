"""Medians and quantiles of small series."""

import numpy as np
import pytest

from caf.engines.ranks import median, quantile


def test_the_median_is_the_middle_one_and_of_an_even_number_the_upper() -> None:
    assert median(np.array([5.0, 1.0, 3.0])) == 3.0
    assert median(np.array([4.0, 1.0, 3.0, 2.0], np.float32)) == 3.0


def test_of_nothing_there_is_none() -> None:
    assert np.isnan(median(np.empty(0)))


@pytest.mark.parametrize(("share", "value"), [(0.0, 0.0), (0.25, 25.0), (0.999, 99.0), (1.0, 99.0)])
def test_a_quantile_has_its_share_of_the_values_below(share: float, value: float) -> None:
    values = np.random.default_rng(1).permutation(100).astype(float)
    assert quantile(values, share) == value
    assert values[0] != 0.0, "what is asked is not sorted"
