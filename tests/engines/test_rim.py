"""A body that fills the frame save for its corners: the camera is told by what little background is left."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.engines import motion
from caf.engines.camera import Camera, Step
from caf.engines.local import run_stage
from caf.engines.rim import Rim, camera_by_the_rim
from caf.engines.smooth import smooth
from caf.engines.steady import Plan, plan
from caf.ports import StageRequest, VideoTarget
from tests.clips import Image, camera_frames, shake_path, texture, write_clip
from tests.engines.stages import run

SIZE = (480, 360)
WORLD = (580, 440)
FPS = 30.0
FRAMES = 44
CORNERS_FREE, COVERED = 0.36, 0.7
"""The oval's half axes as shares of the world's width and height: about a tenth of the picture is free, or nothing."""


def body_before(background: Image, share: float, frames: int = FRAMES) -> list[Image]:
    """The scene, frame by frame: fur that sways, bobs and breathes in an oval before the background."""
    fur = texture(*WORLD, seed=9)
    rows, columns = np.indices((WORLD[1], WORLD[0]), np.float32)
    out = []
    for index in range(frames):
        beat = 2 * np.pi * index / FPS
        sway, bob = 12 * np.sin(0.7 * beat), 6 * np.sin(2.1 * beat)
        across = columns + 6 * np.sin(0.02 * rows + 1.5 * beat) - sway
        down = rows + 6 * np.sin(0.017 * columns - 2.2 * beat) - bob
        body = cv2.remap(
            fur,
            across.astype(np.float32),
            down.astype(np.float32),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT,
        )
        mask = np.zeros(fur.shape[:2], np.uint8)
        centre = (round(WORLD[0] / 2 + sway / 4), round(WORLD[1] / 2 + bob / 4))
        cv2.ellipse(
            mask, centre, (round(1.1 * share * WORLD[0]), round(1.2 * share * WORLD[1])), 0, 0, 360, 255, -1
        )
        out.append(np.where(mask[..., None] > 0, body, background).astype(np.uint8))
    return out


def shot(share: float, *, frames: int = FRAMES, seed: int = 1) -> tuple[list[Image], NDArray[np.float64]]:
    """What a trembling camera sees of it, and its path."""
    path = shake_path(frames, amplitude_px=3.0, roll_deg=0.2, seed=seed)
    scenes = body_before(texture(*WORLD, seed=seed), share, frames)
    return camera_frames(scenes[0], path, SIZE, lambda index: scenes[index]), path


def planned(frames: list[Image], cuts: Sequence[int] = ()) -> Plan:
    camera = Camera(SIZE)
    steps: list[Step] = [camera.follow(image) for image in frames]

    def rim() -> Rim | None:
        return camera_by_the_rim(chain(frames, frames[:1]), len(frames) + 1, SIZE, cuts)

    return plan(steps, SIZE, FPS, weight=0.95, intensity="medium", max_crop=0.2, rim=rim)


def left_px(frames: int, path: NDArray[np.float64], result: Plan) -> tuple[float, float]:
    """Tremor of a background's corner in the picture as shot and as shown, px RMS, by the known path."""
    as_shot, shown = [], []
    for (dx, dy, roll), matrix in zip(path[:frames], result.matrices, strict=True):
        turn = cv2.getRotationMatrix2D((WORLD[0] / 2 + dx, WORLD[1] / 2 + dy), roll, 1.0)
        turn[:, 2] += np.array(SIZE) / 2 - (WORLD[0] / 2 + dx, WORLD[1] / 2 + dy)
        place = turn[:, :2] @ np.array([60.0, 50.0]) + turn[:, 2]
        as_shot.append(place)
        shown.append((matrix[:, :2] @ place + matrix[:, 2]) / result.zoom)
    before, after = (
        np.array(series) - smooth(np.array(series), 15.0, robust=False) for series in (as_shot, shown)
    )
    return (
        float(np.sqrt((before**2).sum(axis=1).mean())),
        float(np.sqrt((after**2).sum(axis=1).mean())),
    )


def test_a_camera_is_followed_by_the_corners_that_a_breathing_body_leaves_free() -> None:
    frames, path = shot(CORNERS_FREE)
    result = planned(frames)
    assert result.active
    assert result.reason == "steadied by the background at the rim"
    before, after = left_px(FRAMES, path, result)
    assert after < 0.1 * before


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_breathing_body_without_background_is_left_as_it_is(seed: int) -> None:
    frames, path = shot(COVERED, seed=seed)
    assert camera_by_the_rim(frames, FRAMES, SIZE, ()) is None
    result = planned(frames)
    before, after = left_px(FRAMES, path, result)
    assert after <= 1.02 * before
    assert "rim" not in result.reason


def test_captions_in_the_corners_are_no_background() -> None:
    frames, path = shot(COVERED)
    for image in frames:
        for place in ((6, 40), (380, 40), (6, 340), (380, 340)):
            cv2.putText(image, "caf", place, cv2.FONT_HERSHEY_SIMPLEX, 1.5, (255, 255, 255), 3)
    result = planned(frames)
    before, after = left_px(FRAMES, path, result)
    assert after <= 1.02 * before
    assert "rim" not in result.reason


def test_a_shot_too_short_to_tell_chance_from_agreement_is_not_believed() -> None:
    frames, _ = shot(CORNERS_FREE, frames=30)
    assert camera_by_the_rim(frames, 30, SIZE, ()) is None


def test_every_shot_is_followed_from_its_own_beginning() -> None:
    first, _ = shot(CORNERS_FREE)
    second, _ = shot(CORNERS_FREE, seed=5)
    seen = camera_by_the_rim([*first, *second], 2 * FRAMES, SIZE, (FRAMES,))
    alone = camera_by_the_rim(first, FRAMES, SIZE, ())
    assert seen is not None
    assert alone is not None
    assert seen.known.mean() > 0.9
    assert np.abs(seen.path[:FRAMES] - alone.path).max() < 1e-9


def test_still_words_over_a_body_that_fills_the_frame_are_not_taken_for_a_camera_at_rest() -> None:
    frames, path = shot(CORNERS_FREE)
    for image in frames:
        cv2.rectangle(image, (60, 250), (420, 330), (20, 20, 20), -1)
        for row in (282, 318):
            where = (70, row)
            cv2.putText(
                image, "WHEN THE CAT WAKES UP", where, cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2
            )
    result = planned(frames)
    assert result.reason == "steadied by the background at the rim"
    before, after = left_px(FRAMES, path, result)
    assert after < 0.1 * before


def test_parts_that_go_alike_only_from_frame_to_frame_are_not_followed() -> None:
    path = shake_path(FRAMES, amplitude_px=2.0, roll_deg=0.1, seed=3)
    scene, plates = texture(*WORLD), (texture(*WORLD, seed=9), texture(*WORLD, seed=10))

    def world(index: int) -> Image:
        out, at = scene, index - FRAMES / 2
        for side, plate in zip((-1, 1), plates, strict=True):
            dx, dy, turned = 0.55 * side * at, -1.1 * at, 0.2 * side * at
            centre = (WORLD[0] / 2 + 110 * side + dx, WORLD[1] / 2 + dy)
            mask = np.zeros(scene.shape[:2], np.uint8)
            cv2.ellipse(mask, (round(centre[0]), round(centre[1])), (105, 150), turned, 0, 360, 255, -1)
            matrix = cv2.getRotationMatrix2D(centre, -turned, 1.0)
            matrix[:, 2] += (dx, dy)
            moved = cv2.warpAffine(plate, matrix, WORLD, borderMode=cv2.BORDER_REFLECT)
            out = np.where(mask[..., None] > 0, moved, out).astype(np.uint8)
        return out

    result = planned(camera_frames(scene, path, SIZE, world))
    before, after = left_px(FRAMES, path, result)
    assert after < 0.05 * before


def test_the_rim_is_not_asked_where_the_steps_tell_the_camera() -> None:
    frames = camera_frames(texture(*WORLD), shake_path(8, amplitude_px=2.0), SIZE)
    camera = Camera(SIZE)
    steps = [camera.follow(image) for image in frames]

    def never() -> Rim | None:
        raise AssertionError

    assert plan(steps, SIZE, FPS, weight=0.95, intensity="medium", max_crop=0.2, rim=never).active


def test_the_stage_follows_the_rim_of_kept_and_of_decoded_frames_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, _ = shot(CORNERS_FREE)
    source = write_clip(tmp_path / "shaken.mp4", frames)
    once, kept = run("motion", tmp_path / "once", {"source": source}, pose_weight=0.95)
    assert once.facts["stabiliser_reason"] == "steadied by the background at the rim"
    monkeypatch.setattr(motion, "_KEPT_BYTES", 5 * frames[0].nbytes)
    _, decoded = run("motion", tmp_path / "again", {"source": source}, pose_weight=0.95)
    assert kept.read_bytes() == decoded.read_bytes()


def test_looking_at_the_rim_gives_a_sign_of_life_with_every_frame(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "shaken.mp4", shot(CORNERS_FREE)[0])
    signs: list[int] = []
    request = StageRequest(
        stage="motion",
        inputs={"source": str(source)},
        parameters={"pose_weight": 0.95},
        target=VideoTarget(width=SIZE[0], height=SIZE[1], fps=FPS),
        out_dir=str(tmp_path),
    )
    run_stage(request, lambda done, total: signs.append(done))
    assert len(signs) > 3 * FRAMES  # measured, looked at again and written
