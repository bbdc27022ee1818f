"""What goes wrong for a part of a second, longer than a frame or three: that it is found, and where it is blamed."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from caf.qc.metrics import sharpness as crisp
from caf.qc.metrics.course import _repeated
from caf.qc.metrics.glitch import glitch
from caf.qc.metrics.shake import jitter
from caf.qc.metrics.sharpness import blockiness
from caf.qc.metrics.steps import StepCollector
from tests.qc.metric_clips import FRAMES, Image, pan, picture, seen
from tests.qc.test_metrics_added import against
from tests.qc.test_metrics_bend import coded, room
from tests.qc.test_metrics_technical import course_of, crispness_of, poor, score


def blocky(frames: list[Image], places: range, quality: int = 8) -> list[Image]:
    out = list(frames)
    for at in places:
        _, data = cv2.imencode(".jpg", frames[at], [cv2.IMWRITE_JPEG_QUALITY, quality])
        out[at] = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return out


def test_blocks_that_show_for_half_a_second_are_blamed_to_the_frame() -> None:
    found = poor(blocky(pan(picture("chelsea")), range(31, 43)))
    assert found["blockiness"] == ((31, 42),)
    assert not found.keys() - {"blockiness", "sharpness"}  # both are of one stage


def test_a_clip_of_blocks_from_end_to_end_blames_no_burst() -> None:
    found = blockiness(crispness_of(blocky(pan(picture("chelsea")), range(FRAMES))))
    assert score(found) < 0.7
    assert found.blamed == ()
    assert found.measurement.raw["grid_burst_factor"] < 1.2


def test_a_burst_of_blocks_needs_a_stretch_of_frames() -> None:
    short = blocky(pan(picture("chelsea"), frames=crisp._BURST - 1), range(3, 5))
    assert blockiness(crispness_of(short)).measurement.raw["grid_burst_factor"] == 1.0


@pytest.mark.parametrize("places", [range(30, 31), range(30, 37, 2)])
def test_a_burst_of_frames_that_do_not_follow_each_other_blames_these(places: range) -> None:
    frames = pan(picture("chelsea"))
    for at in places:
        small = cv2.resize(frames[at], None, fx=1 / 8, fy=1 / 8, interpolation=cv2.INTER_AREA)
        frames[at] = np.asarray(cv2.resize(small, frames[at].shape[1::-1], interpolation=cv2.INTER_NEAREST))
    found = blockiness(crispness_of(frames))
    assert score(found) < 0.7
    assert found.blamed == tuple(places)
    assert f"show in {len(places)} frame{'s' * (len(places) > 1)}:" in found.measurement.reason


def test_a_burst_of_shake_is_blamed_where_the_camera_trembles_and_no_half_second_beside() -> None:
    shift = np.zeros((FRAMES, 2))
    shift[30:46] = np.random.default_rng(4).normal(0, 3, (16, 2))
    way = course_of(pan(picture("chelsea"), shift=shift))
    blamed = set(jitter(way.path, way.broken).blamed)
    spoiled = set(range(30, 46))
    assert len(blamed & spoiled) / len(blamed | spoiled) > 0.7


@pytest.mark.parametrize("length", [4, 10])
def test_another_shot_that_flashes_up_is_a_glitch(length: int) -> None:
    frames = pan(picture("chelsea"), 44)
    frames[20 : 20 + length] = pan(picture("coffee"))[:length]
    way = course_of(frames)
    assert score(glitch(way)) < 0.7
    assert glitch(way).blamed == tuple(range(20, 20 + length))


def test_a_lamp_that_is_on_for_a_moment_shows_no_other_shot() -> None:
    frames = pan(picture("chelsea"), 44)
    lamp = [np.clip(frame * 1.6, 0, 255).astype(np.uint8) for frame in frames[20:28]]
    assert glitch(course_of([*frames[:20], *lamp, *frames[28:]])).blamed == ()


def test_a_short_shot_between_two_others_is_meant() -> None:
    frames = pan(picture("chelsea"), 44)
    frames[20:28] = pan(picture("coffee"))[:8]
    frames[28:] = pan(picture("rocket"), 44)[28:]
    assert glitch(course_of(frames)).blamed == ()


@pytest.mark.parametrize("length", [4, 12])
def test_what_the_source_does_not_show_for_half_a_second_is_told_to_the_frame(length: int) -> None:
    clip = room()
    for frame in clip[30 : 30 + length]:
        frame[90:150, 150:210] = 200
    found = against(coded(clip), room())
    assert np.flatnonzero(found.excess > 1).tolist() == list(range(30, 30 + length))


def test_a_picture_that_hangs_at_the_end_is_a_freeze_though_its_first_frames_are_coded_again() -> None:
    collector = StepCollector()
    for frame in seen(pan(picture("chelsea"))):
        collector.add(frame)
    steps = collector.result()
    peak = np.full(FRAMES, 5.0)
    peak[60:] = [0.45, 0.37, 0.27, *[0.02] * 9]
    still = _repeated(replace(steps, peak=peak), np.zeros(FRAMES, dtype=bool))
    assert np.flatnonzero(still).tolist() == list(range(60, FRAMES))
