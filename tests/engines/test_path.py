"""The background's path out of steps and looks back: both err, each in its own way."""

import numpy as np
from numpy.typing import NDArray

from caf.engines.background import Motion, camera_motion
from caf.engines.camera import Candidate, Step, cells_of
from caf.engines.features import CELLS, GRID
from caf.engines.path import background_path

SIZE = (640, 360)
FRAMES = 13


def grid() -> NDArray[np.float64]:
    """(n, 2) px from the centre, ten in every cell."""
    x, y = np.meshgrid(np.linspace(-310, 310, 32), np.linspace(-170, 170, 15))
    return np.column_stack((x.ravel(), y.ravel()))


def step(moved: NDArray[np.float64], looked: NDArray[np.float64], age: int, candidate: Candidate) -> Step:
    places = grid()
    cells = cells_of(places, SIZE).astype(np.uint8)
    points = np.hstack((places, places + moved)).astype(np.float32)
    return Step(
        candidates=(candidate,),
        points=points,
        cells=cells,
        cut=False,
        flow=np.zeros((CELLS, 2)),
        key_frames=age,
        key_points=np.hstack((places, places + looked)).astype(np.float32),
        key_cells=cells,
    )


def everywhere(x_px: float) -> Candidate:
    return Candidate(np.array([x_px, 0.0, 0.0, 0.0]), np.arange(CELLS))


def nothing() -> Step:
    empty = np.empty((0, 4), np.float32)
    return Step((), empty, np.empty(0, np.uint8), False, np.full((CELLS, 2), np.nan))


def test_looks_back_take_out_the_drift_of_the_steps() -> None:
    wrong = np.array([0.03, 0.0])
    steps = [nothing(), *(step(wrong, np.zeros(2), age, everywhere(0.03)) for age in range(1, FRAMES))]
    path = background_path(steps, camera_motion(steps, 9.0), (), SIZE)
    assert abs(path[-1, 0]) < 0.5 * 0.03 * (FRAMES - 1)


def test_a_look_back_at_something_that_passes_does_not_bend_the_path() -> None:
    deceived = [np.array([0.8, 0.0]) if age in (6, 7) else np.zeros(2) for age in range(1, FRAMES)]
    steps = [
        nothing(),
        *(step(np.zeros(2), look, age, everywhere(0.0)) for age, look in enumerate(deceived, 1)),
    ]
    path = background_path(steps, camera_motion(steps, 9.0), (), SIZE)
    assert np.abs(path[:, 0]).max() < 0.05


def test_a_step_that_nobody_knows_is_bridged_by_the_look_back() -> None:
    looks = [np.array([0.0 if age < 6 else 4.0, 0.0]) for age in range(1, FRAMES)]
    steps = [
        nothing(),
        *(step(np.zeros(2), look, age, everywhere(0.0)) for age, look in enumerate(looks, 1)),
    ]
    sure = np.ones(FRAMES)
    sure[[0, 6]] = 0.0
    camera = Motion(np.zeros((FRAMES, 4)), sure, np.ones((FRAMES, CELLS), np.bool_))
    path = background_path(steps, camera, (), SIZE)
    assert np.allclose(path[6:, 0], 4.0, atol=0.1)


def test_a_frame_that_began_with_the_subject_is_believed_once_the_background_is_found_in_it() -> None:
    """The only candidate of one frame is the subject; what is background around it tells the motion."""
    left = grid()[:, 0] < 0
    moved = np.where(left[:, None], np.array([5.0, 0.0]), np.array([1.0, 0.0]))
    columns = np.arange(CELLS) % 8
    subject = Candidate(np.array([5.0, 0.0, 0.0, 0.0]), np.flatnonzero(columns < 4))
    background = Candidate(np.array([1.0, 0.0, 0.0, 0.0]), np.flatnonzero(columns >= 4))
    steps = [nothing(), *(step(moved, moved, 1, background) for _ in range(20))]
    steps[10] = step(moved, moved, 1, subject)
    camera = camera_motion(steps, 9.0)
    assert camera.confidence[10] > 0.6
    assert np.allclose(camera.steps[10], (1.0, 0.0, 0.0, 0.0), atol=0.01)


def test_one_dancer_before_a_wall_that_shows_nothing_is_not_taken_for_the_background() -> None:
    """Two columns of cells from top to bottom, at a side of the frame, are all that can be followed."""
    columns = np.isin(np.arange(CELLS) % GRID[0], (5, 6))

    def seen_there(made: Step) -> Step:
        kept = columns[made.cells]
        there = Candidate(np.zeros(4), np.flatnonzero(columns))
        return made._replace(candidates=(there,), points=made.points[kept], cells=made.cells[kept])

    whole = [nothing(), *(step(np.zeros(2), np.zeros(2), age, everywhere(0.0)) for age in range(1, FRAMES))]
    assert camera_motion(whole, 9.0).confidence[1:].min() == 1.0
    dancer = [whole[0], *(seen_there(made) for made in whole[1:])]
    assert camera_motion(dancer, 9.0).confidence.max() < 0.5
