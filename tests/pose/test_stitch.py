"""Parts of a clip that were followed from several places give what one run over the whole clip gives."""

import random
from collections.abc import Collection, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caf.pose.landmarks import Found
from caf.pose.stitch import AHEAD_S, SETTLED_S, TOLERANCE, VISIBILITY_SHARE, Stitching, same_poses

FPS = 25
SIZE = 1000


def a_run(start: int, end: int, empty: Collection[int], *, converges: bool = False) -> list[Found]:
    """What a tracker that begins at frame `start` finds: where it places a body depends on where the track
    began, for good or (`converges`) for a while; visibilities are smoothed over all it has seen."""
    frames, began, smoothed = [], start, None
    for index in range(start, end):
        poses = np.empty((0, 33, 4), np.float32)
        if index in empty:
            began = index + 1
        else:
            own = np.random.default_rng(index).random(33)
            smoothed = own if smoothed is None else smoothed + (own - smoothed) * VISIBILITY_SHARE
            beside_px = 20.0 * (began + 1) * (0.5 ** (index - began) if converges else 1)
            poses = np.full((1, 33, 4), index + beside_px, np.float32)
            poses[0, :, 3] = smoothed
        frames.append(Found(index / FPS, SIZE, SIZE, poses))
    return frames


def stitched(chains: Sequence[Sequence[Found]], order: random.Random) -> Stitching:
    """All chains, heard in an order of chance; none is asked once it is not needed."""
    stitching = Stitching([chain[0].time_s for chain in chains])
    left = [list(chain) for chain in chains]
    while not stitching.complete:
        number = order.choice(
            [n for n in range(len(chains)) if stitching.needed(n) and not stitching.ahead(n)]
        )
        if left[number]:
            stitching.add(number, left[number].pop(0))
        else:
            stitching.end(number)
    return stitching


def assert_the_same(result: Sequence[Found], whole: Sequence[Found]) -> None:
    assert [found.time_s for found in result] == [found.time_s for found in whole]
    for one, other in zip(result, whole, strict=True):
        np.testing.assert_array_equal(one.poses[..., :3], other.poses[..., :3])
        np.testing.assert_allclose(one.poses[..., 3], other.poses[..., 3], atol=2e-6)


@given(
    empty=st.sets(st.integers(0, 299), max_size=12),
    starts=st.sets(st.integers(1, 299), max_size=4),
    chance=st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_the_parts_give_what_the_whole_gives_whatever_is_heard_first(
    empty: set[int], starts: set[int], chance: random.Random
) -> None:
    chains = [a_run(start, 300, empty) for start in (0, *sorted(starts))]
    stitching = stitched(chains, chance)
    assert_the_same(stitching.result(), chains[0])


@given(empty=st.sets(st.integers(0, 79)), one=st.integers(), other=st.integers())
@settings(deadline=None)
def test_the_order_of_hearing_changes_no_bit(empty: set[int], one: int, other: int) -> None:
    chains = [a_run(start, 80, empty, converges=True) for start in (0, 20, 41)]
    first, second = (stitched(chains, random.Random(seed)) for seed in (one, other))
    assert first.seams_s() == second.seams_s()
    for a, b in zip(first.result(), second.result(), strict=True):
        np.testing.assert_array_equal(a.poses, b.poses)


def test_a_frame_in_which_both_find_nothing_hands_over() -> None:
    chains = [a_run(start, 60, {35}) for start in (0, 30)]
    stitching = stitched(chains, random.Random(1))
    assert stitching.seams_s() == [35 / FPS]


def test_a_body_that_is_followed_hands_over_once_both_have_settled() -> None:
    chains = [a_run(start, 90, (), converges=True) for start in (0, 30)]
    stitching = stitched(chains, random.Random(1))
    (seam_s,) = stitching.seams_s()
    assert seam_s >= 30 / FPS + SETTLED_S
    for one, other in zip(stitching.result(), chains[0], strict=True):
        assert np.abs(one.poses[..., :2] - other.poses[..., :2]).max() <= TOLERANCE * SIZE


def test_runs_that_never_come_together_leave_the_first_one_alone_to_the_end() -> None:
    chains = [a_run(start, 60, ()) for start in (0, 20, 40)]
    stitching = stitched(chains, random.Random(1))
    assert stitching.seams_s() == []
    assert_the_same(stitching.result(), chains[0])
    assert stitching.covered == 60


def test_a_warm_seam_is_believed_after_a_second_wherever_the_poses_are() -> None:
    chains = [a_run(start, 200, ()) for start in (0, 100)]
    warm = Stitching([0.0, 100 / FPS], proven=False)
    for found in chains[1]:
        warm.add(1, found)
    warm.end(1)
    for found in chains[0]:
        warm.add(0, found)
    assert warm.complete
    assert warm.seams_s() == [100 / FPS + SETTLED_S]
    assert len(warm.result()) == 200
    assert not warm.needed(0)


def test_a_chain_that_may_count_for_nothing_does_not_run_to_the_end() -> None:
    chains = [a_run(start, 400, ()) for start in (0, 100, 200)]
    stitching = stitched(chains, random.Random(1))
    assert_the_same(stitching.result(), chains[0])
    assert stitching.computed <= 400 + (100 + AHEAD_S * FPS + 2) + 200


def test_a_chain_that_waited_goes_on_once_it_counts() -> None:
    chains = [a_run(start, 400, {105}) for start in (0, 100, 150)]
    stitching = stitched(chains, random.Random(1))
    assert_the_same(stitching.result(), chains[0])
    assert stitching.seams_s() == [105 / FPS]


def test_times_that_do_not_match_hand_nothing_over() -> None:
    whole, part = a_run(0, 40, {25}), a_run(20, 40, {25})
    part = [found._replace(time_s=found.time_s + 0.003) for found in part]
    stitching = stitched([whole, part], random.Random(1))
    assert_the_same(stitching.result(), whole)


def test_frames_of_the_same_time_that_look_different_hand_nothing_over() -> None:
    whole, part = a_run(0, 40, {25}), a_run(20, 40, {25})
    part = [found._replace(look=1) for found in part]
    stitching = stitched([whole, part], random.Random(1))
    assert stitching.seams_s() == []
    assert_the_same(stitching.result(), whole)


def test_a_part_that_cannot_be_decoded_counts_for_nothing_unless_it_is_needed() -> None:
    whole, fault = a_run(0, 40, {25}), ValueError("seeking fails")
    unneeded = Stitching([0.0, 20 / FPS])
    unneeded.end(1, fault)
    for found in whole:
        unneeded.add(0, found)
    unneeded.end(0)
    assert unneeded.complete
    assert_the_same(unneeded.result(), whole)
    needed = Stitching([0.0, 20 / FPS])
    for found in a_run(20, 30, {25}):
        needed.add(1, found)
    needed.end(1, fault)
    for found in whole[:26]:
        needed.add(0, found)
    with pytest.raises(ValueError, match="seeking fails"):
        _ = needed.complete


def test_before_the_end_the_certain_frames_are_known() -> None:
    chains = [a_run(start, 60, {35}) for start in (0, 30)]
    stitching = Stitching([0.0, 30 / FPS])
    for found in chains[1]:
        stitching.add(1, found)
    for found in chains[0][:10]:
        stitching.add(0, found)
    assert not stitching.complete
    assert_the_same(stitching.result(), chains[0][:10])
    assert stitching.covered == 40


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_poses_are_the_same_in_whatever_order_they_are_told(order: tuple[int, int]) -> None:
    poses = np.stack([np.full((33, 4), value, np.float32) for value in (100, 500)])
    one = Found(0.0, SIZE, SIZE, poses)
    assert same_poses(one, one._replace(poses=poses[list(order)]))
    assert not same_poses(one, one._replace(poses=poses[[0, 0]]))
    assert not same_poses(one, one._replace(poses=poses[:1]))
