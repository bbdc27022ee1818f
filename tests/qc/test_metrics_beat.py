"""The beat of a clip whose frame rate was converted, and the frames that it lost after that."""

import numpy as np
import pytest
from numpy.typing import NDArray

from caf.qc.metrics.beat import beat_of, doubling_of, strides

UNEVEN = 0.04


def travelled(lost: tuple[int, ...] = (), period: int = 5, frames: int = 100) -> NDArray[np.float64]:
    """How far each step of an even motion goes, of which every so many frames one was left out, and some later."""
    shown = [at for at in range(frames * 2) if at % (period + 1) != period]
    kept = [at for place, at in enumerate(shown) if place not in lost][:frames]
    uneven = 1 + np.random.default_rng(6).normal(0, UNEVEN, frames)
    return np.concatenate([[0.0], np.diff(kept) * 8.0]) * uneven


def stride_of(step: NDArray[np.float64]) -> NDArray[np.float64]:
    return strides(step, np.full(len(step), np.nan)) * 2


@pytest.mark.parametrize("period", [3, 4, 5, 6, 8])
def test_a_conversion_leaves_a_beat_and_nothing_is_lost(period: int) -> None:
    beat = beat_of(stride_of(travelled(period=period)))
    assert beat is not None
    assert beat.period == period
    assert beat.lost == ()
    assert set(np.diff(beat.on)) == {period}


@pytest.mark.parametrize(
    ("lost", "blamed"), [((32,), (32,)), ((23, 48, 77), (23, 47, 75)), ((40,), (40,)), ((52, 53), (52,))]
)
def test_what_is_lost_later_is_blamed_where_it_is_missing(
    lost: tuple[int, ...], blamed: tuple[int, ...]
) -> None:
    beat = beat_of(stride_of(travelled(lost)))
    assert beat is not None
    assert beat.period == 5
    assert set(blamed) <= set(beat.lost)
    assert len(beat.lost) == len(lost)


def test_frames_lost_anywhere_keep_no_beat() -> None:
    rng = np.random.default_rng(2)
    for share in (0.0, 0.05, 0.1, 0.25):
        gaps = 1 + (rng.random(200) < share)
        assert beat_of(stride_of(8.0 * gaps * (1 + rng.normal(0, UNEVEN, 200)))) is None


def test_a_clip_of_a_second_is_too_short_for_a_beat() -> None:
    assert beat_of(stride_of(travelled(frames=24))) is None
    assert beat_of(stride_of(travelled(frames=4))) is None


def shown_again(places: list[int], frames: int = 96) -> NDArray[np.bool_]:
    return np.isin(np.arange(frames), places)


def steps_of(repeated: NDArray[np.bool_], *, after_levels: float = 4.0) -> NDArray[np.float64]:
    """An even motion of four levels a step; of the step after a repeat as many as said."""
    uneven = 1 + np.random.default_rng(4).normal(0, UNEVEN, len(repeated))
    after = np.concatenate([[False], repeated[:-1]])
    return np.where(repeated, 0.1, np.where(after, after_levels, 4.0)) * uneven


@pytest.mark.parametrize("period", [2, 3, 5, 6, 48 / 7])
def test_frames_that_a_conversion_shows_again_keep_a_beat(period: float) -> None:
    repeated = shown_again([round(3 + at * period) for at in range(int(90 / period))])
    found = doubling_of(repeated, steps_of(repeated))
    assert found is not None
    assert (found.on == repeated).all()


def test_a_frame_that_is_doubled_later_stands_beside_the_beat_and_shifts_it() -> None:
    repeated = shown_again([*range(4, 40, 6), 44, *range(47, 96, 6)])
    found = doubling_of(repeated, steps_of(repeated))
    assert found is not None
    assert np.flatnonzero(repeated & ~found.on).tolist() == [44]


@pytest.mark.parametrize("after_levels", [8.0, 4.8])
def test_frames_that_stand_in_the_place_of_others_keep_no_beat(after_levels: float) -> None:
    """In fine texture twice the way is no more than 1.2 times the levels."""
    repeated = shown_again(list(range(5, 96, 6)))
    assert doubling_of(repeated, steps_of(repeated)) is not None
    assert doubling_of(repeated, steps_of(repeated, after_levels=after_levels)) is None


def test_frames_that_are_doubled_here_and_there_keep_no_beat() -> None:
    for places in ([], [11], [20, 44, 70], [8, 19, 41, 58, 62, 90]):
        repeated = shown_again(places)
        assert doubling_of(repeated, steps_of(repeated)) is None
