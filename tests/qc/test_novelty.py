"""Colours that neither side has: how much of the picture must show them, and where."""

import numpy as np
import pytest
from numpy.typing import NDArray

from caf.qc.metrics.novelty import Palette, Step, novelty

SIZE = (54, 96)
GREY, NEW = (90, 120, 130), (200, 120, 130)


def palette(spot: tuple[int, int] | None = None) -> Palette:
    """A plain picture, YCrCb, with a bright spot of 3x3 about a place, if one is given."""
    picture = np.full((*SIZE, 3), GREY, dtype=np.uint8)
    if spot is not None:
        row, column = spot
        picture[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = NEW
    return Palette(picture)


def flashed(spot: tuple[int, int], usual: NDArray[np.float32]) -> float:
    """The novelty of one frame with a spot between two without."""
    plain, shown = palette(), palette(spot)
    return novelty_of(plain, shown, usual)


def novelty_of(plain: Palette, shown: Palette, usual: NDArray[np.float32]) -> float:
    return novelty(plain, Step(plain, shown), Step(shown, plain), plain, usual, lightened=0.0)


def calm_at(places: int, spot: tuple[int, int]) -> NDArray[np.float32]:
    """What is usual: everything, but for so many places in a row at the spot."""
    usual = np.full(SIZE, 255.0, dtype=np.float32)
    usual[spot[0], spot[1] : spot[1] + places] = 0.0
    return usual


@pytest.mark.parametrize(("places", "new"), [(3, False), (4, True)])
def test_colours_are_new_only_where_they_are_so_in_as_many_places_as_a_limb_has(
    places: int, new: bool
) -> None:
    assert (flashed((20, 40), calm_at(places, (20, 40))) > 1.0) == new


@pytest.mark.parametrize(("top", "new"), [(0, False), (20, True)])
def test_what_comes_in_at_the_edge_of_the_picture_is_nothing_new(top: int, new: bool) -> None:
    usual = np.full(SIZE, 255.0, dtype=np.float32)
    usual[top : top + 2] = 0.0
    assert (flashed((top, 40), usual) > 1.0) == new


def test_a_picture_of_a_few_pixels_shows_nothing_new() -> None:
    plain, shown = (Palette(np.full((5, 5, 3), level, dtype=np.uint8)) for level in (90, 200))
    usual = np.zeros((5, 5), dtype=np.float32)
    assert novelty_of(plain, shown, usual) == 0.0
