"""The stabiliser against shaken clips whose camera path is known."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.steady_scenes import clip, drawn
from caf.engines import motion
from caf.engines.camera import Camera, Step, camera_between
from caf.engines.features import CELLS
from caf.engines.smooth import smooth
from caf.engines.steady import Plan, plan
from tests.clips import Image, add_subject, camera_frames, shake_path, texture, write_clip
from tests.engines.stages import fact, images, run

SIZE = (240, 180)
FPS = 30.0
FRAMES = 36


def followed(frames: list[Image]) -> list[Step]:
    camera = Camera((frames[0].shape[1], frames[0].shape[0]))
    return [camera.follow(image) for image in frames]


def planned(frames: list[Image], steps: list[Step] | None = None, **asked: object) -> Plan:
    steps = steps or followed(frames)
    wanted: dict[str, object] = {"weight": 1.0, "intensity": "medium", "max_crop": 0.2} | asked
    return plan(steps, (frames[0].shape[1], frames[0].shape[0]), FPS, **wanted)  # type: ignore[arg-type]


def residual_px(path: NDArray[np.float64], matrices: NDArray[np.float64], zoom: float) -> float:
    """Tremor of a fixed scene point near the middle of the corrected picture, in px RMS, by the known path."""
    places = []
    for (dx, dy, _), matrix in zip(path, matrices, strict=True):
        shown = np.array([SIZE[0] / 2 - dx, SIZE[1] / 2 - dy])
        places.append((matrix[:, :2] @ shown + matrix[:, 2]) / zoom)
    series = np.array(places)
    rest = series - smooth(series, FPS, robust=False)
    return float(np.sqrt((rest**2).sum(axis=1).mean()))


def still(count: int) -> NDArray[np.float64]:
    return np.tile(np.array([[1.0, 0, 0], [0, 1, 0]]), (count, 1, 1))


@pytest.mark.parametrize(("amplitude_px", "roll_deg"), [(2.0, 0.0), (5.0, 0.3)])
def test_a_known_shake_is_reduced_to_a_fiftieth(amplitude_px: float, roll_deg: float) -> None:
    path = shake_path(FRAMES, amplitude_px=amplitude_px, roll_deg=roll_deg)
    frames = camera_frames(texture(360, 300), path, SIZE)
    result = planned(frames)
    assert result.active
    before, after = residual_px(path, still(FRAMES), 1.0), residual_px(path, result.matrices, result.zoom)
    assert before > amplitude_px
    assert after < before / 50
    assert result.shake_after_px < 0.05 * result.shake_before_px


def test_a_subject_that_sways_over_the_scene_does_not_pull_the_camera_along() -> None:
    path = shake_path(FRAMES, amplitude_px=3.0)
    scene = texture(360, 300)
    fur = texture(360, 300, seed=9)

    def world(index: int) -> Image:
        out = scene.copy()
        mask = np.zeros(scene.shape[:2], np.uint8)
        at = (round(180 + 30 * np.sin(index / 5)), round(150 + 12 * np.sin(index / 3)))
        cv2.ellipse(mask, at, (50, 60), 0, 0, 360, 255, -1)
        moved = cv2.warpAffine(fur, np.array([[1.0, 0, at[0] - 180], [0, 1.0, at[1] - 150]]), (360, 300))
        out[mask > 0] = moved[mask > 0]
        return out

    result = planned(camera_frames(scene, path, SIZE, world))
    assert result.active
    assert residual_px(path, result.matrices, result.zoom) < residual_px(path, still(FRAMES), 1.0) / 10


def test_a_few_lights_in_the_dark_tell_the_camera() -> None:
    rng = np.random.default_rng(12)
    night = np.full((300, 360, 3), 30, np.uint8)
    for x, y in rng.uniform((10, 10), (350, 290), (60, 2)):
        cv2.circle(night, (round(x), round(y)), 2, (200, 210, 220), -1, cv2.LINE_AA)
    path = shake_path(FRAMES, amplitude_px=3.0)
    result = planned(camera_frames(night, path, SIZE))
    assert result.active
    assert residual_px(path, result.matrices, result.zoom) < residual_px(path, still(FRAMES), 1.0) / 20


def test_a_pan_is_kept_while_its_shake_is_removed() -> None:
    shake = shake_path(FRAMES, amplitude_px=2.0)
    pan = np.column_stack((np.linspace(-60, 60, FRAMES), np.zeros(FRAMES), np.zeros(FRAMES)))
    frames = camera_frames(texture(480, 300), pan + shake, SIZE)
    result = planned(frames)
    assert result.active
    assert residual_px(pan + shake, result.matrices, result.zoom) < 0.1
    assert result.crop_share < 0.1  # a steady pan needs no more crop than its shake


@pytest.mark.parametrize("shake_px", [0.0, 2.0])
def test_a_pan_stays_even_in_time_where_frames_are_shown_for_unlike_times(
    tmp_path: Path, shake_px: float
) -> None:
    times_s = np.delete(np.arange(60) / FPS, [5, 6, 17, 20, 22, 33, 47])
    path = shake_path(len(times_s), amplitude_px=shake_px)
    path[:, 0] += 120.0 * (times_s - 1.0)
    frames = camera_frames(texture(560, 300), path, SIZE)
    clip = write_clip(tmp_path / "clip.mp4", frames, fps=FPS, times_s=list(times_s))
    _, out = run("motion", tmp_path / "motion", {"source": clip}, pose_weight=1.0)
    places = []
    for (dx, dy, _), before, after in zip(path, frames, images(out), strict=True):
        moved = camera_between(before, after)
        assert moved is not None
        places.append(np.exp(moved[3]) * np.array([-dx, -dy]) + moved[:2])
    even = [np.polyval(np.polyfit(times_s, column, 1), times_s) for column in np.transpose(places)]
    assert np.abs(np.transpose(places) - even).max() < 0.5


@pytest.mark.parametrize("level", [250, 3])
def test_a_flash_or_a_gap_of_single_frames_does_not_cut_the_path(level: int) -> None:
    path = shake_path(FRAMES, amplitude_px=4.0)
    frames = camera_frames(texture(360, 300), path, SIZE)
    blank = (11, 24, 25)
    for index in blank:
        frames[index] = np.full_like(frames[index], level)
    result = planned(frames)
    seen = np.setdiff1d(np.arange(FRAMES), blank)
    assert result.active
    assert not result.cuts
    left = residual_px(path[seen], result.matrices[seen], result.zoom)
    assert left < residual_px(path[seen], still(len(seen)), 1.0) / 20


def test_after_a_while_of_black_another_shot_begins() -> None:
    frames = camera_frames(texture(360, 300), shake_path(FRAMES, amplitude_px=4.0), SIZE)
    for index in range(14, 20):
        frames[index] = np.zeros_like(frames[index])
    assert planned(frames).cuts == (20,)


@pytest.mark.parametrize("intensity", ["low", "high"])
def test_low_locks_the_camera_and_high_leaves_it_as_shot(intensity: str) -> None:
    drift = np.column_stack((np.linspace(-6, 6, FRAMES) ** 3 / 36, np.zeros(FRAMES), np.zeros(FRAMES)))
    path = drift + shake_path(FRAMES, amplitude_px=1.0)
    result = planned(camera_frames(texture(360, 300), path, SIZE), intensity=intensity)
    if intensity == "high":
        assert not result.active
        assert np.array_equal(result.matrices, still(FRAMES))
    else:
        # What is left is the straight line that a locked camera keeps at most.
        assert residual_px(path, result.matrices, result.zoom) < 0.1


def test_more_weight_never_leaves_more_shake() -> None:
    path = shake_path(FRAMES, amplitude_px=3.0)
    frames = camera_frames(texture(360, 300), path, SIZE)
    steps = followed(frames)
    left = [planned(frames, steps, weight=w).shake_after_px for w in (0.0, 0.2, 0.5, 0.8, 0.95, 1.0)]
    # Finer than a hundredth of a pixel no shake is measured.
    assert all(after <= before + 0.01 for before, after in itertools.pairwise(left))
    assert left[4] < 0.05 * left[0]


@pytest.mark.parametrize("max_crop", [0.0, 0.01, 0.03, 0.2])
def test_the_crop_stays_within_its_limit_and_covers_every_frame(max_crop: float) -> None:
    path = shake_path(FRAMES, amplitude_px=4.0, roll_deg=0.5)
    result = planned(camera_frames(texture(360, 300), path, SIZE), max_crop=max_crop)
    assert result.crop_share <= max_crop + 1e-6
    white = np.full((SIZE[1], SIZE[0]), 255, np.uint8)
    for matrix in result.matrices:
        shown = cv2.warpAffine(white, matrix, SIZE, flags=cv2.INTER_NEAREST, borderValue=0)
        assert shown[1:-1, 1:-1].all()


def test_a_hard_cut_restarts_the_path() -> None:
    path = shake_path(FRAMES, amplitude_px=3.0)
    first = camera_frames(texture(360, 300, seed=1), path[:20], SIZE)
    second = camera_frames(texture(360, 300, seed=7), path[20:], SIZE)
    result = planned(first + second)
    assert result.cuts == (20,)
    assert residual_px(path[:20], result.matrices[:20], result.zoom) < 0.3
    assert residual_px(path[20:], result.matrices[20:], result.zoom) < 0.3


def test_a_body_that_sways_before_a_shaking_camera_brings_no_cut() -> None:
    frames = clip("moving foreground", "drawn", drawn(75, 52), seed=5).shaken[56:]
    assert not any(step.cut for step in followed(frames))


def test_words_that_stay_over_a_cut_do_not_hide_it() -> None:
    frames = [texture(*SIZE, seed=seed) for seed in (1, 7)]
    for frame in frames:
        for row in range(3):
            cv2.putText(frame, "the cat goes on to dance", (8, 170 - 16 * row), 0, 0.55, (255, 255, 255), 1)
    assert [step.cut for step in followed(frames)] == [False, True]


def test_flicker_is_not_taken_for_motion() -> None:
    path = shake_path(FRAMES, amplitude_px=3.0)
    frames = camera_frames(texture(360, 300), path, SIZE)
    flickering = [np.clip(i * (1 + 0.2 * (-1) ** t), 0, 255).astype(np.uint8) for t, i in enumerate(frames)]
    result = planned(flickering)
    assert residual_px(path, result.matrices, result.zoom) < 0.2


def test_a_subject_on_a_plain_wall_is_never_made_worse() -> None:
    path = shake_path(FRAMES, amplitude_px=3.0)
    wall = np.full((300, 360, 3), 170, np.uint8)
    fur = texture(90, 105, seed=4)

    def world(index: int) -> Image:
        out = wall.copy()
        x, y = 135 + round(22 * np.sin(index / 4)), 95 + round(8 * np.sin(index / 3))
        out[y : y + 105, x : x + 90] = fur
        return out

    result = planned(camera_frames(wall, path, SIZE, world))
    assert result.unsure_frames > 0.8 * FRAMES
    assert residual_px(path, result.matrices, result.zoom) <= 1.02 * residual_px(path, still(FRAMES), 1.0)


def test_a_subject_that_fills_the_frame_is_never_made_worse() -> None:
    path = shake_path(FRAMES, amplitude_px=3.0)
    fur = texture(500, 420, seed=9)
    own = np.column_stack(
        (45 * np.sin(np.arange(FRAMES) / 4), 25 * np.sin(np.arange(FRAMES) / 3), np.zeros(FRAMES))
    )
    result = planned(camera_frames(fur, path + own, SIZE))
    assert residual_px(path, result.matrices, result.zoom) <= 1.02 * residual_px(path, still(FRAMES), 1.0)


def test_a_camera_at_rest_is_not_moved_with_the_branch_that_a_bird_sits_on() -> None:
    rng = np.random.default_rng(3)
    width, height, count = 320, 180, 60
    wall = cv2.GaussianBlur(texture(width, height, seed=3), (0, 0), 25).astype(np.float32)
    bark, feathers = (texture(width + 40, height + 40, seed=seed) for seed in (4, 5))
    branch = np.array([[0, 0.82], [0.6, 0.75], [0.6, 0.85], [0, 1.25]]) * (width, height)
    hops = np.cumsum(rng.normal(0.0, 2.0, (count, 2)), axis=0)
    hops += 8 * np.sin(np.arange(count) / 6)[:, None] - cv2.blur(hops, (1, 9))
    trembles = shake_path(count, amplitude_px=1.0, seed=3)[:, :2]
    frames = []
    for tremble, hop in zip(trembles, hops, strict=True):
        image, masks = wall, np.zeros((2, height, width), np.float32)
        at = (round(16 * (0.45 * width + hop[0])), round(16 * (0.45 * height + hop[1])))
        cv2.fillPoly(masks[0], [np.rint(16 * (branch + tremble)).astype(np.int32)], 1.0, cv2.LINE_AA, 4)
        cv2.ellipse(masks[1], at, (16 * 32, 16 * 54), 0, 0, 360, 1.0, -1, cv2.LINE_AA, 4)
        for cover, place, mask in zip((bark, feathers), (tremble, hop), masks[..., None], strict=True):
            matrix = np.column_stack((np.eye(2), place - 20))
            moved = cv2.warpAffine(cover, matrix, (width, height), flags=cv2.INTER_CUBIC)
            image = image * (1 - mask) + moved * mask
        frames.append(image.astype(np.uint8))
    assert not planned(frames, weight=0.95).active


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param([texture(*SIZE)], id="one frame"),
        pytest.param([texture(*SIZE)] * 2, id="two frames"),
        pytest.param([np.zeros((180, 240, 3), np.uint8)] * 8, id="black"),
        pytest.param([texture(*SIZE)] * 12, id="static"),
        pytest.param([texture(8, 6)] * 12, id="tiny"),
        pytest.param([texture(1, 1)] * 12, id="a pixel"),
        pytest.param(
            [np.random.default_rng(i).integers(0, 256, (180, 240, 3), dtype=np.uint8) for i in range(8)],
            id="noise",
        ),
    ],
)
def test_what_cannot_be_steadied_passes_untouched(frames: list[Image]) -> None:
    result = planned(frames)
    assert not result.active
    assert result.reason
    assert np.array_equal(result.matrices, still(len(frames)))


def test_the_stage_steadies_a_shaken_and_flickering_clip_and_says_how_much(tmp_path: Path) -> None:
    path = shake_path(30, amplitude_px=2.5)
    frames = camera_frames(add_subject(texture(280, 240), (140, 120), 40), path, (160, 120))
    gains = [0.85 + 0.1 * (-1) ** t for t in range(30)]  # nothing burns out, so nothing is lost
    shaken = [np.clip(i * g, 0, 255).astype(np.uint8) for i, g in zip(frames, gains, strict=True)]
    source = write_clip(tmp_path / "shaken.mp4", shaken)
    result, out = run("motion", tmp_path / "out", {"source": source, "frames": source}, pose_weight=0.95)
    assert result.facts["stabilised"] is True
    assert fact(result, "shake_after_px") < 0.1 * fact(result, "shake_before_px")
    assert fact(result, "flicker_after_pct") < 0.1 * fact(result, "flicker_before_pct")
    found = images(out)
    assert len(found) == 30
    steps = [float(np.abs(a.astype(int) - b).mean()) for a, b in itertools.pairwise(found)]
    shaken_steps = [float(np.abs(a.astype(int) - b).mean()) for a, b in itertools.pairwise(shaken)]
    assert np.median(steps) < 0.15 * np.median(shaken_steps)


def test_a_clip_that_is_decoded_once_becomes_what_it_becomes_when_decoded_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = camera_frames(texture(360, 300), shake_path(12, amplitude_px=3.0), SIZE)
    source = write_clip(tmp_path / "shaken.mp4", frames)
    _, once = run("motion", tmp_path / "once", {"source": source}, pose_weight=0.9)
    monkeypatch.setattr(motion, "_KEPT_BYTES", 5 * frames[0].nbytes)
    _, twice = run("motion", tmp_path / "twice", {"source": source}, pose_weight=0.9)
    assert once.read_bytes() == twice.read_bytes()
    assert len(images(twice)) == 12


def test_without_weight_the_motion_stage_changes_no_pixel(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "shaken.mp4", camera_frames(texture(280, 240), shake_path(8), (160, 120)))
    result, out = run("motion", tmp_path / "out", {"source": source, "frames": source})
    assert all(np.array_equal(a, b) for a, b in zip(images(source), images(out), strict=True))
    assert fact(result, "frames") == 8


def test_a_pose_keeps_the_camera_from_looking_at_the_subject() -> None:
    frames = camera_frames(texture(360, 300), shake_path(3), SIZE)
    camera, blind = Camera(SIZE), Camera(SIZE)
    box = np.array([60.0, 45.0, 180.0, 135.0])
    for image in frames:
        seen, all_of_it = camera.follow(image, box), blind.follow(image)
    before = seen.points[:, :2] + (np.array(SIZE) - 1) / 2
    assert len(before) > 50
    assert ((before < box[:2]) | (before > box[2:])).any(axis=1).all()
    assert len(all_of_it.points) > len(seen.points)
    assert all_of_it.flow.shape == (CELLS, 2)


def test_a_stiff_body_that_leaves_only_the_corners_free_is_not_taken_for_the_world() -> None:
    path = shake_path(FRAMES, amplitude_px=2.0)
    scene, board = texture(360, 300), texture(360, 300, seed=9)

    def world(index: int) -> Image:
        at = (180 + 12 * np.sin(index / 6), 150 + 8 * np.sin(index / 3))
        mask = np.zeros(scene.shape[:2], np.uint8)
        cv2.ellipse(mask, (round(at[0]), round(at[1])), (125, 92), 0, 0, 360, 255, -1)
        moved = cv2.warpAffine(board, np.array([[1.0, 0, at[0] - 180], [0, 1.0, at[1] - 150]]), (360, 300))
        return np.where(mask[..., None] > 0, moved, scene).astype(np.uint8)

    result = planned(camera_frames(scene, path, SIZE, world))
    assert result.reason != "steadied"
    assert residual_px(path, result.matrices, result.zoom) < 1.1 * residual_px(path, still(FRAMES), 1.0)
