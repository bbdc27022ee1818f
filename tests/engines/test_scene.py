"""Small pictures laid over each other, and cuts told by that."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.engines.scene import evenly, is_cut, overlaid
from tests.clips import texture

SIZE = (64, 36)


def small(seed: int, x: int = 0, y: int = 0) -> NDArray[np.float32]:
    """(36, 64, 3) of a place of its own, looked at from a little further right and down."""
    place = texture(640, 480, seed=seed)[60 + 10 * y : 420 + 10 * y, 0 + 10 * x : 560 + 10 * x]
    return np.asarray(cv2.resize(place, SIZE, interpolation=cv2.INTER_AREA), np.float32)


def test_another_place_is_a_cut_and_a_moved_camera_or_dimmed_light_is_none() -> None:
    here = evenly(small(1))
    assert is_cut(here, evenly(small(2)))
    assert not is_cut(here, evenly(small(1, 3, 2)))
    assert not is_cut(here, 0.5 * here)


@pytest.mark.parametrize("colours", [False, True])
def test_pictures_that_are_compared_stay_as_they_are(colours: bool) -> None:
    pair = [small(1), small(1, 3, 2)] if colours else [evenly(small(1)), evenly(small(1, 3, 2))]
    kept = [picture.copy() for picture in pair]
    overlaid(*pair)
    for picture, before in zip(pair, kept, strict=True):
        assert np.array_equal(picture, before)


def test_the_mean_of_the_channels_is_that() -> None:
    picture = small(1)
    assert np.allclose(evenly(picture), picture.mean(axis=2), atol=1e-3)
