"""Parts that pop, held against the same moments of the source."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.qc.metrics.course import held_against
from caf.qc.metrics.glitch import glitch
from caf.qc.metrics.outliers import shades_of
from caf.qc.metrics.shades import VISIBLE_LEVELS, Shades, added_levels
from tests.qc.conftest import Scores
from tests.qc.metric_clips import FRAMES, Image, lit, pan, picture, seen
from tests.qc.test_metrics_technical import course_of, waving

Judge = Callable[..., Scores]
Writer = Callable[..., str]


@pytest.fixture(scope="module")
def source() -> list[Image]:
    return waving(pan(picture("chelsea")))


def all_shades(frames: list[Image]) -> NDArray[np.uint16]:
    return np.stack([shades_of(frame) for frame in seen(frames)])


def off_by(frames: list[Image], source: list[Image]) -> NDArray[np.float64] | None:
    moments: dict[int, Shades] = dict(enumerate(all_shades(source)))
    return added_levels(all_shades(frames), moments)


def lightened(frames: list[Image], levels: int, *at: int) -> list[Image]:
    """A part of the frames `at` is lighter."""
    out = list(frames)
    for index in at:
        spoiled = out[index].astype(np.int16)
        spoiled[100:160, 180:230] += levels
        out[index] = np.clip(spoiled, 0, 255).astype(np.uint8)
    return out


def test_the_same_pictures_in_another_light_add_nothing(source: list[Image]) -> None:
    added = off_by(lit(source, np.linspace(0.9, 1.1, FRAMES)), source)
    assert added is not None
    assert added.max() < VISIBLE_LEVELS / 2


@pytest.mark.parametrize("gone", [(40,), (40, 41), (33, 34, 35)])
def test_what_pops_for_up_to_three_frames_is_added_in_just_these(
    source: list[Image], gone: tuple[int, ...]
) -> None:
    added = off_by(lightened(source, 20, *gone), source)
    assert added is not None
    assert tuple(np.flatnonzero(added > VISIBLE_LEVELS)) == gone


def test_a_long_clip_is_looked_at_in_pieces_and_nothing_is_lost_between_them() -> None:
    rng = np.random.default_rng(4)
    clip = rng.integers(2000, 12000, (1, 24, 16)) + rng.integers(0, 9, (2100, 24, 16))
    source = dict(enumerate(clip.astype(np.uint16)))
    popped = (1023, 1024, 2047)
    spoiled = clip.copy()
    spoiled[list(popped), 5, 5] += 640
    added = added_levels(spoiled.astype(np.uint16), source)
    assert added is not None
    assert tuple(np.flatnonzero(added > VISIBLE_LEVELS)) == popped


def test_false_colours_with_the_right_tones_are_added(source: list[Image]) -> None:
    frames = list(source)
    lab = cv2.cvtColor(frames[40], cv2.COLOR_BGR2LAB)
    part = lab[100:160, 180:230, 1:]
    part[...] = np.clip(part.astype(int) + 25, 0, 255).astype(np.uint8)
    frames[40] = np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2BGR), dtype=np.uint8)
    added = off_by(frames, source)
    assert added is not None
    assert tuple(np.flatnonzero(added > VISIBLE_LEVELS)) == (40,)


def test_what_stays_for_four_frames_is_meant(source: list[Image]) -> None:
    added = off_by(lightened(source, 20, 40, 41, 42, 43), source)
    assert added is not None
    assert added.max() < VISIBLE_LEVELS


def test_a_source_that_runs_late_or_lacks_moments_says_nothing(source: list[Image]) -> None:
    assert off_by(source[3:], source[:-3]) is None
    few = {index: shades for index, shades in enumerate(all_shades(source)) if index % 2}
    assert added_levels(all_shades(source), few) is None
    assert added_levels(all_shades(source), {}) is None


def test_a_moment_that_the_source_lacks_is_neither_added_nor_meant(source: list[Image]) -> None:
    moments: dict[int, Shades] = {i: one for i, one in enumerate(all_shades(source)) if i != 40}
    popped = waving(pan(picture("chelsea")), without=(40,))
    added = added_levels(all_shades(popped), moments)
    assert added is not None
    assert np.isnan(added[40])
    assert glitch(held_against(course_of(popped), added)).blamed == (40,)


def test_what_popped_in_the_source_as_well_is_no_glitch(source: list[Image]) -> None:
    popped = waving(pan(picture("chelsea")), without=(40, 41))
    alone = course_of(popped)
    added = off_by(popped, popped)
    assert alone.sticks_out
    assert added is not None
    assert glitch(alone).blamed == (40, 41)
    assert glitch(held_against(alone, added)).blamed == ()
    assert (glitch(held_against(alone, added)).measurement.score or 0.0) > 0.9


def test_a_part_that_hides_behind_what_moves_is_found_against_the_source(source: list[Image]) -> None:
    popped = lightened(source, 8, 20, 21)
    alone, added = course_of(popped), off_by(popped, source)
    assert added is not None
    assert glitch(alone).blamed == ()
    assert glitch(held_against(alone, added)).blamed == (20, 21)


def test_a_frame_that_is_spoiled_in_the_source_as_well_is_no_fault_of_the_clip(source: list[Image]) -> None:
    frames = list(source)
    frames[50] = np.ascontiguousarray(frames[50][:, ::-1])
    alone = course_of(frames)
    same, clean = off_by(frames, frames), off_by(frames, source)
    assert same is not None
    assert clean is not None
    assert alone.spoiled[50]
    assert not held_against(alone, same).spoiled.any()
    assert held_against(alone, clean).spoiled[50]


def test_frames_that_are_spoiled_or_doubled_stay_what_they_are(source: list[Image]) -> None:
    frames = list(source)
    frames[30] = frames[29]
    frames[50] = np.ascontiguousarray(frames[50][:, ::-1])
    alone = course_of(frames)
    seen_so = held_against(alone, np.full(FRAMES, 10.0))
    assert alone.spoiled[50]
    assert alone.repeated[30]
    assert not seen_so.popped[[29, 30, 31, 50]].any()
    assert seen_so.excess[50] == alone.excess[50]


def test_a_measured_clip_is_held_against_the_source_where_a_part_sticks_out(
    source: list[Image], clip_of: Writer, judge: Judge
) -> None:
    popped = waving(pan(picture("chelsea")), without=(40, 41))
    clip, before, again = clip_of(popped), clip_of(source), clip_of(lit(popped, np.full(FRAMES, 0.98)))
    for metric in ("glitch", "temporal_stability"):
        assert (judge(clip, metric, source=before)[metric].score or 1.0) < 0.8
        assert (judge(again, metric, source=clip)[metric].score or 0.0) > 0.8
