"""Landmarks on disk, and the subject's box."""

from pathlib import Path

import numpy as np
import pytest

from caf.errors import InputError
from caf.pose.landmarks import Landmarks, load_landmarks, save_landmarks


def three_frames() -> Landmarks:
    """Frame 0: no pose. Frame 1: joints from (100, 50) to (180, 250). Frame 2: two visible ones."""
    points = np.full((3, 33, 4), np.nan, np.float32)
    points[1] = (140, 150, 0, 1)
    points[1, 0, :2] = (100, 50)
    points[1, 32, :2] = (180, 250)
    points[1, 7] = (900, 900, 0, 0.1)
    points[2] = (0, 0, 0, 0)
    points[2, 3] = (10, 10, 0, 0.9)
    points[2, 4] = (30, 50, 0, 0.9)
    return Landmarks(points, np.array([False, True, True]))


def test_landmarks_survive_the_disk(tmp_path: Path) -> None:
    save_landmarks(tmp_path / "a.npz", three_frames())
    again = load_landmarks(tmp_path / "a.npz")
    np.testing.assert_array_equal(again.points, three_frames().points)
    np.testing.assert_array_equal(again.detected, three_frames().detected)
    assert again.points.dtype == np.float32
    assert again.detected.dtype == np.bool_


def test_the_same_landmarks_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_landmarks(tmp_path / name, three_frames())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_file_of_before_there_were_times_is_read_still(tmp_path: Path) -> None:
    old = three_frames()
    np.savez(tmp_path / "old.npz", points=old.points, detected=old.detected)
    again = load_landmarks(tmp_path / "old.npz")
    np.testing.assert_array_equal(again.points, old.points)
    assert again.complete
    assert (again.times_s, again.everyone) == (None, None)


def test_all_that_is_known_survives_the_disk(tmp_path: Path) -> None:
    points = three_frames().points
    whole = Landmarks(
        points, three_frames().detected, np.array([0, 0.04, 0.1]), np.stack([points * 2, points]), 1, False
    )
    save_landmarks(tmp_path / "all.npz", whole)
    again = load_landmarks(tmp_path / "all.npz")
    assert again.times_s is not None
    assert again.times_s.tolist() == [0, 0.04, 0.1]
    assert again.everyone is not None
    np.testing.assert_array_equal(again.everyone[again.subject], points)
    assert not again.complete


def test_another_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello", encoding="ascii")
    np.savez(tmp_path / "other.npz", other=np.zeros(3))
    np.savez(tmp_path / "shape.npz", points=np.zeros((4, 17, 3)), detected=np.zeros(4, bool))
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("text.npz", "other.npz", "shape.npz", "array.npy", "gone.npz"):
        with pytest.raises(InputError, match="does not hold the landmarks"):
            load_landmarks(tmp_path / name)
