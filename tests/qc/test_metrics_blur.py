"""A few frames that are blurred: told as blur, to the frame, and not as a fault of the motion."""

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from caf.qc.metrics.glitch import glitch
from caf.qc.metrics.sharpness import _sudden, sharpness
from caf.qc.metrics.softening import detail_of, is_softened
from caf.qc.metrics.timing import freeze
from tests.qc.metric_clips import FRAMES, Image, pan, picture
from tests.qc.test_metrics_technical import course_of, crispness_of, poor, score


def blurred(frames: list[Image], places: Iterable[int], sigma_px: float) -> list[Image]:
    out = list(frames)
    for at in places:
        out[at] = np.asarray(cv2.GaussianBlur(frames[at], (0, 0), sigma_px), np.uint8)
    return out


@pytest.fixture(scope="module")
def clean() -> list[Image]:
    return pan(picture("chelsea"))


@pytest.mark.parametrize("length", [1, 2, 3, 6])
@pytest.mark.parametrize("sigma_px", [0.8, 3.0])
def test_a_few_blurred_frames_are_blur_to_the_frame_and_nothing_else(
    clean: list[Image], length: int, sigma_px: float
) -> None:
    assert poor(blurred(clean, range(30, 30 + length), sigma_px)) == {"sharpness": ((30, 29 + length),)}


def test_one_blurred_frame_is_told_in_the_singular(clean: list[Image]) -> None:
    found = sharpness(crispness_of(blurred(clean, [30], 2.0))).measurement
    assert found.reason.startswith("1 frame loses detail")


def test_blur_is_told_where_the_clip_is_soft_already(clean: list[Image]) -> None:
    soft = blurred(clean, range(FRAMES), 1.0)  # next to nothing that is finest is left to lose
    assert poor(soft) == {}
    assert poor(blurred(soft, range(30, 34), 3.0)) == {"sharpness": ((30, 33),)}


def test_blur_is_told_where_all_but_the_subject_is_out_of_focus(clean: list[Image]) -> None:
    behind = blurred(clean, range(FRAMES), 5.0)
    for frame, sharp in zip(behind, clean, strict=True):
        height, width = frame.shape[:2]
        here = np.s_[height // 3 : height - height // 6, width // 3 : width - width // 3]
        frame[here] = sharp[here]
    assert poor(behind) == {}
    assert poor(blurred(behind, range(30, 36), 1.6)) == {"sharpness": ((30, 35),)}


def test_what_a_coder_leaves_out_of_a_frame_that_is_all_but_black_is_no_blur(clean: list[Image]) -> None:
    crisp = crispness_of(blurred(clean, [30], 2.0))
    assert sharpness(crisp).blamed == (30,)
    dark = np.where(np.arange(FRAMES) == 30, 0.7, crisp.spread)
    assert sharpness(replace(crisp, spread=dark)).blamed == ()


def test_detail_that_goes_and_comes_by_and_by_is_not_lost_suddenly() -> None:
    hill = np.minimum(np.arange(40), np.arange(40)[::-1]) / 19
    assert _sudden(hill).max() < 0.1
    step = np.zeros(40)
    step[10:22] = 1.0
    assert np.flatnonzero(_sudden(step)).tolist() == list(range(10, 22))
    step[22] = 1.0  # longer than a loss may last
    assert _sudden(step).max() == 0.0
    assert _sudden(np.ones(2)).tolist() == [0.0, 0.0]


def test_a_frame_of_another_picture_is_a_glitch_however_blurred(clean: list[Image]) -> None:
    frames = list(clean)
    frames[30] = blurred(pan(picture("coffee")), [30], 3.0)[30]
    assert glitch(course_of(frames)).blamed == (30,)


def test_a_frame_with_other_colours_is_a_glitch_however_blurred(clean: list[Image]) -> None:
    frames = blurred(clean, [30], 3.0)
    frames[30] = np.ascontiguousarray(frames[30][..., [1, 2, 0]])
    assert glitch(course_of(frames)).blamed == (30,)


def test_a_blurred_frame_where_the_picture_rests_interrupts_no_freeze() -> None:
    rests = np.full(FRAMES, 6)
    rests[:6] = np.arange(6)
    moving = pan(picture("chelsea"))
    frames = blurred([moving[at] for at in rests], [30], 3.0)
    found = freeze(course_of(frames))
    assert found.blamed == ()
    assert score(found) > 0.9


def test_a_burst_of_blur_where_little_moves_is_no_picture_that_stands_still() -> None:
    slow = pan(picture("chelsea"), scale=0.3)
    found = freeze(course_of(blurred(slow, list(range(30, 40)), 4.0)))
    assert found.blamed == ()
    assert freeze(course_of([*slow[:30], *[slow[29]] * 10, *slow[40:]])).blamed == tuple(range(30, 40))


def test_only_what_lacks_detail_is_softened() -> None:
    rng = np.random.default_rng(3)
    one = cv2.GaussianBlur(rng.normal(120, 60, (48, 80)).astype(np.float32), (0, 0), 0.8)
    colours = np.zeros((2, 16, 16), np.float32)

    def told(run: np.ndarray[tuple[int, int], np.dtype[np.float32]], tinted: float = 0.0) -> bool:
        tint = np.full_like(colours, tinted)
        details = [detail_of(frame) for frame in (one, run, one)]
        return is_softened((one, run, run, one), (colours, tint, tint, colours), details)

    soft = np.asarray(cv2.GaussianBlur(one, (0, 0), 1.0), np.float32)
    assert told(soft)
    assert not told(soft, tinted=20.0)
    assert not told(2 * one - soft)
    assert not told(np.roll(soft, 12, axis=1))
