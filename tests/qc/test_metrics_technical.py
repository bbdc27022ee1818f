"""The technical metrics on frames that are spoiled in a known way: what is seen, and which frames are blamed."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.qc.metrics.course import Course, course
from caf.qc.metrics.exposure import ExposureCollector, exposure
from caf.qc.metrics.findings import Finding, at_rate, spans
from caf.qc.metrics.glitch import glitch
from caf.qc.metrics.light import blank, flicker
from caf.qc.metrics.outliers import OutlierCollector, Outliers
from caf.qc.metrics.resolution import resolution
from caf.qc.metrics.shake import jitter
from caf.qc.metrics.sharpness import Crispness, CrispnessCollector, blockiness, sharpness
from caf.qc.metrics.steps import StepCollector
from caf.qc.metrics.temporal import temporal_stability
from caf.qc.metrics.timing import cadence, freeze, jumps_score
from caf.qc.metrics.tracks import TrackCollector
from tests.qc.metric_clips import FRAMES, Image, lit, pan, picture, seen

MOTION: dict[str, Callable[[Course], Finding]] = {
    "freeze": freeze,
    "cadence": cadence,
    "blank": blank,
    "flicker": flicker,
    "glitch": glitch,
}


def course_of(frames: list[Image], shown_s: list[float] | None = None) -> Course:
    """How the frames run, each shown so many seconds; a 24th if nothing else is said."""
    return course_with(frames, shown_s, lambda found: None)


def course_with(
    frames: list[Image], shown_s: list[float] | None, change: Callable[[Outliers], None]
) -> Course:
    """The same where what sticks out of its neighbours is changed so."""
    steps, tracks, outliers = StepCollector(), TrackCollector(), OutlierCollector()
    given = seen(frames)
    if shown_s is not None:
        times = np.concatenate([[0.0], np.cumsum(shown_s)])
        given = [replace(frame, time_s=float(time)) for frame, time in zip(given, times, strict=False)]
    for frame in given:
        for collector in (steps, tracks, outliers):
            collector.add(frame)
    found = outliers.result()
    change(found)
    return course(steps.result(), tracks.result(), found)


def crispness_of(frames: list[Image]) -> Crispness:
    collector = CrispnessCollector()
    for frame in seen(frames):
        collector.add(frame)
    return collector.result()


def looked(frames: list[Image]) -> dict[str, Finding]:
    """All metrics that need no file and no source."""
    way, crisp = course_of(frames), crispness_of(frames)
    found = {name: make(way) for name, make in MOTION.items()}
    return found | {
        "jitter": jitter(way.path, way.broken),
        "sharpness": sharpness(crisp),
        "blockiness": blockiness(crisp),
    }


def poor(frames: list[Image]) -> dict[str, tuple[tuple[int, int], ...]]:
    """The metrics that are below 0.7, and what each blames."""
    return {
        name: spans(one.blamed)
        for name, one in looked(frames).items()
        if one.measurement.score is not None and one.measurement.score < 0.7
    }


def score(found: Finding) -> float:
    assert found.measurement.score is not None, found.measurement.reason
    return found.measurement.score


@pytest.fixture(scope="module")
def clean() -> list[Image]:
    return pan(picture("chelsea"))


def test_a_slow_pan_is_poor_in_nothing(clean: list[Image]) -> None:
    assert poor(clean) == {}


def test_a_freeze_is_blamed_from_its_first_repeated_frame_to_its_last(clean: list[Image]) -> None:
    frozen = [*clean[:30], *[clean[29]] * 10, *clean[40:]]
    assert poor(frozen) == {"freeze": ((30, 39),)}


def test_a_frame_that_its_timestamps_hold_for_long_is_a_freeze_by_name_and_by_seconds(
    clean: list[Image],
) -> None:
    shown_s = [1 / 24] * FRAMES
    shown_s[29] = 3.0
    way = course_of(clean, shown_s)
    found = freeze(way)
    assert found.blamed == (29,)
    assert found.measurement.raw["longest_freeze_s"] == pytest.approx(3.0 - 1 / 24)
    assert score(found) < 0.1
    hung = temporal_stability(way)
    assert score(hung) < 0.1
    assert "hangs" in hung.measurement.reason


def test_repeated_frames_count_as_long_as_they_are_shown(clean: list[Image]) -> None:
    frozen = [*clean[:30], *[clean[29]] * 4, *clean[34:]]
    shown_s = [1 / 24] * 31 + [0.5, 0.5] + [1 / 24] * (FRAMES - 33)
    found = freeze(course_of(frozen, shown_s))
    assert found.blamed == (30, 31, 32, 33)
    assert found.measurement.raw["longest_freeze_s"] == pytest.approx(1.0 + 2 / 24)


def test_slides_uneven_times_and_a_rest_are_no_freeze(clean: list[Image]) -> None:
    rng = np.random.default_rng(2)
    slides = [rng.integers(0, 255, clean[0].shape, dtype=np.uint8) for _ in range(6)]
    talk = [frame for place, slide in enumerate(slides) for frame in (slide, *clean[12 * place :][:11])]
    slow = pan(picture("chelsea"), 8 * FRAMES)
    paces = [8] * 30 + [6, 4, 2, 1, 1, 2, 4, 6] + [8] * 30
    rest = [slow[at] for at in np.cumsum(paces)]
    for frames, shown_s in (
        (slides * 4, [3.0] * 24),
        (talk, [2.0 if at % 12 == 0 else 1 / 24 for at in range(len(talk))]),
        (clean, [(0.04, 0.005, 0.2, 0.033)[at % 4] for at in range(FRAMES)]),
        (rest, [2.0 if at == 34 else 1 / 24 for at in range(len(rest))]),
    ):
        found = freeze(course_of(frames, shown_s))
        assert (score(found), found.blamed) == (1.0, ())


def test_a_title_that_stands_before_between_or_after_moving_shots_is_no_freeze(clean: list[Image]) -> None:
    title = [pan(picture("astronaut"))[0]] * 15
    for frames in ([*title, *clean], [*clean, *title], [*clean[:36], *title, *clean[36:]]):
        assert "freeze" not in poor(frames)
    held = [*title[:1], *clean[:30], *[clean[29]] * 15, *clean[45:]]
    assert poor(held)["freeze"] == ((31, 45),)


def test_doubled_frames_are_the_cadences_and_each_is_named(clean: list[Image]) -> None:
    doubled = range(5, FRAMES, 6)
    frames = [clean[index - (index in doubled)] for index in range(FRAMES)]
    assert poor(frames) == {"cadence": tuple((at, at) for at in doubled)}


def test_the_frame_after_each_gap_is_blamed_for_missing_frames() -> None:
    frames = pan(picture("chelsea"), 120, scale=3.0)
    gone = {20, 21, 40, 41, 60, 61, 80, 81, 100, 101}
    kept = [index for index in range(120) if index not in gone]
    after = [place for place in range(1, len(kept)) if kept[place] > kept[place - 1] + 1]
    found = cadence(course_of([frames[index] for index in kept]))
    assert score(found) < 0.7
    assert list(found.blamed) == after


def test_a_camera_that_goes_by_fits_and_starts_misses_no_frames() -> None:
    speeds = np.full(96, 1.5)
    for place in np.cumsum(np.random.default_rng(0).integers(6, 12, 10)):
        speeds[place : place + 4] += (1.2, 3.5, 4.5, 2.0)
    along = np.abs((np.cumsum(speeds) + 100) % 200 - 100)
    shift = np.stack([along, 0.3 * along], axis=1)
    assert score(cadence(course_of(pan(picture("chelsea"), 96, shift - shift.mean(axis=0), 0.0)))) > 0.8


@pytest.mark.parametrize("backwards", [False, True])
def test_a_clip_that_rests_before_it_moves_or_comes_to_rest_repeats_nothing(backwards: bool) -> None:
    speeds = np.concatenate([[0.03, 0.05, 0.08, 0.15, 0.4], np.full(67, 4.0)])
    along = np.abs((np.cumsum(speeds) + 60) % 120 - 60)
    frames = pan(picture("chelsea"), FRAMES, np.stack([along, 0.3 * along], axis=1), 0.0)
    way = course_of(frames[::-1] if backwards else frames)
    assert not way.repeated.any()
    assert (score(freeze(way)), freeze(way).blamed) == (1.0, ())


def test_a_slow_step_of_a_fast_camera_is_no_repeat() -> None:
    paces = np.full(FRAMES, 24)
    paces[20::10] = 4
    fast = pan(picture("chelsea"), 8 * FRAMES, scale=3.0)
    assert not course_of([fast[at % len(fast)] for at in np.cumsum(paces)]).repeated.any()


def jumping(*places: int) -> NDArray[np.bool_]:
    flags = np.zeros(96, np.bool_)
    flags[list(places)] = True
    return flags


def judged(flags: NDArray[np.bool_]) -> tuple[float, NDArray[np.bool_]]:
    return jumps_score(flags, 1 + 0.4 * flags.astype(np.float64))


def test_jumps_on_one_beat_are_even_though_most_of_them_are_too_small_to_be_seen() -> None:
    for places in ((18, 28, 33, 58, 83, 88), (10, 20, 65, 75)):
        score, odd = judged(jumping(*places))
        assert score > 0.7
        assert not odd.any()


def test_a_jump_off_the_beat_is_odd_and_jumps_on_no_beat_all_are() -> None:
    assert np.flatnonzero(judged(jumping(2, 16, 22, 27, 42, 52, 72, 87))[1]).tolist() == [16]
    assert judged(jumping(3, 17, 29, 40, 58, 83))[1].sum() == 6


def test_however_many_jumps_there_are_on_the_beat_and_off_it_the_score_is_one() -> None:
    flags = jumping(*range(0, 96, 3), 1, 2, 13, 14, 31, 32)
    assert 0.0 <= judged(flags)[0] < 0.5


def test_the_even_jumps_of_a_frame_rate_conversion_are_judged_mildly_and_blame_no_frame() -> None:
    frames = pan(picture("chelsea"), 120, scale=3.0)
    found = cadence(course_of([frame for index, frame in enumerate(frames) if index % 6 != 5]))
    assert found.measurement.raw["jump_share"] > 0.15
    assert score(found) >= 0.7
    assert found.blamed == ()
    assert "frame rate" in found.measurement.reason


def test_a_single_missing_frame_of_slow_motion_is_blamed_and_a_caption_is_not() -> None:
    frames = pan(picture("chelsea"), 96, scale=0.6)
    assert cadence(course_of([*frames[:48], *frames[49:]])).blamed == (48,)
    captioned = [
        np.asarray(cv2.putText(one.copy(), "meow", (90, 220), 0, 1.0, (255, 255, 255), 2), np.uint8)
        for one in frames[48:]
    ]
    assert cadence(course_of([*frames[:48], *captioned])).blamed == ()


def test_a_frame_that_is_lost_after_a_conversion_shifts_the_beat_and_is_blamed() -> None:
    frames = pan(picture("chelsea"), 120, scale=3.0)
    converted = [frame for index, frame in enumerate(frames) if index % 6 != 5]
    lost = [*converted[:42], *converted[43:]]
    found = cadence(course_of(lost))
    assert score(found) < score(cadence(course_of(converted)))
    assert found.blamed == (42,)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_blank_frames_are_blank_and_no_glitch(clean: list[Image], level: int) -> None:
    frames = list(clean)
    frames[33:35] = [np.full_like(frames[33], level)] * 2
    assert poor(frames) == {"blank": ((33, 34),)}


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_clip_that_shows_nothing_is_blank_throughout(level: int, clean: list[Image]) -> None:
    nothing = [np.full_like(clean[0], level)] * 30
    assert poor(nothing)["blank"] == ((0, 29),)
    found = blank(course_of([*nothing, *clean[:12]]))
    assert spans(found.blamed) == ((0, 29),)
    assert found.measurement.reason == "The clip shows nothing in 30 of 42 frames."
    unsteady = temporal_stability(course_of(nothing))
    assert score(unsteady) == 0.0
    assert unsteady.measurement.reason.startswith("The clip is unsteady: frames are blank (30)")


def test_blocks_from_elsewhere_in_one_frame_are_a_glitch(clean: list[Image]) -> None:
    frames = list(clean)
    spoiled = frames[40].copy()
    spoiled[60:180, 80:300] = np.roll(frames[40], 97, axis=1)[60:180, 80:300]
    frames[40] = spoiled
    assert poor(frames) == {"glitch": ((40, 40),)}


def test_false_colours_with_the_right_tones_are_a_glitch(clean: list[Image]) -> None:
    frames = list(clean)
    lab = cv2.cvtColor(frames[25], cv2.COLOR_BGR2LAB)
    lab[40:140, 60:220, 1] = np.clip(lab[40:140, 60:220, 1].astype(int) + 25, 0, 255).astype(np.uint8)
    frames[25] = np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2BGR), dtype=np.uint8)
    assert poor(frames) == {"glitch": ((25, 25),)}


def test_a_part_that_is_gone_for_two_frames_is_blamed_in_both(clean: list[Image]) -> None:
    frames = list(clean)
    for at in (50, 51):
        frames[at] = frames[at].copy()
        frames[at][80:170, 120:200] = (40, 90, 60)
    found = glitch(course_of(frames))
    assert score(found) < 0.7
    assert found.blamed == (50, 51)


@pytest.mark.parametrize("gone", [(48, 49, 50, 51), (48, 49, 50, 51, 52)])
def test_a_large_part_that_is_gone_for_four_or_five_frames_is_blamed_in_all(
    clean: list[Image], gone: tuple[int, ...]
) -> None:
    frames = list(clean)
    for at in gone:
        frames[at] = frames[at].copy()
        frames[at][80:170, 120:200] = (40, 90, 60)
    found = glitch(course_of(frames))
    assert score(found) < 0.7
    assert found.blamed == gone


def test_something_small_for_as_long_as_a_blink_is_no_glitch(clean: list[Image]) -> None:
    frames = list(clean)
    for at in range(48, 53):
        frames[at] = frames[at].copy()
        frames[at][100:112, 150:180] = (frames[at][100:112, 150:180] * 0.6).astype(np.uint8)
    assert score(glitch(course_of(frames))) > 0.7


def waving(frames: list[Image], without: tuple[int, ...] = ()) -> list[Image]:
    """With an arm that swings in front; it is not there in the frames `without`."""
    result = []
    for index, frame in enumerate(frames):
        height, width = frame.shape[:2]
        shoulder = np.array([0.55 * width, 0.35 * height])
        turn = 0.9 * np.sin(index / 4)
        hand = shoulder + 0.3 * height * np.array([np.sin(turn), np.cos(turn)])
        shown = frame.copy()
        if index not in without:
            ends = [(round(float(x)), round(float(y))) for x, y in (shoulder, hand)]
            cv2.line(shown, ends[0], ends[1], (60, 120, 200), 18, cv2.LINE_AA)
        result.append(shown)
    return result


def test_a_limb_that_swings_is_no_glitch(clean: list[Image]) -> None:
    found = glitch(course_of(waving(clean)))
    assert score(found) > 0.95
    assert found.blamed == ()


@pytest.mark.parametrize(("fps", "blamed"), [(24, (40,)), (8, ())])
def test_what_shows_for_an_eighth_of_a_second_beside_quick_hands_is_a_gesture(
    clean: list[Image], fps: int, blamed: tuple[int, ...]
) -> None:
    def change(found: Outliers) -> None:
        found.part[0, 40], found.novelty[0, 40] = 1.5, 0.5

    assert blamed_with(waving(clean), change, [1 / fps] * FRAMES) == blamed


def test_an_arm_that_is_there_for_two_frames_only_popped_at_eight_frames_a_second_too(
    clean: list[Image],
) -> None:
    found = glitch(course_of([*clean[:40], *waving(clean)[40:42], *clean[42:]], [1 / 8] * FRAMES))
    assert score(found) < 0.76
    assert found.blamed == (40, 41)


def test_in_a_clip_of_eight_frames_a_second_a_torn_frame_is_found_as_in_any_other(clean: list[Image]) -> None:
    frames = waving(clean)
    frames[40] = frames[40].copy()
    frames[40][120:] = np.roll(frames[40][120:], 30, axis=1)
    found = glitch(course_of(frames, [1 / 8] * FRAMES))
    assert score(found) < 0.6
    assert found.blamed == (40,)


def test_faint_false_colours_are_a_glitch_although_a_limb_swings_over_them(clean: list[Image]) -> None:
    frames = waving(clean)
    height, width = frames[0].shape[:2]
    lab = cv2.cvtColor(frames[38], cv2.COLOR_BGR2LAB)
    part = lab[height // 2 : 3 * height // 4, width // 2 : 3 * width // 4, 1:]
    part[...] = np.clip(part.astype(int) + 10, 0, 255).astype(np.uint8)
    frames[38] = np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2BGR), dtype=np.uint8)
    found = glitch(course_of(frames))
    assert score(found) < 0.7
    assert found.blamed == (38,)


@pytest.mark.parametrize("gone", [(40,), (40, 41), (33, 34, 35)])
def test_a_limb_that_is_gone_in_the_middle_of_its_swing_is_blamed_frame_by_frame(
    clean: list[Image], gone: tuple[int, ...]
) -> None:
    found = glitch(course_of(waving(clean, without=gone)))
    assert score(found) < 0.76
    assert found.blamed == gone


@pytest.mark.parametrize(("novelty", "blamed"), [(0.0, ()), (0.3, (40,))])
def test_what_brings_no_new_colour_may_be_a_hand_that_passes_by(
    clean: list[Image], novelty: float, blamed: tuple[int, ...]
) -> None:
    steps, tracks, outliers = StepCollector(), TrackCollector(), OutlierCollector()
    for frame in seen(clean):
        for collector in (steps, tracks, outliers):
            collector.add(frame)
    found = outliers.result()
    found.excess[0, 40], found.area[0, 40], found.part[0, 40] = 1.2, 0.01, 1.5
    found.novelty[0, 40] = novelty
    told = glitch(course(steps.result(), tracks.result(), found))
    assert told.blamed == blamed
    assert (score(told) > 0.8) == (not blamed)


@pytest.mark.parametrize("doubled", [(), (39,), (40,), (41,)])
def test_beside_a_picture_that_is_shown_twice_a_hand_goes_too_far_to_be_found(
    clean: list[Image], doubled: tuple[int, ...]
) -> None:
    moving = waving(clean)
    for at in doubled:
        moving[at] = moving[at - 1]

    def change(found: Outliers) -> None:
        found.part[0, 40], found.novelty[0, 40], found.tint[0, 40] = 1.5, 0.3, 0.25

    assert blamed_with(moving, change) == (() if doubled else (40,))


@pytest.mark.parametrize("doubled", [39, 40, 41])
def test_beside_a_picture_that_is_shown_twice_only_what_is_far_beyond_a_hand_popped(
    clean: list[Image], doubled: int
) -> None:
    moving = waving(clean)
    moving[doubled] = moving[doubled - 1]
    assert popped(moving, part=0.3, novelty=4.0) == (40,)


def test_in_a_clip_that_shakes_a_part_popped_whose_colours_shaking_does_not_explain(
    clean: list[Image],
) -> None:
    shift = np.random.default_rng(6).normal(0, 2.0, (FRAMES, 2))
    shaking = pan(picture("chelsea"), shift=shift)
    assert 40 not in popped(shaking, part=0.5, novelty=0.3)
    assert 40 in popped(shaking, part=0.5, novelty=2.0)


def popped(frames: list[Image], part: float, novelty: float) -> tuple[int, ...]:
    """What is blamed if frame 40 sticks out of its neighbours by so much."""

    def change(found: Outliers) -> None:
        found.part[0, 40], found.novelty[0, 40] = part, novelty

    return blamed_with(frames, change)


def blamed_with(
    frames: list[Image], change: Callable[[Outliers], None], shown_s: list[float] | None = None
) -> tuple[int, ...]:
    """What is blamed if what sticks out of its neighbours is changed so."""
    return glitch(course_with(frames, shown_s, change)).blamed


def sticks_out(found: Outliers, at: int, excess: float, *, frames: int = 1) -> None:
    """Has a large part of some frames stick out, with colours of its own."""
    row, where = frames - 1, slice(at, at + frames)
    found.excess[row, where], found.area[row, where], found.novelty[row, where] = excess, 0.1, 0.3


@pytest.mark.parametrize(("excess", "blamed"), [(1.2, ()), (4.0, (40,))])
def test_where_figures_throw_themselves_about_a_spoiled_frame_must_stick_out_of_that(
    clean: list[Image], excess: float, blamed: tuple[int, ...]
) -> None:
    def change(found: Outliers) -> None:
        for at in range(1, FRAMES, 3):
            found.excess[0, at] = 0.4
        sticks_out(found, 40, excess)

    assert blamed_with(clean, change) == blamed


def test_many_spoiled_frames_are_not_what_is_usual(clean: list[Image]) -> None:
    spoiled = tuple(range(8, FRAMES - 4, 6))

    def change(found: Outliers) -> None:
        for at in spoiled:
            sticks_out(found, at, 3.0)

    assert blamed_with(clean, change) == spoiled


@pytest.mark.parametrize(("excess", "blamed"), [(0.8, ()), (1.5, (40, 41))])
def test_a_picture_that_is_shown_twice_may_stick_out_twice_as_far(
    clean: list[Image], excess: float, blamed: tuple[int, ...]
) -> None:
    moving = waving(clean)
    for at in range(2, FRAMES, 2):
        moving[at + 1] = moving[at]
    assert blamed_with(moving, lambda found: sticks_out(found, 40, excess, frames=2)) == blamed


def test_colours_that_a_key_frame_shifts_by_a_level_are_no_glitch(clean: list[Image]) -> None:
    frames = [clean[0]] * FRAMES
    colours = cv2.cvtColor(clean[0], cv2.COLOR_BGR2YCrCb)
    colours[:60:2, :90, 1] += 1  # every other row
    frames[30] = np.asarray(cv2.cvtColor(colours, cv2.COLOR_YCrCb2BGR), dtype=np.uint8)
    found = glitch(course_of(frames))
    assert score(found) > 0.8
    assert found.blamed == ()


@pytest.mark.parametrize(
    ("spoiled", "part", "blamed"), [(False, 0.5, (40,)), (True, 0.5, (60,)), (True, 0.8, (40, 60))]
)
def test_beside_a_spoiled_frame_only_clear_pops_are_noticed(
    clean: list[Image], spoiled: bool, part: float, blamed: tuple[int, ...]
) -> None:
    def change(found: Outliers) -> None:
        found.part[0, 40], found.novelty[0, 40] = part, 0.3
        if spoiled:
            sticks_out(found, 60, 2.0)

    assert blamed_with(clean, change) == blamed


def test_a_limb_that_is_there_for_two_frames_only_is_blamed_in_both(clean: list[Image]) -> None:
    found = glitch(course_of([*clean[:40], *waving(clean)[40:42], *clean[42:]]))
    assert score(found) < 0.76
    assert found.blamed == (40, 41)


def test_a_light_that_flickers_evenly_shows_no_new_colours(clean: list[Image]) -> None:
    gains = 1 + np.random.default_rng(3).normal(0, 0.01, FRAMES)
    found = glitch(course_of(lit(waving(clean), gains)))
    assert score(found) > 0.9
    assert found.blamed == ()


def test_a_still_picture_of_which_every_fourth_frame_is_coded_otherwise_is_no_glitch(
    clean: list[Image],
) -> None:
    noise = np.random.default_rng(5).integers(-2, 3, clean[0].shape)
    coarse = np.clip(cv2.blur(clean[0], (9, 9)) + noise + 1, 0, 255).astype(np.uint8)
    mixed = np.asarray(cv2.addWeighted(clean[0], 0.9, coarse, 0.1, 1.0), np.uint8)
    found = glitch(course_of([*clean[:24], *[mixed if at % 4 == 0 else clean[0] for at in range(48)]]))
    assert found.blamed == ()


def test_a_flash_of_light_is_flicker_and_no_glitch(clean: list[Image]) -> None:
    gains = np.ones(FRAMES)
    gains[30:40:3] = 1.12
    assert set(poor(lit(clean, gains))) == {"flicker"}


def test_tremor_is_jitter_and_nothing_else(clean: list[Image]) -> None:
    shift = np.random.default_rng(11).normal(0, 2.5, (FRAMES, 2))
    assert set(poor(pan(picture("chelsea"), shift=shift))) == {"jitter"}


def moved(across: NDArray[np.float64], down: NDArray[np.float64] | None = None) -> list[Image]:
    """A camera that is so many pixels off in each frame."""
    down = np.zeros(len(across)) if down is None else down
    return pan(picture("chelsea"), len(across), np.stack([across, down], axis=1), 0.0)


def unrest(frames: list[Image], fps: float) -> float:
    way = course_of(frames, [1 / fps] * len(frames))
    return score(jitter(way.path, way.broken))


def test_a_pan_that_surges_is_no_tremor_unless_it_trembles_too() -> None:
    speed = 5 + 2.5 * np.sin(2 * np.pi * np.arange(FRAMES) / 14)
    across = np.cumsum(speed) - np.sum(speed) / 2
    hand = np.random.default_rng(1).normal(0, 1.5, (2, FRAMES))
    assert unrest(moved(across), 30) > 0.9
    assert unrest(moved(across + hand[0], hand[1]), 30) < 0.5


def test_of_ten_frames_a_second_a_slow_sway_is_no_tremor_and_a_quick_one_is() -> None:
    assert unrest(moved(9 * np.sin(2 * np.pi * 0.8 * np.arange(50) / 10)), 10) > 0.9
    assert unrest(moved(np.random.default_rng(1).normal(0, 1.5, 50)), 10) < 0.6


@pytest.mark.parametrize("times_s", [(0.02, 0.033, 0.05), (0.016, 0.033), (0.033, 0.033, 0.033, 0.067)])
def test_frames_taken_at_uneven_times_run_evenly_unless_the_camera_trembles(
    times_s: tuple[float, ...],
) -> None:
    rng = np.random.default_rng(3)
    shown_s = rng.choice(times_s, 96).tolist()
    across = 90 * np.append(0.0, np.cumsum(shown_s))[:96]
    across -= across.mean()
    even = course_of(moved(across), shown_s)
    shaken = course_of(moved(across + rng.normal(0, 2.0, 96)), shown_s)
    assert score(cadence(even)) > 0.9
    assert score(jitter(even.path, even.broken)) > 0.9
    assert score(jitter(shaken.path, shaken.broken)) < 0.6


def test_a_gap_between_even_times_is_a_missing_frame() -> None:
    frames = pan(picture("chelsea"), 96, scale=3.0)
    shown_s = [1 / 24] * 47 + [2 / 24] + [1 / 24] * 47
    assert cadence(course_of([*frames[:48], *frames[49:]], shown_s)).blamed == (48,)


def test_what_covers_the_picture_for_a_while_does_not_shake_the_camera() -> None:
    faint = [np.asarray(88 + 0.2 * frame.astype(np.float32), np.uint8) for frame in moved(np.zeros(FRAMES))]
    coarse = np.random.default_rng(0).integers(100, 140, (60, 80, 3), dtype=np.uint8)
    board = cv2.resize(coarse, (480, 360), interpolation=cv2.INTER_CUBIC)
    for index in range(28, 40):
        width = min(360, 34 * (index - 28))
        faint[index][:, :width] = board[60:300, 420 - width : 420]
    assert unrest(faint, 12.5) > 0.9


def test_a_burst_of_blur_is_blamed_frame_by_frame(clean: list[Image]) -> None:
    frames = list(clean)
    frames[30:40] = [np.asarray(cv2.GaussianBlur(one, (0, 0), 2.0), np.uint8) for one in frames[30:40]]
    assert poor(frames) == {"sharpness": ((30, 39),)}


def test_the_turning_frame_of_a_clip_that_runs_to_and_fro_is_no_glitch() -> None:
    forth = pan(picture("chelsea"), 48, scale=6.0)[:25]
    frames = [*forth, *forth[-2:0:-1]]
    found = glitch(course_of(frames))
    assert score(found) > 0.9
    assert found.blamed == ()


def test_a_hard_cut_is_no_fault(clean: list[Image]) -> None:
    assert poor([*clean[:36], *pan(picture("astronaut"))[:36]]) == {}


def test_a_fade_in_and_out_is_no_fault(clean: list[Image]) -> None:
    ramp = np.clip(np.arange(FRAMES) / 18, 0, 1)
    assert poor(lit(clean, np.minimum(ramp, ramp[::-1]))) == {}


def test_still_pictures_one_after_the_other_are_no_fault(clean: list[Image]) -> None:
    slides = [clean[0], pan(picture("astronaut"))[0], pan(picture("coffee"))[0]]
    assert poor([slide for slide in slides for _ in range(24)]) == {}


def test_letterbox_bars_are_no_fault(clean: list[Image]) -> None:
    barred = [frame.copy() for frame in clean]
    for frame in barred:
        frame[:32], frame[-32:] = 0, 0
    assert poor(barred) == {}


def test_a_picture_without_colour_is_no_fault(clean: list[Image]) -> None:
    grey = [cv2.cvtColor(cv2.cvtColor(one, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR) for one in clean]
    assert poor([np.asarray(one, dtype=np.uint8) for one in grey]) == {}


def test_slow_motion_made_of_mixed_frames_is_no_fault(clean: list[Image]) -> None:
    slow = []
    for one, other in pairwise(clean[:37]):
        slow += [one, np.asarray(cv2.addWeighted(one, 0.5, other, 0.5, 0), dtype=np.uint8)]
    assert poor(slow) == {}


def test_words_that_come_and_go_are_no_fault(clean: list[Image]) -> None:
    frames = [frame.copy() for frame in clean]
    for index, frame in enumerate(frames):
        words = ("meow", "again", "purr")[index // 24]
        cv2.putText(frame, words, (70, 210), cv2.FONT_HERSHEY_DUPLEX, 1.5, (255, 255, 255), 3, cv2.LINE_AA)
    assert poor(frames) == {}


def test_grain_is_no_fault(clean: list[Image]) -> None:
    rng = np.random.default_rng(4)
    grainy = [np.clip(frame + rng.normal(0, 5, frame.shape), 0, 255).astype(np.uint8) for frame in clean]
    assert poor(grainy) == {}


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_a_clip_of_few_frames_has_reasons_in_place_of_scores(clean: list[Image], frames: int) -> None:
    found = looked(clean[:frames])
    for name in ("freeze", "cadence", "flicker", "glitch", "jitter"):
        assert found[name].measurement.score is None
        assert "Too few" in found[name].measurement.reason
        assert found[name].blamed == ()


@pytest.mark.parametrize("fps", [24, 30, 120])
def test_shake_and_flicker_are_seen_at_any_frame_rate_and_smooth_motion_is_none(fps: int) -> None:
    count = 2 * fps
    time_s = np.arange(count) / fps
    shown_s = [1 / fps] * count
    sway = np.stack([4 * np.sin(2 * np.pi * 5 * time_s), np.zeros(count)], axis=1)
    shaken = course_of(pan(picture("chelsea"), count, shift=sway), shown_s)
    assert score(jitter(shaken.path, shaken.broken)) < 0.6
    steady = pan(picture("chelsea"), count)
    lights = course_of(lit(steady, 1 + 0.06 * np.sin(2 * np.pi * 6 * time_s)), shown_s)
    assert score(flicker(lights)) < 0.7
    calm = course_of(steady, shown_s)
    assert score(jitter(calm.path, calm.broken)) > 0.9
    assert score(flicker(calm)) > 0.9


def test_up_to_thirty_frames_a_second_the_stretches_are_as_they_were() -> None:
    assert [at_rate(25, 1 / fps) for fps in (12, 24, 25, 29.97, 30, 60, 120)] == [25, 25, 25, 25, 25, 50, 100]
    assert at_rate(7, 0.0) == 7


def test_what_cannot_be_measured_has_a_reason_and_no_score(clean: list[Image]) -> None:
    frames = list(clean[:13])
    frames[5:7] = [np.zeros_like(frames[5])] * 2
    way = course_of(frames)
    assert flicker(way).measurement.score is None
    assert "whole" in flicker(way).measurement.reason
    judged = temporal_stability(way).measurement
    assert "flicker_percent" not in judged.raw
    assert "too few frames are whole to measure flicker" in judged.reason
    for level in (0, 255):
        flat = crispness_of([np.full_like(clean[0], level)] * 20)
        assert "Nothing is drawn" in sharpness(flat).measurement.reason
        assert (sharpness(flat).measurement.score, blockiness(flat).measurement.score) == (None, None)
    small = crispness_of([np.ascontiguousarray(frame[100:116, 100:116]) for frame in clean[:20]])
    assert blockiness(small).measurement.score is None
    assert sharpness(small).measurement.score is not None


def test_stripes_are_as_sharp_as_they_are_across() -> None:
    columns = np.where(np.arange(240) // 6 % 2, 200, 40).astype(np.uint8)
    striped = np.ascontiguousarray(np.broadcast_to(columns[None, :, None], (160, 240, 3)))
    assert score(sharpness(crispness_of([striped] * 20))) > 0.7


def exposed(frames: list[Image], source: list[Image] | None = None) -> Finding:
    def collected(images: list[Image]) -> ExposureCollector:
        collector = ExposureCollector()
        for frame in seen(images):
            collector.add(frame)
        return collector

    return exposure(collected(frames).result(), collected(source).result() if source else None)


def test_burnt_out_and_dark_clips_are_told_apart_from_well_exposed_ones(clean: list[Image]) -> None:
    assert score(exposed(clean)) > 0.9
    burnt = exposed(lit(clean, np.full(FRAMES, 2.6)))
    assert score(burnt) < 0.7
    assert "burnt out" in burnt.measurement.reason
    dark = exposed(lit(clean, np.full(FRAMES, 0.2)))
    assert score(dark) < 0.7
    assert "lightest" in dark.measurement.reason


def test_against_its_source_half_a_stop_is_seen(clean: list[Image]) -> None:
    darker = lit(clean, np.full(FRAMES, 0.7))
    assert score(exposed(darker)) > 0.7
    found = exposed(darker, clean)
    assert score(found) < 0.7
    assert found.measurement.raw["stops_off"] == pytest.approx(np.log2(0.7), abs=0.03)


def test_exposure_blames_the_frames_that_are_what_it_says(clean: list[Image]) -> None:
    burnt = lit(clean, np.full(FRAMES, 2.6))
    dark = exposed([*[np.zeros_like(clean[0])] * 12, *burnt[12:]])
    assert "burnt out" in dark.measurement.reason
    assert min(dark.blamed) >= 12
    darker = exposed([*lit(clean[:60], np.full(60, 0.6)), *lit(clean[60:], np.full(12, 0.1))], clean)
    assert "than its source" in darker.measurement.reason
    assert darker.blamed == ()


def test_a_clip_that_was_made_small_and_large_again_lost_detail(clean: list[Image]) -> None:
    enlarged = []
    for frame in clean:
        small = cv2.resize(frame, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        enlarged.append(
            np.asarray(cv2.resize(small, frame.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
        )
    source = crispness_of(clean)
    assert score(resolution(source, source)) == 1.0
    found = resolution(crispness_of(enlarged), source)
    assert score(found) < 0.7
    assert found.measurement.raw["detail_lost_factor"] > 1.2


@pytest.mark.parametrize("sigma_px", [4.0, 8.0, 16.0])
def test_what_is_blurred_beyond_any_detail_has_not_its_sources_detail(
    clean: list[Image], sigma_px: float
) -> None:
    blurred = [np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma_px), np.uint8) for frame in clean[:5]]
    assert score(resolution(crispness_of(blurred), crispness_of(clean[:5]))) < 0.7


def test_an_empty_picture_has_nothing_of_its_sources_detail(clean: list[Image]) -> None:
    source = crispness_of(clean[:5])
    empty = crispness_of([np.full_like(frame, 90) for frame in clean[:5]])
    found = resolution(empty, source)
    assert score(found) == 0.0
    assert found.measurement.reason.startswith("Nothing is drawn")
    for clip in (empty, source):
        whole = resolution(clip, empty)
        assert score(whole) == 1.0
        assert whole.measurement.reason == "The source shows nothing whose detail could be lost."


def test_light_contrast_and_bars_take_no_coarse_detail_away(clean: list[Image]) -> None:
    source = crispness_of(clean[:5])
    bar = clean[0].shape[0] // 2
    for other in (
        [np.asarray(frame * 0.5, np.uint8) for frame in clean[:5]],
        [np.asarray(128 + (frame.astype(np.float32) - 128) * 0.4, np.uint8) for frame in clean[:5]],
        [cv2.copyMakeBorder(frame, bar, bar, 0, 0, cv2.BORDER_CONSTANT) for frame in clean[:5]],
    ):
        found = resolution(crispness_of(other), source)
        assert found.measurement.raw["coarse_lost_factor"] < 2.0


def test_bars_over_the_rim_and_words_take_no_fine_detail_away() -> None:
    plain = np.full((360, 640, 3), 120, np.uint8)
    drawn = plain.copy()
    drawn[90:270] += np.random.default_rng(6).integers(0, 12, (180, 640, 1), np.uint8)
    barred, worded = drawn.copy(), drawn.copy()
    barred[:45] = barred[-45:] = 0
    cv2.putText(worded, "meow, one more time", (60, 330), cv2.FONT_HERSHEY_DUPLEX, 1.3, (255, 255, 255), 3)
    source = crispness_of([drawn] * 5)
    for other in (barred, worded):
        assert score(resolution(crispness_of([other] * 5), source)) > 0.95


def test_without_a_source_the_resolution_is_not_known(clean: list[Image]) -> None:
    found = resolution(crispness_of(clean[:5]), None)
    assert found.measurement.score is None
    assert "no source" in found.measurement.reason


def test_the_light_is_said_to_be_steady_just_where_it_is_not_poor(clean: list[Image]) -> None:
    way = course_of(clean)
    for percent in np.linspace(1.3, 1.9, 61):
        pulse = 1 + percent / 100 * np.sqrt(2) * np.sin(2 * np.pi * np.arange(FRAMES) / 3.1)
        found = flicker(replace(way, steps=replace(way.steps, gain=np.log(pulse))))
        assert ("steady" in found.measurement.reason) == (score(found) >= 0.7)
