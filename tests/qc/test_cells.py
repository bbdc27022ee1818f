"""The sums that every frame needs, beside those of OpenCV and NumPy."""

import cv2
import numpy as np
import pytest

from caf.qc.metrics.cells import cell_means, middle, middles


@pytest.mark.parametrize("shape", [(160, 90), (90, 160), (45, 80), (17, 16)])
@pytest.mark.parametrize("cells", [8, 16])
def test_cell_means_are_those_of_a_picture_made_small_by_area(shape: tuple[int, int], cells: int) -> None:
    picture = np.random.default_rng(3).uniform(0, 255, shape).astype(np.float32)
    expected = cv2.resize(picture, (cells, cells), interpolation=cv2.INTER_AREA)
    assert cell_means(picture, cells) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("count", [1, 2, 7, 256])
def test_the_middle_is_the_median_to_the_last_bit(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count).astype(np.float32)
    assert middle(values) == float(np.median(values))


@pytest.mark.parametrize("count", [1, 2, 5, 38])
def test_the_middles_are_the_medians_to_the_last_bit(count: int) -> None:
    values = np.random.default_rng(count).normal(size=(count, 7, 3))
    assert np.array_equal(middles(values), np.median(values, axis=0))
