"""What was found so far is kept, and keeping it never takes more than a small share of the time."""

from pathlib import Path

import numpy as np

from caf.ports import PARTIAL_LANDMARKS
from caf.pose.landmarks import LANDMARK_COUNT, Landmarks, load_landmarks
from caf.pose.partial import Partial


class Time:
    """A clock that goes on only when told."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_longer_a_saving_takes_the_longer_it_is_to_the_next(tmp_path: Path) -> None:
    clock = Time()
    partial = Partial(tmp_path, clock)
    saved: list[float] = []

    def so_far() -> Landmarks:
        saved.append(clock.now_s)
        clock.now_s += clock.now_s / 40  # as where several bodies are told apart
        return Landmarks(np.zeros((3, LANDMARK_COUNT, 4), np.float32), np.ones(3, np.bool_))

    worked_s = 0.0
    while worked_s < 400:
        worked_s += 0.02
        clock.now_s += 0.02
        if partial.due:
            partial.save(so_far)
    assert clock.now_s < worked_s * 1.1
    assert saved[-1] > worked_s / 2
    assert load_landmarks(tmp_path / PARTIAL_LANDMARKS).complete is False
