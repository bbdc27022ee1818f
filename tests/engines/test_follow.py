"""Features are found where they went, compiled or not, and are told as lost where nothing tells."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.engines.features import seen_in
from caf.engines.follow import Look, Picture, Places, led, opencv_led
from caf.media.compiled import COMPILED, NATIVE
from tests.clips import camera_frames, texture

Way = Callable[[Picture, Picture, Places, Places, Look], tuple[Places, NDArray[np.bool_]]]

SIZE = (320, 240)
LOOK = Look(window_px=16, levels=3, rounds=30, close_px=0.005)
WAYS = (led, opencv_led) if COMPILED else (led,)

compiled = pytest.mark.skipif(not COMPILED, reason="there was no compiler when caf was installed")
either_way = pytest.mark.parametrize("way", WAYS)


def moved(*motions: tuple[float, float, float], seed: int = 3) -> list[NDArray[np.uint8]]:
    """Pictures of one scene by a camera that is moved; x, y px, roll degrees."""
    return camera_frames(texture(400, 320, seed=seed), np.array([(0.0, 0.0, 0.0), *motions]), SIZE)


def pictures(*motions: tuple[float, float, float]) -> list[Picture]:
    return [Picture(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)) for image in moved(*motions)]


def inner_features() -> Places:
    places = seen_in(moved()[0], 1.0).features
    return places[((places > 40) & (places < np.array(SIZE) - 40)).all(axis=1)]


def waves(x: float, y: float) -> Picture:
    """A pattern known at every place, moved by so many px."""
    rows, columns = np.indices(SIZE[::-1], np.float64)
    rows, columns = rows - y, columns - x
    levels = (
        128 + 50 * np.sin(0.45 * columns + 0.02 * rows) * np.cos(0.39 * rows) + 40 * np.sin(0.07 * columns)
    )
    return Picture(np.rint(levels + 30 * np.cos(0.05 * rows)).astype(np.uint8))


@either_way
@pytest.mark.parametrize("shift", [(0.37, -0.81), (2.26, 3.13), (-5.44, 4.7)])
def test_what_is_moved_is_found_to_a_small_part_of_a_pixel(way: Way, shift: tuple[float, float]) -> None:
    start = np.array([(x, y) for x in range(40, 280, 17) for y in range(40, 200, 13)], np.float32)
    there, seen = way(waves(0, 0), waves(*shift), start, start + np.round(np.float32(shift)), LOOK)
    assert seen.all()
    assert np.abs(there - start - np.float32(shift)).max() < 0.02


@either_way
def test_a_guess_is_where_the_look_begins(way: Way) -> None:
    before, after = pictures((30.0, 0.0, 0.0))
    start = inner_features()
    flat = LOOK._replace(levels=0)
    blind, _ = way(before, after, start, start, flat)
    told, _ = way(before, after, start, start + np.float32((-30, 0)), flat)
    way_there = np.float32((-30, 0))
    right = (np.abs(told - start - way_there) < 0.1).all(axis=1).mean()
    other = (np.abs(blind - start - way_there) < 0.1).all(axis=1).mean()
    assert right > 0.9 > 0.3 > other


@either_way
def test_where_nothing_is_to_be_seen_nothing_is(way: Way) -> None:
    grey = Picture(np.full(SIZE[::-1], 90, np.uint8))
    start = inner_features()
    assert not way(grey, grey, start, start, LOOK)[1].any()


@either_way
def test_places_far_outside_are_not_seen(way: Way) -> None:
    before, after = pictures((1.0, 1.0, 0.0))
    start = np.array([(-400.0, 50.0), (50.0, 900.0), (160.0, 120.0)], np.float32)
    assert not way(before, after, start, start, LOOK)[1][:2].any()
    assert not way(before, after, start[2:], np.array([(5000.0, 120.0)], np.float32), LOOK)[1].any()


@either_way
def test_without_features_there_is_nothing_to_find(way: Way) -> None:
    before, after = pictures((1.0, 1.0, 0.0))
    none = np.empty((0, 2), np.float32)
    there, seen = way(before, after, none, none, LOOK)
    assert there.shape == (0, 2)
    assert seen.shape == (0,)


@either_way
def test_what_was_given_stays_as_it_was(way: Way) -> None:
    before, after = pictures((3.0, 2.0, 0.0))
    start, guess = inner_features(), inner_features() + np.float32(1)
    kept = before.gray.copy(), after.gray.copy(), start.copy(), guess.copy()
    way(before, after, start, guess, LOOK)
    for given, was in zip((before.gray, after.gray, start, guess), kept, strict=True):
        assert np.array_equal(given, was)


@compiled
@pytest.mark.parametrize("look", [LOOK, Look(11, 3, 20, 0.01), Look(16, 0, 30, 0.005), Look(5, 1, 20, 0.01)])
def test_compiled_it_finds_what_opencv_finds(look: Look) -> None:
    before, after = pictures((5.3, -2.2, 1.0))
    start = seen_in(moved()[0], 1.0).features
    mine, seen = led(before, after, start, start, look)
    theirs, also = opencv_led(before, after, start, start, look)
    both = seen & also
    assert (seen != also).mean() < 0.02
    assert np.quantile(np.abs(mine - theirs)[both].max(axis=1), 0.95) < 0.02


@compiled
@pytest.mark.parametrize("size", [(24, 24), (33, 25), (160, 90)])
def test_small_pictures_have_as_few_levels_as_with_opencv(size: tuple[int, int]) -> None:
    image = texture(*size, seed=5)
    before = seen_in(image, 1.0).picture
    after = seen_in(np.ascontiguousarray(np.roll(image, 1, axis=1)), 1.0).picture
    start = np.array([(x, y) for x in range(2, size[0], 4) for y in range(2, size[1], 4)], np.float32)
    mine, seen = led(before, after, start, start, LOOK)
    theirs, also = opencv_led(before, after, start, start, LOOK)
    assert (seen == also).mean() > 0.9
    both = seen & also
    assert np.median(np.abs(mine - theirs)[both]) < 0.05


@compiled
@pytest.mark.parametrize("window_px", [1, 5, 8, 11, 15, 16])
@pytest.mark.parametrize("size", [(1, 1), (3, 40), (64, 48)])
def test_a_processors_own_instructions_find_what_any_would(size: tuple[int, int], window_px: int) -> None:
    rng = np.random.default_rng((*size, window_px))
    before, after = (
        Picture(rng.integers(0, 256, size[::-1], dtype=np.uint8)).level(0),
        Picture(rng.integers(0, 256, size[::-1], dtype=np.uint8)).level(0),
    )
    start = rng.uniform(-20, max(size) + 20, (300, 2)).astype(np.float32)
    guess = start + rng.normal(0, 3, (300, 2)).astype(np.float32)
    found = []
    for way in (NATIVE.followed, NATIVE.followed_anyhow):
        there, seen = guess.copy(), np.full(300, 7, np.uint8)
        way(before, after, *size, start, there, seen, window_px, 20, 0.01)
        found.append((there, seen))
    assert np.array_equal(found[0][0], found[1][0])
    assert np.array_equal(found[0][1], found[1][1])


@compiled
def test_what_is_no_place_is_lost() -> None:
    before, after = pictures((1.0, 1.0, 0.0))
    start = np.array([(np.nan, 50), (50, np.inf), (1e30, 50), (160, 120)], np.float32)
    guess = np.full((4, 2), 100, np.float32)
    assert not led(before, after, start, guess, LOOK)[1][:3].any()
    assert not led(before, after, guess, start, LOOK)[1][:3].any()


def test_features_followed_in_two_threads_are_those_followed_one_by_one() -> None:
    before, *others = pictures(*((0.7 * step, -0.3 * step, 0.0) for step in range(1, 12)))
    start = inner_features()
    wanted = [led(before, after, start, start, LOOK)[0] for after in others]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda after: led(before, after, start, start, LOOK)[0], others))
    assert all(np.array_equal(one, other) for one, other in zip(found, wanted, strict=True))


@compiled
def test_levels_and_places_of_other_sizes_are_refused() -> None:
    level = Picture(np.zeros((48, 64), np.uint8)).level(0)
    start, there, seen = np.zeros((3, 2), np.float32), np.zeros((3, 2), np.float32), np.zeros(3, np.uint8)
    for words in (
        (level, level[1:], 64, 48, start, there, seen, 16, 30, 0.01),
        (level, level, 63, 48, start, there, seen, 16, 30, 0.01),
        (level, level, sys.maxsize, 48, start, there, seen, 16, 30, 0.01),
        (level, level, 64, 48, start[1:], there, seen, 16, 30, 0.01),
        (level, level, 64, 48, start, there, seen[1:], 16, 30, 0.01),
        (level, level, 64, 48, start, there, seen, 17, 30, 0.01),
        (level, level, 64, 48, start, there, seen, 0, 30, 0.01),
    ):
        with pytest.raises(ValueError, match="of that size"):
            NATIVE.followed(*words)
    with pytest.raises(TypeError, match="read-write"):
        NATIVE.followed(level, level, 64, 48, start, there.tobytes(), seen, 16, 30, 0.01)
