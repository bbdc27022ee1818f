"""What is told of a clip's landmarks: coverage, gaps, visibility, jitter."""

import numpy as np
import pytest

from caf.ports import PoseGap
from caf.pose.landmarks import Landmarks
from caf.pose.summary import changes_of, gaps_of, jitter_of, summary_of


def a_walk(frames: int, shake_px: float = 0.0) -> Landmarks:
    """A body of 60 x 80 px that walks evenly to the right, every second frame `shake_px` further down."""
    points = np.ones((frames, 33, 4), np.float32)
    corners = np.array([(0, 0), (60, 0), (0, 80), (60, 80)], np.float32)
    points[:, :, :2] = corners[np.arange(33) % 4]
    points[:, :, 0] += 3 * np.arange(frames, dtype=np.float32)[:, None]
    points[1::2, :, 1] += shake_px
    return Landmarks(points, np.ones(frames, bool))


def test_gaps_are_told_in_frames_and_seconds() -> None:
    detected = np.array([0, 0, 1, 1, 0, 1, 0, 0], bool)
    times_s = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.9, 1.0, 1.1])
    assert gaps_of(detected, times_s) == (
        PoseGap(first_frame=0, frames=2, start_s=0.0, duration_s=0.2),
        PoseGap(first_frame=4, frames=1, start_s=0.4, duration_s=0.5),
        PoseGap(first_frame=6, frames=2, start_s=1.0, duration_s=0.2),
    )


def test_a_clip_that_is_all_poses_has_no_gap_and_one_without_is_one_gap() -> None:
    times_s = np.arange(4) / 4
    assert gaps_of(np.ones(4, bool), times_s) == ()
    assert gaps_of(np.zeros(4, bool), times_s) == (
        PoseGap(first_frame=0, frames=4, start_s=0.0, duration_s=1.0),
    )
    assert gaps_of(np.zeros(0, bool), np.zeros(0)) == ()


def test_even_movement_has_no_jitter() -> None:
    assert jitter_of(a_walk(20)) == pytest.approx(0, abs=1e-6)


def test_jitter_is_a_share_of_the_body() -> None:
    assert jitter_of(a_walk(20, shake_px=2.0)) == pytest.approx(4.0 / 100, rel=1e-6), "the box is 60 x 80"


def test_a_missing_pose_or_a_hidden_landmark_tells_nothing_of_jitter() -> None:
    walk = a_walk(20)
    points = walk.points.copy()
    points[:, 5, 1] += np.where(np.arange(20) % 2, 50, 0)
    points[:, 5, 3] = 0.1
    assert jitter_of(Landmarks(points, walk.detected)) == pytest.approx(0, abs=1e-6)
    nobody = Landmarks(np.full((20, 33, 4), np.nan, np.float32), np.zeros(20, bool))
    assert jitter_of(nobody) is None
    assert jitter_of(a_walk(2)) is None


def test_coverage_is_the_share_of_frames_and_visibility_that_of_the_poses_found() -> None:
    walk = a_walk(4)
    points = walk.points.copy()
    points[1] = np.nan
    points[2, :, 3] = 0.25
    summary = summary_of(Landmarks(points, np.array([True, False, True, True])), np.arange(4) / 25)
    assert summary.coverage == 0.75
    assert summary.visibility == pytest.approx((1 + 0.25 + 1) / 3)
    nothing = summary_of(Landmarks(points[:0], walk.detected[:0]), np.zeros(0))
    assert (nothing.coverage, nothing.visibility, nothing.jitter, nothing.gaps) == (0.0, None, None, ())


def test_a_pose_that_is_at_once_beside_itself_went_over_to_another_body() -> None:
    walk, times_s = a_walk(20), np.arange(20) / 25
    assert changes_of(walk, times_s) == 0
    hopping = walk.points.copy()
    hopping[6:11, :, 0] += 60  # half of the body's diagonal is 50
    assert changes_of(Landmarks(hopping, walk.detected), times_s) == 2
    absent = walk.detected.copy()
    absent[6:9] = False
    assert changes_of(Landmarks(hopping, absent), times_s) == 2
    assert changes_of(Landmarks(hopping, absent), times_s * 2) == 1, "in 0.3 s a body may get there"
    assert changes_of(Landmarks(hopping, np.zeros(20, bool)), times_s) == 0
