"""Courses of long series."""

import numpy as np
import pytest

from caf.engines import smooth


def test_a_course_of_minutes_is_the_same_by_way_of_frequencies(monkeypatch: pytest.MonkeyPatch) -> None:
    walk = np.cumsum(np.random.default_rng(1).normal(size=(2400, 2)), axis=0)
    quick = smooth.smooth(walk, 600.0, cuts=[1100])
    monkeypatch.setattr(smooth, "_LONG_KERNEL", 10_000)
    assert np.abs(smooth.smooth(walk, 600.0, cuts=[1100]) - quick).max() < 1e-9
