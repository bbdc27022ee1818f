"""temporal_stability, background_stability and loop_seam on frames whose faults are known."""

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.ports import Measurement
from caf.pose.moments import Poses
from caf.qc.metrics.background import background_stability
from caf.qc.metrics.course import Course, course
from caf.qc.metrics.outliers import OutlierCollector
from caf.qc.metrics.seam import loop_seam
from caf.qc.metrics.shake import shake_permille
from caf.qc.metrics.steps import StepCollector
from caf.qc.metrics.still import BackgroundMap, StillCollector
from caf.qc.metrics.swing import Swing, swing_and_background
from caf.qc.metrics.temporal import temporal_stability
from caf.qc.metrics.timing import cadence
from caf.qc.metrics.tracks import CameraPath, TrackCollector, smoothing_residual
from tests.qc.metric_clips import FRAMES, SIZE, Image, lit, pan, picture, seen

RNG_SEED = 11


def path_of(frames: list[Image]) -> CameraPath:
    collector = TrackCollector()
    for frame in seen(frames):
        collector.add(frame)
    return collector.result()


def course_of(frames: list[Image]) -> Course:
    steps, tracks, outliers = StepCollector(), TrackCollector(), OutlierCollector()
    for frame in seen(frames):
        for collector in (steps, tracks, outliers):
            collector.add(frame)
    return course(steps.result(), tracks.result(), outliers.result())


def steadiness(frames: list[Image]) -> Measurement:
    return temporal_stability(course_of(frames)).measurement


def background(frames: list[Image], pose: Poses | None = None) -> Measurement:
    tracks, still = TrackCollector(), StillCollector()
    for frame in seen(frames):
        tracks.add(frame)
        still.add(frame)
    path = tracks.result()
    swing, seen_still = swing_and_background(path, still, pose)
    return background_stability(path, seen_still, swing)


def seam(frames: list[Image]) -> Measurement:
    steps = StepCollector()
    for frame in seen(frames):
        steps.add(frame)
    return loop_seam(steps.result())


def tremor(size_px: float) -> NDArray[np.float64]:
    return np.random.default_rng(RNG_SEED).normal(0, size_px, (FRAMES, 2))


@pytest.fixture(scope="module")
def clean() -> list[Image]:
    return pan(picture("chelsea"))


def score(found: Measurement) -> float:
    assert found.score is not None, found.reason
    return found.score


def test_a_slow_pan_runs_smoothly(clean: list[Image]) -> None:
    found = steadiness(clean)
    assert score(found) > 0.9
    assert found.worst_frames == ()


def test_the_camera_path_is_found_to_a_tenth_of_a_pixel() -> None:
    shift = tremor(1.5)
    path = path_of(pan(picture("chelsea"), shift=shift))
    pixels = path.shift[:, :2] * path.diagonal_px / 1000 * SIZE[0] / 320
    truth = smoothing_residual(shift)
    assert np.sqrt(np.mean((smoothing_residual(pixels) - truth) ** 2)) < 0.1


@pytest.mark.parametrize("size_px", [2.0, 4.0])
def test_shake_is_seen_and_measured_in_per_mille_of_the_diagonal(size_px: float) -> None:
    found = steadiness(pan(picture("chelsea"), shift=tremor(size_px)))
    assert score(found) < 0.6
    assert "shakes" in found.reason
    rms = np.sqrt(np.sum(np.var(tremor(size_px), axis=0))) * 1000 / np.hypot(*SIZE)
    assert 0.6 * rms < found.raw["shake_permille"] < 1.4 * rms


def test_half_a_second_between_two_gaps_is_no_second() -> None:
    shift = tremor(3.0)
    shift[:56] = 0
    path = path_of(pan(picture("chelsea"), shift=shift))
    whole, _ = shake_permille(path)
    path.known[54:57] = False
    apart, frames = shake_permille(path)
    assert whole is not None
    assert apart is not None
    assert apart < whole
    assert frames[0] < 54


def test_what_a_stabiliser_leaves_behind_passes() -> None:
    gains = 1 + np.random.default_rng(3).normal(0, 0.002, FRAMES)
    repaired = lit(pan(picture("chelsea"), shift=tremor(0.12)), gains)
    assert score(steadiness(repaired)) >= 0.7
    assert score(background(repaired)) >= 0.8


def test_flicker_is_named(clean: list[Image]) -> None:
    gains = 1 + np.random.default_rng(3).normal(0, 0.05, FRAMES)
    found = steadiness(lit(clean, gains))
    assert score(found) < 0.6
    assert "flickers" in found.reason
    assert 2 < found.raw["flicker_percent"] < 8


def test_a_slow_change_of_light_is_not_flicker(clean: list[Image]) -> None:
    gains = 0.7 + 0.3 * np.sin(np.arange(FRAMES) * np.pi / FRAMES)
    assert score(steadiness(lit(clean, gains))) > 0.9


def test_a_freeze_is_found_where_it_is(clean: list[Image]) -> None:
    found = steadiness([*clean[:30], *[clean[29]] * 10, *clean[40:]])
    assert score(found) < 0.6
    assert "repeated" in found.reason
    assert set(found.worst_frames) <= set(range(30, 41))
    assert found.raw["longest_freeze_frames"] == 10


def test_every_sixth_frame_doubled_is_judder(clean: list[Image]) -> None:
    frames = [clean[index - (index % 6 == 5)] for index in range(FRAMES)]
    assert score(steadiness(frames)) < 0.5


def test_every_sixth_frame_doubled_and_none_missing_is_a_conversion_from_a_slower_rate() -> None:
    frames = pan(picture("chelsea"), 120, scale=2.0)
    even = [frames[index - index // 6] for index in range(108)]
    assert 0.7 < score(steadiness(even)) < 0.9


def test_a_clip_that_shows_every_frame_twice_stutters() -> None:
    frames = pan(picture("chelsea"), 60, scale=2.0)
    found = cadence(course_of([frame for frame in frames for _ in range(2)]))
    assert score(found.measurement) < 0.5
    assert len(found.blamed) > 50


def test_missing_frames_make_motion_jump() -> None:
    frames = pan(picture("chelsea"), 120)
    kept = [frame for index, frame in enumerate(frames) if index % 8 not in (3, 4)]
    found = steadiness(kept)
    assert score(found) < 0.75
    assert found.raw["jump_share"] > 0.1


@pytest.mark.parametrize("speed", [0.4, 2.0])
def test_frames_lost_here_and_there_are_blamed_where_they_are_missing(speed: float) -> None:
    frames = pan(picture("chelsea"), 120, scale=speed)
    lost = {13, 29, 30, 47, 66, 81, 99}
    kept = [index for index in range(len(frames)) if index not in lost]
    after = {place for place, index in enumerate(kept) if place and kept[place - 1] != index - 1}
    blamed = set(cadence(course_of([frames[index] for index in kept])).blamed)
    assert len(blamed & after) / len(blamed | after) >= 0.8


def test_motion_that_quickens_over_a_few_steps_misses_no_frame() -> None:
    slow = pan(picture("chelsea"), 480, scale=2.0)
    quickens = np.concatenate([np.full(40, 4), [5, 6, 7, 8, 8, 8, 7, 6, 5], np.full(40, 4)])
    assert not course_of([slow[index] for index in np.cumsum(quickens)]).jump.any()


def test_words_that_change_over_even_motion_miss_no_frame(clean: list[Image]) -> None:
    said = []
    for index, frame in enumerate(clean):
        written = frame.copy()
        cv2.putText(
            written, f"SENTENCE {index // 12}", (20, 210), cv2.FONT_HERSHEY_SIMPLEX, 1.6, (255,) * 3, 4
        )
        said.append(written)
    assert not course_of(said).jump.any()


def test_motion_that_comes_to_rest_is_not_a_freeze(clean: list[Image]) -> None:
    places = [20 * np.sin(index * np.pi / 2 / 50) for index in range(50)]
    slowing = [
        np.asarray(cv2.addWeighted(clean[int(at)], 1 - at % 1, clean[int(at) + 1], at % 1, 0), dtype=np.uint8)
        for at in places
    ]
    assert steadiness(slowing).raw["repeated_share"] == 0


@pytest.mark.parametrize("level", [0, 255])
def test_one_blank_frame_fails_the_clip(clean: list[Image], level: int) -> None:
    frames = list(clean)
    frames[33] = np.full_like(frames[33], level)
    found = steadiness(frames)
    assert score(found) < 0.5
    assert found.worst_frames == (33,)
    assert "blank" in found.reason


def test_one_spoiled_frame_fails_the_clip(clean: list[Image]) -> None:
    frames = list(clean)
    spoiled = frames[40].copy()
    spoiled[60:180, 80:300] = np.roll(spoiled, 97, axis=1)[60:180, 80:300]
    frames[40] = spoiled
    found = steadiness(frames)
    assert score(found) < 0.7
    assert found.worst_frames == (40,)


def test_a_hard_cut_is_neither_glitch_nor_jump_nor_shake(clean: list[Image]) -> None:
    found = steadiness([*clean[:36], *pan(picture("astronaut"))[:36]])
    assert score(found) > 0.9


def test_a_fade_to_black_is_not_a_blank_frame(clean: list[Image]) -> None:
    gains = np.concatenate([np.ones(FRAMES - 24), np.linspace(1, 0, 24)])
    assert steadiness(lit(clean, gains)).raw["blank_frames"] == 0


def test_a_picture_that_never_moves_is_steady(clean: list[Image]) -> None:
    assert score(steadiness([clean[0]] * 30)) > 0.9


@pytest.mark.parametrize("frames", [1, 5])
def test_too_few_frames_are_not_judged(clean: list[Image], frames: int) -> None:
    for found in (
        steadiness(clean[:frames]),
        background(clean[:frames]),
        seam(clean[:frames]),
    ):
        assert found.score is None
        assert "Too few" in found.reason


def test_without_texture_shake_is_left_out_and_said_so() -> None:
    flat = [np.full((SIZE[1], SIZE[0], 3), 90 + index % 2, np.uint8) for index in range(30)]
    found = steadiness(flat)
    assert "shake_permille" not in found.raw
    assert "too little texture" in found.reason
    assert background(flat).score is None


def test_a_trembling_background_fails(clean: list[Image]) -> None:
    assert score(background(clean)) > 0.95
    found = background(pan(picture("chelsea"), shift=tremor(2.0)))
    assert score(found) < 0.8
    assert "trembles" in found.reason


def test_a_background_that_breathes_fails() -> None:
    width, height = SIZE
    rows, columns = np.indices((height, width), np.float32)
    bell = np.exp(-((rows - 80) ** 2 + (columns - 90) ** 2) / (2 * 45.0**2)).astype(np.float32)
    warped = []
    for index, frame in enumerate(pan(picture("chelsea"))):
        swing = np.float32(3 * np.sin(2 * np.pi * index / 12))
        moved = cv2.remap(frame, columns + swing * bell, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        warped.append(np.asarray(moved, dtype=np.uint8))
    found = background(warped)
    assert score(found) < 0.8
    assert "swing" in found.reason


def test_a_closed_path_loops_and_half_of_it_does_not(clean: list[Image]) -> None:
    assert score(seam(clean)) > 0.9
    found = seam(clean[: FRAMES // 2])
    assert score(found) < 0.5
    assert found.worst_frames == (0, FRAMES // 2 - 1)


def test_a_loop_that_only_grows_lighter_is_said_to_change_its_light_at_the_seam() -> None:
    rng = np.random.default_rng(RNG_SEED)
    confetti = [
        rng.integers(40, 200, (15, 20, 3), np.uint8).repeat(16, 0).repeat(16, 1) for _ in range(FRAMES)
    ]
    found = seam(lit(confetti, np.linspace(0.8, 1.0, FRAMES)))
    assert score(found) < 0.7
    assert found.raw["seam_ratio"] < 1.5
    assert re.fullmatch(r"The loop jumps: at the seam the light changes by (19|2\d) %\.", found.reason)


def test_the_reason_is_about_the_frames_that_are_blamed(clean: list[Image]) -> None:
    seen_course = course_of(clean)
    at = np.arange(FRAMES)
    found = cadence(
        replace(seen_course, repeated=at == 30, jump=np.isin(at, (10, 50)), doubling=None, beat=None)
    )
    assert found.blamed == (30,)
    assert found.measurement.reason == "1 frame is shown twice."


def test_a_hitch_where_a_clip_is_calm_is_seen_however_fast_it_is_elsewhere() -> None:
    around = pan(picture("chelsea"), 240, scale=3.0)
    quick = [*range(16), *range(16, 224, 8), *range(224, 240)]
    assert score(seam([around[at] for at in quick])) > 0.9
    assert score(seam([around[at] for at in quick[:-6]])) < 0.6


def test_what_is_gone_at_the_seam_is_seen_though_the_camera_changes_as_much() -> None:
    around = pan(picture("chelsea"), scale=4.0)
    assert score(seam(around)) > 0.9
    ball = [cv2.circle(frame.copy(), (160, 90), 48, (40, 40, 220), -1) for frame in around[FRAMES // 2 :]]
    found = seam([*around[: FRAMES // 2], *ball])
    assert found.raw["seam_step_levels"] < 1.6 * found.raw["typical_step_levels"]
    assert score(found) < 0.7


def test_pictures_that_are_held_are_no_hitch(clean: list[Image]) -> None:
    assert score(seam([frame for frame in clean[::9] for _ in range(9)])) > 0.9


def test_a_brightness_step_at_the_seam_is_seen(clean: list[Image]) -> None:
    found = seam(lit(clean, np.linspace(0.85, 1.1, FRAMES)))
    assert score(found) < 0.5
    assert found.raw["brightness_jump_percent"] > 10


def test_slow_and_faint_breathing_lowers_the_score() -> None:
    width, height = SIZE
    rows, columns = np.indices((height, width), np.float32)
    bell = np.exp(-((rows - 100) ** 2 + (columns - 150) ** 2) / (2 * 60.0**2)).astype(np.float32)
    still = pan(picture("chelsea"), scale=0.3)
    warped = []
    for index, frame in enumerate(still):
        swing = np.float32(1.2 * np.sin(2 * np.pi * index / 30))
        moved = cv2.remap(frame, columns + swing * bell, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        warped.append(np.asarray(moved, dtype=np.uint8))
    assert background(still).raw["swing_permille"] < 0.2
    assert background(warped).raw["swing_permille"] > 3 * background(still).raw["swing_permille"]
    assert score(background(warped)) < score(background(still))


def wall() -> Image:
    """A plain wall with small marks all over it."""
    width, height = SIZE
    result = np.full((height, width, 3), 150, np.uint8)
    for x in range(15, width, 30):
        for y in range(15, height, 30):
            cv2.rectangle(result, (x, y), (x + 5, y + 4), (95, 95, 95), -1)
    return result


def beside(subject: Image, path: NDArray[np.float64]) -> list[Image]:
    """The wall as a camera on a tripod shows it, and before it `subject`, which goes its own `path` (T, 2) px."""
    height, width = subject.shape[:2]
    left, top = (SIZE[0] - width) // 2, SIZE[1] - height
    out = []
    for x, y in path:
        moved = cv2.warpAffine(
            subject, np.array([[1, 0, x], [0, 1, y]]), (width, height), borderMode=cv2.BORDER_REFLECT_101
        )
        frame = wall()
        frame[top:, left : left + width] = moved
        out.append(frame)
    return out


def test_a_restless_subject_before_a_standing_camera_is_no_shake() -> None:
    subject = np.asarray(cv2.resize(picture("chelsea"), (190, 200)), dtype=np.uint8)
    frames = beside(subject, np.cumsum(tremor(2.0), axis=0) * 0.5)
    assert steadiness(frames).raw["shake_permille"] < 0.1
    assert score(steadiness([np.roll(one, n % 3, axis=1) for n, one in enumerate(frames)])) < 0.6


def test_somebody_who_stands_and_nods_is_no_background_that_swings() -> None:
    person = np.asarray(picture("astronaut")[0:300, 100:400], dtype=np.uint8)
    subject = np.asarray(cv2.resize(person, (200, 200)), dtype=np.uint8)
    nods = 2.0 * np.sin(2 * np.pi * np.arange(FRAMES) / 11)
    frames = beside(subject, np.stack([0.3 * nods, nods], axis=1))
    assert score(background(frames)) >= 0.8


def breathing(frames: list[Image], px: float) -> list[Image]:
    """`frames` in waves of so many pixels that run through all of the picture."""
    rows, columns = np.indices((SIZE[1], SIZE[0]), np.float32)
    out = []
    for index, frame in enumerate(frames):
        turn = np.float32(2 * np.pi * index / 12)
        right = columns + np.float32(px) * np.sin(rows / 9 + turn)
        down = rows + np.float32(px) * np.cos(columns / 9 + turn)
        moved = cv2.remap(frame, right, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        out.append(np.asarray(moved, dtype=np.uint8))
    return out


def test_a_background_that_breathes_more_scores_no_better() -> None:
    table = pan(picture("coffee"), frames=48)
    little, much = (background(breathing(table, px)) for px in (1.0, 3.0))
    assert score(much) < score(little) < 0.8
    assert much.raw["swing_permille"] > little.raw["swing_permille"]


@pytest.mark.parametrize(("wall_px", "breathes"), [(0.0, False), (1.2, True)])
def test_five_marks_beside_somebody_who_nods_tell_whether_the_wall_breathes(
    wall_px: float, breathes: bool
) -> None:
    person = np.asarray(cv2.resize(picture("astronaut")[0:300, 100:400], (200, 200)), dtype=np.uint8)
    stripes = 150 + 14 * np.sin(np.arange(SIZE[1]) / 4)
    wall_paper = np.broadcast_to(stripes[:, None, None], (SIZE[1], SIZE[0], 3)).astype(np.uint8)
    frames = []
    for index in range(48):
        frame, swing = wall_paper.copy(), wall_px * np.sin(2 * np.pi * index / 12)
        for x, y, way in ((20, 20, 1), (25, 70, -1), (335, 25, 1), (330, 80, -1), (25, 130, 1)):
            cv2.circle(frame, (round((x + way * swing) * 16), y * 16), 80, (60, 60, 60), -1, cv2.LINE_AA, 4)
        nod = np.array([[1, 0, 0], [0, 1, 2.0 * np.sin(2 * np.pi * index / 11)]])
        frame[40:, 80:280] = cv2.warpAffine(person, nod, (200, 200), borderMode=cv2.BORDER_REFLECT_101)
        frames.append(frame)
    assert (background(frames).raw["swing_permille"] > 1.2) == breathes


def test_of_a_portrait_that_leaves_no_background_in_view_nothing_is_said_of_it() -> None:
    person = np.asarray(cv2.resize(picture("astronaut")[50:200, 90:360], SIZE), dtype=np.uint8)
    rows, columns = np.indices((SIZE[1], SIZE[0]), np.float32)
    breathing = [
        np.asarray(
            cv2.remap(
                person,
                columns,
                rows + np.float32(2.5 * np.sin(2 * np.pi * index / 11)) * np.cos(columns / 40),
                cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_REFLECT,
            ),
            dtype=np.uint8,
        )
        for index in range(FRAMES)
    ]
    found = background(breathing)
    assert not {"swing_permille", "warp_permille"} & found.raw.keys()
    assert "local warping was not measured" in found.reason


def test_a_subject_without_a_face_is_known_by_its_pose() -> None:
    subject = np.asarray(cv2.resize(picture("chelsea")[180:], (200, 200)), dtype=np.uint8)
    nods = 2.0 * np.sin(2 * np.pi * np.arange(FRAMES) / 11)
    frames = beside(subject, np.stack([0.3 * nods, nods], axis=1))
    corners = np.array([(85.0, 45.0), (275.0, 45.0), (275.0, 235.0), (85.0, 235.0)], np.float32)
    points = np.zeros((FRAMES, 33, 4), np.float32)
    points[..., :2] = corners[np.arange(33) % 4]
    assert score(background(frames)) < 0.8
    assert score(background(frames, Poses(points, np.ones(FRAMES, dtype=bool)))) >= 0.8


def test_a_shadow_that_passes_over_a_plain_wall_moves_no_background() -> None:
    width, height = SIZE
    rows, columns = np.indices((height, width), np.float32)
    grain = [np.random.default_rng(seed).normal(0, 1, (height, width)).astype(np.float32) for seed in (0, 1)]
    paper, plain = (cv2.GaussianBlur(one, (0, 0), size) for one, size in zip(grain, (2.5, 8.0), strict=True))
    wall_paper = 150 + np.where(columns < 140, paper * (8 / paper.std()), plain * (6 / plain.std()))
    shaded = []
    for index in range(FRAMES):
        y = height / 2 + 90 * np.sin(2 * np.pi * index / 24)
        shadow = 0.2 * np.exp(-((rows - y) ** 2 + (columns - 230) ** 2) / (2 * 40.0**2))
        grey = np.clip(wall_paper * (1 - shadow), 0, 255).astype(np.uint8)
        shaded.append(np.repeat(grey[..., None], 3, axis=2))
    assert score(background(shaded)) >= 0.8


def test_a_few_cells_beside_what_moves_are_no_wall_that_breathes(clean: list[Image]) -> None:
    path = path_of(clean)
    first = seen(clean[:1])[0]
    cells = np.ones((first.tiny.shape[0] // 10, first.tiny.shape[1] // 10), np.bool_)
    few = np.zeros_like(cells)
    few[:2, :2] = True
    scale = first.tiny.shape[1] / first.small.shape[1]
    assert score(background_stability(path, BackgroundMap(cells, path, scale), Swing(3.0))) < 0.5
    assert score(background_stability(path, BackgroundMap(few, path, scale), Swing(3.0))) > 0.9


def test_a_background_that_swings_is_judged_although_no_camera_can_be_followed(clean: list[Image]) -> None:
    path = path_of(clean)
    first = seen(clean[:1])[0]
    cells = np.ones((first.tiny.shape[0] // 10, first.tiny.shape[1] // 10), np.bool_)
    every = BackgroundMap(cells, path, first.tiny.shape[1] / first.small.shape[1])
    few = BackgroundMap(np.zeros_like(cells), path, first.tiny.shape[1] / first.small.shape[1])
    lost = replace(path, known=np.zeros(FRAMES, dtype=bool))
    assert score(background_stability(lost, every, Swing(3.0))) < 0.5
    assert "tremble_permille" not in background_stability(lost, every, Swing(3.0)).raw
    for background_map, swing in (
        (every, Swing(0.3)),
        (every, None),
        (every, Swing(None)),
        (few, Swing(3.0)),
    ):
        assert background_stability(lost, background_map, swing).score is None
