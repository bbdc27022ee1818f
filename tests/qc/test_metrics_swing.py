"""background_stability: what neighbours do together, what they do alone, and what a hand does."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from caf.ports import Measurement
from caf.qc.metrics.background import background_stability
from caf.qc.metrics.shake import jitter
from caf.qc.metrics.still import StillCollector
from caf.qc.metrics.swing import swing_and_background
from caf.qc.metrics.tracks import CameraPath, TrackCollector
from tests.qc.metric_clips import SIZE, Image, pan, picture, seen

LENGTH = 48
Floats = NDArray[np.float64]


def measured(frames: list[Image]) -> tuple[CameraPath, Measurement]:
    tracks, still = TrackCollector(), StillCollector()
    for frame in seen(frames):
        tracks.add(frame)
        still.add(frame)
    path = tracks.result()
    swing, background = swing_and_background(path, still)
    return path, background_stability(path, background, swing)


def score(frames: list[Image]) -> float:
    found = measured(frames)[1]
    assert found.score is not None, found.reason
    return found.score


def swaying(frames: list[Image], field: Floats, frames_each: int) -> list[Image]:
    """`frames` displaced by `field` (H, W, 2) px to and fro, once in so many frames."""
    rows, columns = np.indices((SIZE[1], SIZE[0]), np.float32)
    out = []
    for index, frame in enumerate(frames):
        now = (field * np.sin(2 * np.pi * index / frames_each)).astype(np.float32)
        moved = cv2.remap(
            frame, columns + now[..., 0], rows + now[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        out.append(np.asarray(moved, dtype=np.uint8))
    return out


def places(across: int, down: int) -> Floats:
    """(H, W, 2) px, 0.6 RMS: a direction of its own for each of so many places, smooth in between."""
    each = np.random.default_rng(3).normal(0, 1, (down, across, 2))
    field = np.asarray(cv2.resize(each, SIZE, interpolation=cv2.INTER_CUBIC), dtype=np.float64)
    return field * (0.6 / np.sqrt(np.mean(np.sum(field**2, axis=2))))


def test_neighbours_that_sway_together_count_for_more_than_corners_that_sway_alone() -> None:
    table = pan(picture("coffee"), frames=LENGTH)
    together, alone = (score(swaying(table, places(*grid), 16)) for grid in ((5, 3), (36, 24)))
    assert together < alone - 0.03


@pytest.mark.parametrize("frames_each", [12, 24])
def test_a_place_that_breathes_scores_less_the_further_it_does(frames_each: int) -> None:
    rows, columns = np.indices((SIZE[1], SIZE[0]), np.float64)
    bell = np.exp(-((rows - 80) ** 2 + (columns - 120) ** 2) / (2 * 50.0**2))
    table = pan(picture("coffee"), frames=LENGTH)
    field = np.stack([bell, 0 * bell], axis=2)
    scores = [score(swaying(table, reach * field, frames_each)) for reach in (0.0, 0.8, 1.6, 2.4)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] - scores[1] > 0.01


def test_a_hand_that_trembles_is_a_fault_of_the_camera_before_it_is_one_of_the_background() -> None:
    shaken = pan(
        picture("chelsea"), shift=np.random.default_rng(5).normal(0, 0.6, (LENGTH, 2)), frames=LENGTH
    )
    path, found = measured(shaken)
    camera = jitter(path).measurement.score
    assert camera is not None
    assert found.score is not None
    assert camera < 0.8 <= found.score


def test_where_local_warping_was_not_measured_the_background_is_not_said_to_be_perfect() -> None:
    person = np.asarray(cv2.resize(picture("astronaut")[50:200, 90:360], SIZE), dtype=np.uint8)
    nod = np.zeros((SIZE[1], SIZE[0], 2))
    nod[..., 1] = 2.5 * np.cos(np.arange(SIZE[0]) / 40)
    found = measured(swaying([person] * LENGTH, nod, 11))[1]
    assert "local warping was not measured" in found.reason
    assert (found.score or 1.0) <= 0.95
