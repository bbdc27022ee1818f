"""Frames that are missing, held against the source."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from caf.qc.metrics.alignment import SourceRun, places_in
from caf.qc.metrics.course import paced_by
from caf.qc.metrics.outliers import shades_of
from caf.qc.metrics.timing import cadence
from tests.qc.conftest import Scores
from tests.qc.metric_clips import FPS, Image, lit, pan, picture, seen
from tests.qc.test_metrics_technical import course_of, waving

Judge = Callable[..., Scores]
Writer = Callable[..., str]


@pytest.fixture(scope="module")
def source() -> list[Image]:
    return waving(pan(picture("chelsea")))


def shades(frames: list[Image]) -> NDArray[np.uint16]:
    return np.stack([shades_of(frame) for frame in seen(frames)])


def without(frames: list[Image], *gone: int) -> list[Image]:
    return [frame for index, frame in enumerate(frames) if index not in gone]


def times(frames: Sequence[object], fps: float = FPS) -> list[float]:
    return [index / fps for index in range(len(frames))]


def test_each_frame_is_found_in_the_source_around_those_that_are_missing(source: list[Image]) -> None:
    gone = (11, 30, 31, 32, 50)
    clip = lit(without(source, *gone), np.linspace(0.95, 1.05, len(source) - len(gone)))
    found = places_in(shades(source), shades(clip))
    assert found is not None
    assert found.tolist() == [index for index in range(len(source)) if index not in gone]


def test_a_clip_that_begins_later_is_found_where_it_begins(source: list[Image]) -> None:
    found = places_in(shades(source), shades(source[7:]))
    assert found is not None
    assert found.tolist() == list(range(7, len(source)))


def test_another_clip_and_one_in_which_nothing_moves_are_found_nowhere(source: list[Image]) -> None:
    assert places_in(shades(source), shades(pan(picture("coffee")))) is None
    assert places_in(shades(source), shades(source[::-1])) is None
    assert places_in(shades([source[0]] * 60), shades([source[0]] * 60)) is None
    assert places_in(shades(source[:5]), shades(source[:5])) is None


def test_what_a_step_says_of_missing_frames_gives_way_to_the_source(source: list[Image]) -> None:
    clip = without(source, 20, 40)
    alone, places = course_of(clip), places_in(shades(source), shades(clip))
    assert places is not None
    assert cadence(paced_by(alone, places)).blamed == (20, 39)
    jerky = course_of(clip)
    assert cadence(paced_by(jerky, np.arange(len(clip)))).blamed == ()


def test_a_frame_that_is_shown_twice_makes_no_frame_miss(source: list[Image]) -> None:
    clip = list(source)
    clip[30] = clip[29]
    places = places_in(shades(source), shades(clip))
    assert places is not None
    held = paced_by(course_of(clip), places)
    assert not held.jump.any()
    assert cadence(held).blamed == (30,)


def test_a_source_at_another_rate_gives_no_places_and_moments_by_time(source: list[Image]) -> None:
    every = shades(source)
    run = SourceRun(np.array(times(source)), every)
    half = every[::2]
    assert run.places(times(half, FPS / 2), half) is None
    found = run.moments(times(half, FPS / 2), None)
    assert list(found) == list(range(len(half)))
    assert all(np.array_equal(found[index], half[index]) for index in found)
    late = run.moments([time_s + 0.5 / FPS for time_s in times(source)], None)
    assert late == {}
    assert SourceRun(np.array([]), np.zeros((0,), np.uint16)).moments(times(source), None) == {}


def test_a_measured_clip_that_lost_frames_is_blamed_where_its_source_has_them(
    source: list[Image], clip_of: Writer, judge: Judge
) -> None:
    before, clip = clip_of(source), clip_of(without(source, 20, 40))
    found = judge(clip, "cadence", source=before)["cadence"]
    assert {20, 39} == {frame for first, last in found.spans for frame in range(first, last + 1)}
    again = clip_of(lit(without(source, 20, 40), np.full(len(source) - 2, 0.97)))
    assert judge(again, "cadence", source=clip)["cadence"].spans == ()
