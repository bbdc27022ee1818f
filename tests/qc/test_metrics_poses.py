"""Where the source's poses say that the subject of a clip is, which may have another size, rate or shape."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from caf.errors import InputError
from caf.ports import Measurement, MeasureRequest
from caf.pose.landmarks import Landmarks, save_landmarks
from caf.pose.moments import Poses
from caf.qc.measure import measure
from tests.clips import texture, write_clip
from tests.qc.metric_clips import Image

FRAMES, FPS, SIZE = 60, 30, (320, 240)
RED, GREEN = (30, 60, 230), (40, 220, 60)

Judge = Callable[..., dict[str, Measurement]]


def head_at(index: int) -> tuple[int, int]:
    return round(210 + 30 * np.sin(index / 10)), 60


def figures(head: tuple[int, int, int]) -> list[Image]:
    """A figure without a face that walks to and fro on the right of the picture."""
    ground = texture(*SIZE, seed=9) // 3 + 90
    frames = []
    for index in range(FRAMES):
        frame, (x, y) = ground.copy(), head_at(index)
        cv2.circle(frame, (x, y), 20, head, -1)
        cv2.rectangle(frame, (x - 30, y + 22), (x + 30, y + 125), (200, 90, 20), -1)
        frames.append(frame)
    return frames


def larger(frames: list[Image]) -> list[Image]:
    return [np.asarray(cv2.resize(frame, None, fx=2, fy=2), np.uint8) for frame in frames]


def posed(path: Path) -> str:
    points = np.zeros((FRAMES, 33, 4), np.float32)
    points[..., 3] = 1
    for index in range(FRAMES):
        x, y = head_at(index)
        points[index, :11, :2] = np.stack([x + np.linspace(-12, 12, 11), np.full(11, y)], axis=1)
        points[index, 11:13, :2] = (x + 22, y + 30), (x - 22, y + 30)
        points[index, 13:, :2] = np.stack([np.full(20, x), y + np.linspace(40, 125, 20)], axis=1)
    save_landmarks(path, Landmarks(points, np.ones(FRAMES, bool), np.arange(FRAMES) / FPS))
    return str(path)


@pytest.fixture
def held_against_its_source(tmp_path: Path) -> Judge:
    source = tmp_path / "source.mp4"
    write_clip(source, figures(RED), fps=FPS)

    def judge(frames: list[Image], fps: int = FPS) -> dict[str, Measurement]:
        clip = tmp_path / "clip.mp4"
        write_clip(clip, frames, fps=fps)
        request = MeasureRequest(
            metrics=("identity_consistency", "identity_drift"),
            video=str(clip),
            source=str(source),
            pose=posed(tmp_path / "pose.npz"),
        )
        return {one.metric: one for one in measure(request, lambda done, total: None)}

    return judge


def test_another_head_is_seen_in_a_clip_that_is_twice_as_large_as_its_source(
    held_against_its_source: Judge,
) -> None:
    found = held_against_its_source(larger(figures(GREEN)))["identity_consistency"]
    assert "located by the pose" in found.reason
    assert found.score is not None
    assert found.score < 0.3


def test_a_clip_of_half_the_frames_keeps_the_look_of_the_subject(held_against_its_source: Judge) -> None:
    found = held_against_its_source(figures(RED)[::2], FPS // 2)["identity_drift"]
    assert "located by the pose" in found.reason
    assert found.score is not None
    assert found.score > 0.9


def test_in_a_clip_of_another_shape_no_pose_says_where_the_subject_is(held_against_its_source: Judge) -> None:
    bars = [cv2.copyMakeBorder(frame, 160, 160, 0, 0, cv2.BORDER_CONSTANT) for frame in figures(RED)]
    found = held_against_its_source(bars)["identity_consistency"]
    assert "pose" not in found.reason


@pytest.mark.parametrize("kept_bytes", [0, 300, 20_000])
def test_a_pose_file_that_was_cut_off_is_told_as_unreadable(tmp_path: Path, kept_bytes: int) -> None:
    path = Path(posed(tmp_path / "pose.npz"))
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(InputError) as refused:
        Poses.read(path)
    assert refused.value.kind == "pose_unreadable"


def test_poses_of_another_number_than_the_frames_they_were_found_in_are_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "pose.npz"
    save_landmarks(path, Landmarks(np.zeros((3, 33, 4), np.float32), np.ones(5, bool)))
    with pytest.raises(InputError) as refused:
        Poses.read(path)
    assert refused.value.kind == "pose_unreadable"
