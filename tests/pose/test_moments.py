"""The pose of a clip's frame is that of its moment in the source."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from caf.pose.moments import Poses, scale_to

STEPS = st.lists(st.floats(0.001, 0.5), min_size=1, max_size=30)


def poses(times_s: list[float] | None, count: int = 4) -> Poses:
    """The n-th one stands at x = n."""
    count = count if times_s is None else len(times_s)
    points = np.zeros((count, 33, 4), np.float32)
    points[:, :, 0] = np.arange(count)[:, None]
    return Poses(points, np.ones(count, bool), None if times_s is None else np.array(times_s))


def place(found: Poses, index: int, time_s: float) -> int | None:
    pose = found.at(index, time_s)
    return None if pose is None else int(pose[0, 0])


@given(STEPS, st.floats(-1, 20))
def test_it_is_the_nearest_one_unless_that_is_another_moment(steps: list[float], time_s: float) -> None:
    times_s = np.cumsum([0.0, *steps])
    away_s = np.abs(times_s - time_s)
    nearest = int(np.argmin(away_s))
    near = away_s[nearest] <= max(0.02, 0.55 * float(np.median(np.diff(times_s))))
    assert place(poses(times_s.tolist()), 0, time_s) == (nearest if near else None)


def test_without_times_the_number_tells() -> None:
    found = poses(None)
    assert [place(found, index, 9.0) for index in range(5)] == [0, 1, 2, 3, None]


def test_times_of_another_number_than_the_poses_tell_nothing() -> None:
    points = np.zeros((3, 33, 4), np.float32)
    assert Poses(points, np.ones(3, bool), np.arange(2.0)).times_s is None


def test_the_one_pose_of_a_picture_is_there_at_its_moment_alone() -> None:
    found = poses([0.0])
    assert place(found, 0, 0.0) == 0
    assert place(found, 30, 1.0) is None


def test_where_no_pose_was_found_there_is_none() -> None:
    found = Poses(np.zeros((2, 33, 4), np.float32), np.array([True, False]), np.array([0.0, 0.1]))
    assert found.at(1, 0.1) is None


def test_a_clip_of_another_shape_has_no_scale() -> None:
    assert scale_to((160, 120), (120, 160)) is None
    scale = scale_to((160, 120), (320, 240))
    assert scale is not None
    assert scale.tolist() == [2, 2, 2, 1]
