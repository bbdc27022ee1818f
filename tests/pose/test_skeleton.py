"""The overlay that shows a person what the pose stage saw."""

from pathlib import Path

import numpy as np
import pytest

from caf.errors import InputError
from caf.media.read import read_frames
from caf.pose.landmarks import Landmarks, save_landmarks
from caf.pose.overlay import SkeletonRequest
from caf.pose.skeleton import draw_pose, draw_skeleton
from tests.pose.conftest import MakeClip

LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW = 11, 12, 13


def ignore(done: int, total: int | None) -> None:
    pass


def a_pose(**where: tuple[float, float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """(33, 4): the named joints visible at their places, all others not."""
    points = np.zeros((33, 4), np.float32)
    for name, (x, y) in where.items():
        points[globals()[name]] = (x, y, 0, 1)
    return points


def test_a_bone_is_drawn_between_two_visible_joints_and_nowhere_else() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    draw_pose(picture, a_pose(LEFT_SHOULDER=(200, 100), RIGHT_SHOULDER=(60, 100)))
    touched = np.asarray(picture.any(axis=2))
    assert touched[100, 60:201].all()
    touched[96:105, 56:205] = False
    assert not touched.any()


def test_left_and_right_have_their_own_colours() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    draw_pose(picture, a_pose(LEFT_SHOULDER=(200, 100), LEFT_ELBOW=(200, 200)))
    blue, _, red = picture[150, 200]
    assert red > 200 > 100 > blue
    picture[:] = 0
    draw_pose(picture, a_pose(RIGHT_SHOULDER=(60, 100)))
    blue, _, red = picture[100, 60]
    assert blue > 200 > 100 > red


def test_a_hidden_joint_and_a_missing_pose_draw_nothing() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    hidden = a_pose(LEFT_SHOULDER=(20, 20))
    hidden[:, 3] *= 0.4
    draw_pose(picture, hidden)
    draw_pose(picture, np.full((33, 4), np.nan, np.float32))
    assert not picture.any()


@pytest.mark.parametrize("on_black", [False, True])
def test_the_overlay_has_the_frames_and_times_of_its_source(
    on_black: bool, make_clip: MakeClip, tmp_path: Path
) -> None:
    grey = np.full((256, 256, 3), 90, np.uint8)
    clip = make_clip("clip.mkv", ((grey, t) for t in (0.0, 0.04, 0.2)))
    pose = a_pose(LEFT_SHOULDER=(200, 100), RIGHT_SHOULDER=(60, 100))
    nothing = np.full((33, 4), np.nan, np.float32)
    found = Landmarks(np.stack([pose, nothing, pose]), np.array([True, False, True]))
    save_landmarks(tmp_path / "landmarks.npz", found)
    out = tmp_path / "skeleton.mp4"
    request = SkeletonRequest(
        video=clip, landmarks=str(tmp_path / "landmarks.npz"), out=str(out), on_black=on_black
    )
    assert draw_skeleton(request, ignore).frames == 3
    frames = list(read_frames(out))
    assert [f.time_s for f in frames] == pytest.approx([0.0, 0.04, 0.2], abs=0.002)
    bright = [float(f.image[98:103, 80:180].mean()) for f in frames]
    assert bright[0] == pytest.approx(bright[2], abs=20)
    assert bright[0] > bright[1] + 30
    assert bright[1] == pytest.approx(0 if on_black else 90, abs=4)


def test_those_who_do_not_count_are_grey_over_the_frames_and_not_in_the_skeleton(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    clip = make_clip("clip.mkv", ((np.zeros((256, 256, 3), np.uint8), n / 25) for n in range(3)))
    one, other = (a_pose(LEFT_SHOULDER=(200, y), RIGHT_SHOULDER=(60, y)) for y in (60, 190))
    everyone = np.stack([np.stack([pose] * 3) for pose in (other, one)])
    save_landmarks(tmp_path / "two.npz", Landmarks(everyone[1], np.ones(3, bool), None, everyone, 1))
    seen = {}
    for on_black in (False, True):
        out = tmp_path / f"{on_black}.mp4"
        draw_skeleton(
            SkeletonRequest(video=clip, landmarks=str(tmp_path / "two.npz"), out=str(out), on_black=on_black),
            ignore,
        )
        frame = list(read_frames(out))[1].image.astype(int)
        seen[on_black] = [frame[y - 2 : y + 3, 100:160].max(axis=0).mean(axis=0) for y in (60, 190)]
    assert seen[False][0].min() > 150
    assert 60 < seen[False][1].min() <= seen[False][1].max() < 145
    assert np.ptp(seen[False][1]) < 15, "grey"
    assert seen[True][0].min() > 150
    assert seen[True][1].max() < 20


def test_landmarks_of_another_clip_are_refused_and_nothing_is_written(
    make_clip: MakeClip, tmp_path: Path
) -> None:
    grey = np.full((256, 256, 3), 90, np.uint8)
    clip = make_clip("clip.mkv", ((grey, n / 25) for n in range(3)))
    for count in (2, 4):
        points = np.full((count, 33, 4), np.nan, np.float32)
        save_landmarks(tmp_path / "landmarks.npz", Landmarks(points, np.zeros(count, bool)))
        request = SkeletonRequest(
            video=clip, landmarks=str(tmp_path / "landmarks.npz"), out=str(tmp_path / "out.mp4")
        )
        with pytest.raises(InputError, match="another number"):
            draw_skeleton(request, ignore)
    assert not (tmp_path / "out.mp4").exists()
