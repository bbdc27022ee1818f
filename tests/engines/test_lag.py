"""What a coder left where it was does not hold the camera back, where strong features went on."""

import numpy as np
import pytest
from numpy.typing import NDArray

from caf.engines.background import camera_motion
from caf.engines.camera import Camera, Candidate, Step, cells_of
from caf.engines.features import CELLS
from caf.engines.lag import alike, weak_lag
from caf.engines.smooth import smooth
from caf.engines.steady import plan
from tests.clips import camera_frames, shake_path, texture

SIZE, FPS = (640, 360), 30.0
FRAMES = 30


def shaken(lag: float, sway_px: float = 1.5) -> tuple[list[Step], NDArray[np.float64]]:
    """Steps of a camera that sways sideways, whose weak features, three of four, go only so much of the way; and where
    it is (T,) px.
    """
    rng = np.random.default_rng(3)
    x, y = np.meshgrid(np.linspace(-310, 310, 32), np.linspace(-170, 170, 15))
    places = np.column_stack((x.ravel(), y.ravel()))
    cells = cells_of(places, SIZE).astype(np.uint8)
    weak = rng.random(len(places)) < 0.75
    worth = np.where(weak, 0.04, 1.0).astype(np.float32)
    path = sway_px * np.sin(np.arange(FRAMES) * 1.1)
    none = np.empty((0, 4), np.float32)
    steps = [Step((), none, np.empty(0, np.uint8), False, np.full((CELLS, 2), np.nan))]
    for px in np.diff(path):
        moves = np.where(weak, lag * px, px) + rng.normal(0, 0.2, len(places))
        points = np.hstack((places, places + np.column_stack((moves, 0 * moves)))).astype(np.float32)
        usual = float(np.median(moves))
        candidate = Candidate(np.array([usual, 0.0, 0.0, 0.0]), np.arange(CELLS))
        flow = np.tile([usual, 0.0], (CELLS, 1))
        steps.append(Step((candidate,), points, cells, False, flow, worth=worth))
    return steps, path


def tremor_px(series: NDArray[np.float64]) -> float:
    return float(np.std(series - smooth(series[:, None], FPS, robust=False)[:, 0]))


def test_a_camera_is_told_by_what_is_strong_where_most_of_the_picture_lags() -> None:
    steps, path = shaken(lag=0.7)
    planned = plan(steps, SIZE, FPS, weight=1.0, intensity="medium", max_crop=0.2)
    middle = planned.matrices[:, :2, :2] @ ((np.array(SIZE) - 1) / 2) + planned.matrices[:, :, 2]
    left = tremor_px(path + middle[:, 0] / planned.zoom)
    assert planned.active
    assert left < 0.15 * tremor_px(path)  # by all alike 0.25 of it


@pytest.mark.parametrize(("lag", "told"), [(1.0, False), (0.98, False), (0.85, True)])
def test_texture_that_goes_nearly_as_far_does_not_lag(lag: float, told: bool) -> None:
    steps, _ = shaken(lag)
    assert weak_lag(steps, camera_motion(alike(steps), 9.0)) is told


def test_a_camera_that_hardly_moves_says_nothing_about_lag() -> None:
    steps, _ = shaken(lag=0.7, sway_px=0.1)
    assert not weak_lag(steps, camera_motion(alike(steps), 9.0))


def test_what_shows_strongly_is_worth_more() -> None:
    scene = texture(480, 320)
    scene[:, 240:] = (scene[:, 240:].astype(np.float32) * 0.15 + 100).astype(np.uint8)
    frames = camera_frames(scene, shake_path(2, amplitude_px=1.0), (360, 240))
    camera = Camera((360, 240))
    camera.follow(frames[0])
    step = camera.follow(frames[1])
    assert step.worth is not None
    left = step.points[:, 0] < -20
    right = step.points[:, 0] > 20
    assert left.any()
    assert right.any()
    assert np.median(step.worth[left]) > 3 * np.median(step.worth[right])
