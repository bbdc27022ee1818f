"""The camera's path and the course it is held to: exact in their composition, as calm as the crop allows."""

import numpy as np
import pytest

from caf.engines.course import after, as_matrices, course_within, zoom_needed
from caf.engines.smooth import smooth

SIZE = (320, 180)


def shaken(frames: int, seed: int = 1) -> np.ndarray:  # type: ignore[type-arg]
    return np.random.default_rng(seed).normal(0, 1, (frames, 4)) * (6, 4, 0.01, 0.004)


def matrix(place: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    x, y, roll, log_zoom = place
    a, b = np.exp(log_zoom) * np.cos(roll), np.exp(log_zoom) * np.sin(roll)
    middle = (np.array(SIZE) - 1) / 2
    turn = np.array([[a, -b], [b, a]])
    return np.vstack([np.column_stack((turn, middle + np.array([x, y]) - turn @ middle)), [0, 0, 1]])


def test_one_step_after_another_is_the_product_of_both() -> None:
    first, then = shaken(2)
    assert matrix(after(first, then)) == pytest.approx(matrix(then) @ matrix(first))


def test_corrections_take_every_corner_to_the_course_however_the_camera_rolls() -> None:
    path = shaken(60)
    course = course_within(path, 15.0, 1.0, SIZE, 0.3)
    shown = np.array([m @ matrix(p) for m, p in zip(as_matrices(course, SIZE), path, strict=True)])
    corners = np.array([[0, 0, 1], [SIZE[0], 0, 1], [0, SIZE[1], 1], [SIZE[0], SIZE[1], 1]]).T
    places = (shown @ corners).reshape(60, 8)
    assert np.abs(np.diff(places, n=2, axis=0)).max() < 0.15  # no acceleration that shakes


def test_a_jolt_is_spread_over_as_long_as_the_crop_allows() -> None:
    path = np.zeros((90, 4))
    path[45:, 0] = 12.0
    course = course_within(path, 30.0, 1.0, SIZE, 0.3)
    shown = path[:, 0] + course.corrections[:, 0]
    rest = (shown - smooth(shown[:, None], 15.0, robust=False)[:, 0]).std()
    assert rest < 0.15
    assert course.zoom < 1.0 + 2 * 7.0 / SIZE[0] * 1.1  # half of the jolt on either side, no more


def test_a_pan_is_not_locked_only_because_a_smoother_course_exists() -> None:
    path = np.zeros((120, 4))
    path[:, 0] = 60 * np.sin(np.linspace(0, np.pi, 120))
    course = course_within(path, 10.0, 1.0, SIZE, 0.3)
    assert np.abs(course.corrections[:, 0]).max() < 8


@pytest.mark.parametrize("max_crop", [0.0, 0.02, 0.1])
def test_no_correction_opens_an_edge_that_the_zoom_does_not_hide(max_crop: float) -> None:
    course = course_within(shaken(60), 20.0, 1.0, SIZE, max_crop)
    assert zoom_needed(course.corrections, SIZE).max() <= course.zoom + 1e-9
    assert course.zoom <= 1 / (1 - max_crop) + 1e-6


@pytest.mark.parametrize("max_crop", [0.05, 0.15])
def test_where_the_camera_is_turned_at_once_its_tremor_is_still_removed(max_crop: float) -> None:
    path = np.zeros((180, 4))
    path[:, 0] = -200 * np.clip((np.arange(180) - 75) / 30.0, 0, 1)  # a pan that starts and stops
    tremor = np.random.default_rng(3).normal(0, 1.0, (180, 2))
    path[:, :2] += tremor
    course = course_within(path, 30.0, 1.0, SIZE, max_crop)
    factor = np.exp(course.corrections[:, 3] + 1j * course.corrections[:, 2])
    shown = factor * (path[:, 0] + 1j * path[:, 1]) + course.corrections[:, 0] + 1j * course.corrections[:, 1]
    before, after = (np.abs(np.diff(p, 2)).std() for p in (path[:, 0] + 1j * path[:, 1], shown))
    assert after < 0.3 * before
    assert np.ptp(shown.real) > 150  # the pan stays


def test_a_pan_that_starts_and_stops_takes_no_more_picture_than_it_must() -> None:
    path = np.zeros((180, 4))
    path[:, 0] = -200 * np.clip((np.arange(180) - 60) / 60.0, 0, 1)
    course = course_within(path, 30.0, 1.0, SIZE, 0.3)
    assert course.zoom < 1.25
    assert np.abs(np.diff(path[:, 0] + course.corrections[:, 0], 2)).max() < 0.3
