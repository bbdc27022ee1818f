"""Poses as pose-conditioned models know them: OpenPose's keypoints, colours and limbs, on black."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.errors import InputError
from caf.media.probe import probe
from caf.media.read import read_frames
from caf.ports import OpenPoseRequest, ProbeRequest
from caf.pose.landmarks import LANDMARK_COUNT, Landmarks, save_landmarks
from caf.pose.openpose import draw_openpose, openpose_pictures
from tests.clips import make_clip

NOSE, RIGHT_EYE, RIGHT_EAR = 0, 5, 8
LEFT_SHOULDER, RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST = 11, 12, 14, 16
LEFT_ANKLE = 27


def body(**seen: tuple[float, float]) -> NDArray[np.float32]:
    """(33, 4) landmarks of which only these are visible."""
    points = np.zeros((LANDMARK_COUNT, 4), np.float32)
    for name, (x, y) in seen.items():
        points[globals()[name]] = (x, y, 0, 1)
    return points


def drawn(**seen: tuple[float, float]) -> NDArray[np.uint8]:
    """RGB."""
    picture = np.zeros((512, 512, 3), np.uint8)
    draw_openpose(picture, body(**seen))
    return picture[..., ::-1]


def test_joints_and_limbs_have_openpose_s_colours() -> None:
    picture = drawn(RIGHT_SHOULDER=(200, 100), RIGHT_ELBOW=(200, 200), RIGHT_WRIST=(200, 300))
    assert picture[100, 200].tolist() == [255, 170, 0]
    assert picture[200, 200].tolist() == [255, 255, 0]
    assert picture[300, 200].tolist() == [170, 255, 0]
    assert picture[150, 200].tolist() == [153, 102, 0]
    assert picture[250, 200].tolist() == [153, 153, 0]


def test_the_neck_is_between_the_shoulders_and_only_where_both_are_seen() -> None:
    both = drawn(LEFT_SHOULDER=(300, 100), RIGHT_SHOULDER=(200, 100), NOSE=(250, 50))
    assert both[100, 250].tolist() == [255, 85, 0]
    assert both[75, 250].tolist() == [0, 0, 153]
    one = drawn(RIGHT_SHOULDER=(200, 100), NOSE=(250, 50))
    assert not one[100, 250].any()
    assert not one[75, 250].any()


def test_a_limb_is_an_ellipse_eight_pixels_thick_at_512() -> None:
    column = drawn(RIGHT_ELBOW=(100, 200), RIGHT_WRIST=(400, 200))[:, 250]
    thick = np.flatnonzero(column.max(axis=1) > 153 // 2)  # beyond it the edge is only smoothed
    assert (thick.min(), thick.max()) == (196, 204)


def test_sides_are_the_subject_s_own() -> None:
    assert drawn(RIGHT_EAR=(100, 100))[100, 100].tolist() == [255, 0, 170]
    assert drawn(RIGHT_EYE=(100, 100))[100, 100].tolist() == [170, 0, 255]
    assert drawn(LEFT_ANKLE=(100, 100))[100, 100].tolist() == [85, 0, 255]


def test_what_was_not_found_and_what_is_off_the_picture_draws_nothing() -> None:
    picture = np.zeros((60, 80, 3), np.uint8)
    draw_openpose(picture, np.full((LANDMARK_COUNT, 4), np.nan, np.float32))
    draw_openpose(picture, body(RIGHT_ELBOW=(-200.0, 4000.0), RIGHT_WRIST=(900.0, 900.0)))
    assert not picture.any()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "clip.mp4", frames=10, fps=20)


def request(clip: Path, out: Path, *, poses: int, each: int) -> OpenPoseRequest:
    points = np.repeat(body(RIGHT_ELBOW=(10, 20), RIGHT_WRIST=(90, 100))[None], poses, axis=0)
    points[:, :, 0] += np.arange(poses)[:, None]
    save_landmarks(out / "landmarks.npz", Landmarks(points, np.ones(poses, bool)))
    return OpenPoseRequest(
        video=str(clip), landmarks=str(out / "landmarks.npz"), out_dir=str(out), frames_each=each
    )


def test_pictures_are_one_a_frame_and_clips_have_the_clip_s_size_and_times(
    clip: Path, tmp_path: Path
) -> None:
    for each, pictures, clips in ((1, 10, []), (4, 3, [4, 4, 2]), (0, 1, [10])):
        out = tmp_path / str(each)
        out.mkdir()
        made = openpose_pictures(request(clip, out, poses=10, each=each), lambda done, total: None)
        assert len(made.pictures) == pictures
        assert [len(list(read_frames(path))) for path in made.clips] == clips
        assert made.times_s == pytest.approx([index / 20 for index in range(10)], abs=1e-3)
        first = cv2.imread(made.pictures[0])
        assert first is not None
        assert first.shape == (120, 160, 3)
        assert first.any()
        for path in made.clips:
            info = probe(ProbeRequest(path=path), lambda done, total: None)
            assert (info.width, info.height, info.fps) == (160, 120, 20)


def test_poses_of_another_clip_are_refused(clip: Path, tmp_path: Path) -> None:
    for poses in (9, 11):
        with pytest.raises(InputError) as caught:
            openpose_pictures(request(clip, tmp_path, poses=poses, each=1), lambda done, total: None)
        assert caught.value.kind == "bad_pose"
        assert f"has 10 frames, and its poses are those of {poses}" in caught.value.message
