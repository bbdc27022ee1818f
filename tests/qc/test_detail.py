"""Detail is counted cell by cell, compiled or not, and to the same number."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from caf.media.compiled import COMPILED, NATIVE
from caf.qc.metrics.detail import laplacian_means, opencv_laplacian_sums

compiled = pytest.mark.skipif(not COMPILED, reason="there was no compiler when caf was installed")
sizes = st.tuples(st.integers(6, 90), st.integers(6, 90))


def noise(height: int, width: int, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


@compiled
@given(sizes, st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_compiled_the_sums_are_those_of_opencv(size: tuple[int, int], cells: int, seed: int) -> None:
    gray, found = noise(*size, seed), np.empty((cells, cells), np.int64)
    NATIVE.laplacian_sums(gray, cells, found)
    assert np.array_equal(found, opencv_laplacian_sums(gray, cells))


@compiled
def test_rows_that_do_not_follow_each_other_count_as_they_are_shown() -> None:
    large, found = noise(80, 120), np.empty((6, 6), np.int64)
    every_other = large[::2, 10:70]
    NATIVE.laplacian_sums(every_other, 6, found)
    assert np.array_equal(found, opencv_laplacian_sums(np.ascontiguousarray(every_other), 6))


def test_detail_is_where_it_is_drawn() -> None:
    gray = np.full((60, 90), 100, np.uint8)
    gray[20:30, 45:60] = noise(10, 15)
    means = laplacian_means(gray, 6)
    drawn = np.zeros((6, 6), bool)
    drawn[2, 3] = True
    assert means[drawn][0] > 20 * means[~drawn].max()


def test_blur_takes_detail_away() -> None:
    sharp = noise(48, 48)
    assert (laplacian_means(cv2.GaussianBlur(sharp, (0, 0), 2), 6) < 0.2 * laplacian_means(sharp, 6)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (5, 5), (3, 90)])
def test_a_picture_of_fewer_pixels_than_cells_has_detail_too(size: tuple[int, int]) -> None:
    means = laplacian_means(noise(*size), 6)
    assert means.shape == (6, 6)
    assert np.isfinite(means).all()


@compiled
@pytest.mark.parametrize(
    ("gray", "cells", "room"),
    [
        (noise(5, 20), 6, 36),
        (noise(20, 5), 6, 36),
        (noise(20, 20), 6, 35),
        (noise(20, 20), 0, 0),
        (noise(20, 20)[:, ::2], 6, 36),
        (noise(20, 20)[0], 6, 36),
        (np.zeros((20, 20), np.float32), 6, 36),
    ],
)
def test_what_is_no_picture_or_has_no_room_is_refused(
    gray: NDArray[np.generic], cells: int, room: int
) -> None:
    with pytest.raises(ValueError, match="a pixel a cell"):
        NATIVE.laplacian_sums(gray, cells, np.zeros(room, np.int64))
