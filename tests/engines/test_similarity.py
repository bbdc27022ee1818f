"""A similarity is fitted to what most points agree on, whatever the others do, compiled or not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from caf.engines import similarity
from caf.engines.similarity import agreed_similarity
from caf.media.compiled import COMPILED, NATIVE

compiled = pytest.mark.skipif(not COMPILED, reason="there was no compiler when caf was installed")


def scattered(
    seed: int, count: int, strays: float, noise: float
) -> tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.bool_]]:
    """Places, where they went, and those that a first guess holds for."""
    rng = np.random.default_rng(seed)
    old = rng.normal(0, 200, count) + 1j * rng.normal(0, 120, count)
    new = old * np.exp(complex(*rng.normal(0, 0.01, 2))) + complex(*rng.normal(0, 5, 2))
    new += noise * (rng.normal(0, 1, count) + 1j * rng.normal(0, 1, count))
    off = rng.random(count) < strays
    new[off] += rng.normal(0, 20, int(off.sum()))
    return old, new, np.abs(new - old) < 12


@compiled
@given(
    st.integers(0, 2**32 - 1), st.integers(1, 400), st.floats(0, 0.5), st.sampled_from([0.0, 0.02, 0.3, 3.0])
)
def test_compiled_it_is_what_it_is_in_python(seed: int, count: int, strays: float, noise: float) -> None:
    old, new, held = scattered(seed, count, strays, noise)
    held[0] = True
    still = similarity._Turn(1 + 0j, 0j)
    before = held.copy()
    worth = np.random.default_rng(seed).uniform(0.1, 1.0, count).astype(np.float32)
    mine = similarity._refined(still, old, new, held, worth)
    plain = similarity._plainly_refined(still, old, new, held, worth.astype(np.float64))
    assert np.array_equal(held, before)
    assert abs(mine.factor - plain.factor) * 500 + abs(mine.shift - plain.shift) < 1e-6


def test_points_that_go_elsewhere_do_not_count() -> None:
    rng = np.random.default_rng(8)
    old = rng.uniform(-200, 200, (200, 2))
    new = old * 1.01 + (3.0, -2.0)
    new[:60] += rng.uniform(5, 40, (60, 2))
    motion, held = agreed_similarity(old, new, 1.0)
    assert np.allclose(motion, (3.0, -2.0, 0.0, np.log(1.01)), atol=1e-6)
    assert not held[:60].any()
    assert held[60:].all()


@compiled
def test_as_many_places_must_be_given_before_as_after() -> None:
    old = np.zeros(5, np.complex128)
    held, still = np.ones(5, np.bool_), (1.0, 0.0, 0.0, 0.0)
    worth = np.ones(5)
    for words in (
        (old, old[1:], held, worth),
        (old[1:], old, held, worth),
        (old, old, held[1:], worth),
        (old, old, held, worth[1:]),
    ):
        with pytest.raises(ValueError, match="as many places"):
            NATIVE.refined(still, *words, 5, 0.05, 4.5, 1e-3, 500.0)


def test_points_of_more_worth_count_more_where_all_are_near() -> None:
    rng = np.random.default_rng(4)
    old = rng.uniform(-200, 200, (200, 2))
    new = old + np.array([1.0, 0.0])
    new += rng.normal(0, 0.15, new.shape)
    new[:140, 0] -= 0.3
    worth = np.where(np.arange(200) < 140, 0.05, 1.0).astype(np.float32)
    alike, _ = agreed_similarity(old, new, 1.0)
    told, _ = agreed_similarity(old, new, 1.0, worth)
    assert abs(told[0] - 1.0) < 0.05 < abs(alike[0] - 1.0)
