"""Where the subject is in a clip that was made of the source: at its time, in its size."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.engines.stage import look
from caf.engines.subject import Subject, subject_of
from caf.errors import InputError
from caf.pose.landmarks import Landmarks, save_landmarks
from tests.clips import Image, texture, write_clip
from tests.engines.stages import images, run

SIZE = (160, 120)
"""Width and height of the source."""


def poses(path: Path, count: int, fps: float = 20.0) -> Path:
    """Of a subject that goes to the right by 5 px a frame; 10 px wide, 20 px high."""
    points = np.zeros((count, 33, 4), np.float32)
    points[..., 3] = 1.0
    points[..., 0] = np.linspace(0, 10, 33) + 5 * np.arange(count)[:, None]
    points[..., 1] = np.linspace(40, 60, 33)
    save_landmarks(path, Landmarks(points, np.ones(count, bool), np.arange(count) / fps))
    return path


def clip(path: Path, count: int, size: tuple[int, int] = SIZE, fps: float = 20.0) -> Path:
    return write_clip(path, [texture(*size)] * count, fps=fps)


def centre(subject: Subject, index: int, time_s: float) -> tuple[float, float]:
    box = subject.box(index, time_s)
    assert box is not None
    return float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2


def test_in_a_larger_clip_of_fewer_frames_it_is_where_the_picture_shows_it(tmp_path: Path) -> None:
    source = look(clip(tmp_path / "source.mp4", 20))
    made = look(clip(tmp_path / "made.mp4", 10, (320, 240), fps=10.0))
    subject = subject_of(poses(tmp_path / "pose.npz", 20), made, source)
    for index in range(10):
        assert centre(subject, index, index / 10) == pytest.approx((2 * (5 + 5 * 2 * index), 100))
    assert subject.box(10, 1.5) is None


def test_frame_for_frame_it_is_there_whatever_the_times(tmp_path: Path) -> None:
    source = look(clip(tmp_path / "source.mp4", 20))
    slower = look(clip(tmp_path / "slower.mp4", 20, fps=10.0))
    subject = subject_of(poses(tmp_path / "pose.npz", 20), slower, source)
    assert centre(subject, 8, 0.8) == pytest.approx((5 + 5 * 8, 50))


def test_in_a_clip_of_another_shape_nobody_knows_where_it_is(tmp_path: Path) -> None:
    source = look(clip(tmp_path / "source.mp4", 4))
    upright = look(clip(tmp_path / "upright.mp4", 4, (120, 160)))
    assert subject_of(poses(tmp_path / "pose.npz", 4), upright, source).box(0, 0.0) is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"no archive"])
def test_a_damaged_pose_file_is_told_as_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pose.npz").write_bytes(content)
    with pytest.raises(InputError) as refused:
        subject_of(tmp_path / "pose.npz", look(clip(tmp_path / "clip.mp4", 2)))
    assert refused.value.kind == "pose_unreadable"


def test_a_picture_with_a_pose_is_coloured_alike_in_every_frame(tmp_path: Path) -> None:
    picture, reference = tmp_path / "cat.png", tmp_path / "reference.png"
    cv2.imwrite(str(picture), np.full((120, 160, 3), (60, 90, 160), np.uint8))
    cv2.imwrite(str(reference), np.full((120, 160, 3), (160, 90, 60), np.uint8))
    pose = poses(tmp_path / "pose.npz", 1)
    inputs = {"source": picture, "reference": reference, "pose": pose}
    _, out = run("frame", tmp_path / "out", inputs, identity_weight=1.0)
    first, *others = images(out)
    assert others
    assert all((first == other).all() for other in others)


def cat_before_a_wall() -> Image:
    image = np.full((120, 160, 3), (150, 110, 70), np.uint8)
    cv2.ellipse(image, (36, 60), (24, 40), 0, 0, 360, (40, 120, 220), -1)
    return image


def landmarks_of_the_cat(off_px: NDArray[np.float64]) -> NDArray[np.float32]:
    """(T, 33, 4) from its one end to the other, the ends `off_px` (T, 4), x, x, y, y, away."""
    left, right, top, bottom = (off_px + np.array([14, 58, 24, 96])).T
    points = np.ones((len(off_px), 33, 4), np.float32)
    points[..., 0] = np.linspace(left, right, 33).T
    points[..., 1] = np.linspace(top, bottom, 33).T
    return points


def test_a_frame_in_which_no_pose_was_found_is_coloured_as_those_beside(tmp_path: Path) -> None:
    image = cat_before_a_wall()
    source = write_clip(tmp_path / "cat.mkv", [image] * 8, video_codec="ffv1", pixel_format="bgr0")
    points = landmarks_of_the_cat(np.zeros((8, 4)))
    detected = np.arange(8) % 4 < 3
    save_landmarks(tmp_path / "pose.npz", Landmarks(points, detected, np.arange(8) / 30))
    inputs = {"source": source, "pose": tmp_path / "pose.npz"}
    result, out = run("frame", tmp_path / "out", inputs, identity_weight=1.0)
    assert all(np.array_equal(shown, image) for shown in images(out))
    assert result.facts["colour_drift_before_lab"] == pytest.approx(0.0, abs=1e-6)


def test_landmarks_that_tremble_do_not_make_the_subject_change_its_colours(tmp_path: Path) -> None:
    source = write_clip(
        tmp_path / "cat.mkv", [cat_before_a_wall()] * 16, video_codec="ffv1", pixel_format="bgr0"
    )
    points = landmarks_of_the_cat(np.random.default_rng(1).normal(0.0, 3.0, (16, 4)))
    save_landmarks(tmp_path / "pose.npz", Landmarks(points, np.ones(16, bool), np.arange(16) / 30))
    _, out = run(
        "frame", tmp_path / "out", {"source": source, "pose": tmp_path / "pose.npz"}, identity_weight=0.9
    )
    coats = np.array([image[40:80, 26:46].mean(axis=(0, 1)) for image in images(out)])
    assert np.abs(np.diff(coats, axis=0)).max() < 6.0
