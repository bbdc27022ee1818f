"""What is followed must be one thing for longer than a frame, and nothing as good may go elsewhere."""

import numpy as np
import pytest
from numpy.typing import NDArray

from caf.engines.background import camera_motion
from caf.engines.camera import Candidate, Step, cells_of
from caf.engines.features import CELLS, GRID
from caf.engines.together import keeps_together, rivals_part

SIZE = (640, 360)
SIGMA = 9.0
ALL = np.arange(CELLS)
MIDDLE = np.array([cell for cell in range(CELLS) if 0 < cell % GRID[0] < GRID[0] - 1])
SIDES = np.setdiff1d(ALL, MIDDLE)


def steps(parts_px: float, *, frames: int = 13, rival_px: float = 0.0) -> list[Step]:
    """All goes 1 px a frame, so it seems from frame to frame; the halves part by so many px a frame since a key frame.

    With `rival_px` the sides go so much further.
    """
    x, y = np.meshgrid(np.linspace(-310, 310, 32), np.linspace(-170, 170, 15))
    places = np.column_stack((x.ravel(), y.ravel()))
    cells = cells_of(places, SIZE).astype(np.uint8)
    moved = np.array([1.0, 0.0]) + rival_px * np.isin(cells, SIDES)[:, None]
    points = np.hstack((places, places + moved)).astype(np.float32)
    candidates = [Candidate(np.array([1.0, 0.0, 0.0, 0.0]), MIDDLE if rival_px else ALL)]
    if rival_px:
        candidates.append(Candidate(np.array([1.0 + rival_px, rival_px, 0.0, 0.0]), SIDES))
    out = [Step((), np.empty((0, 4), np.float32), np.empty(0, np.uint8), False, np.full((CELLS, 2), np.nan))]
    for age in range(1, frames):
        apart = np.outer(np.sign(places[:, 0]), np.array([0.0, parts_px / 2]))
        since = np.hstack((places, places + age * (moved + apart))).astype(np.float32)
        flow = _medians(moved, cells)
        out.append(Step(tuple(candidates), points, cells, False, flow, age, since, cells))
    return out


def _medians(moved: NDArray[np.float64], cells: NDArray[np.uint8]) -> NDArray[np.float64]:
    every = np.broadcast_to(moved, (len(cells), 2))
    return np.array([np.median(every[cells == cell], axis=0) for cell in range(CELLS)])


@pytest.mark.parametrize(("parts_px", "together"), [(0.0, True), (0.1, True), (3.0, False)])
def test_halves_that_part_over_some_frames_are_no_background(parts_px: float, together: bool) -> None:
    made = steps(parts_px)
    # Half of it is one of the halves: a third part makes it less.
    made[-1].key_points[::3, 2:] += 40.0
    assert keeps_together(made, camera_motion(made, SIGMA)) is together


def test_without_a_key_frame_that_lasts_nothing_speaks_against_the_background() -> None:
    made = steps(9.0, frames=4)
    assert keeps_together(made, camera_motion(made, SIGMA))


@pytest.mark.parametrize(("rival_px", "part"), [(0.0, False), (0.3, False), (4.0, True)])
def test_sides_that_go_elsewhere_than_the_middle_are_another_camera(rival_px: float, part: bool) -> None:
    made = steps(0.0, rival_px=rival_px)
    assert rivals_part(made, camera_motion(made, SIGMA), SIGMA, SIZE) is part
