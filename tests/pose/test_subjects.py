"""Who is who in a clip of several, and whose pose counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from caf.errors import InputError
from caf.pose.choice import Subject, parse_subject
from caf.pose.landmarks import Found
from caf.pose.subjects import choose, identify, landmarks_of

SIZE = (640, 360)
LARGEST = Subject("largest")


def a_body(x: float, y: float, size: float) -> NDArray[np.float32]:
    """(33, 4): all visible, within a square around (x, y)."""
    spread = np.random.default_rng(7).uniform(-size / 2, size / 2, (33, 2))
    spread[0], spread[1] = (-size / 2, -size / 2), (size / 2, size / 2)
    pose = np.ones((33, 4), np.float32)
    pose[:, :2] = np.array((x, y)) + spread
    return pose


def frames_of(*told: list[NDArray[np.float32]]) -> list[Found]:
    return [
        Found(index / 25, *SIZE, np.array(poses, np.float32).reshape(-1, 33, 4))
        for index, poses in enumerate(told)
    ]


def middles(everyone: NDArray[np.float32]) -> NDArray[np.float64]:
    """(S, T) column of each body; NaN where it is not seen."""
    boxes = (everyone[:, :, 0, 0].astype(np.float64) + everyone[:, :, 1, 0]) / 2
    return np.asarray(np.round(boxes), np.float64)


def test_two_that_are_told_in_changing_order_keep_their_names() -> None:
    left, right = (lambda n: a_body(100 + 4 * n, 180, 80)), (lambda n: a_body(500 - 4 * n, 180, 80))
    told = [[left(n), right(n)] if n % 2 else [right(n), left(n)] for n in range(30)]
    rows = middles(identify(frames_of(*told), 2))
    assert rows[0].tolist() == [100 + 4 * n for n in range(30)]
    assert rows[1].tolist() == [500 - 4 * n for n in range(30)]


def test_who_tells_bodies_apart_for_long_gives_signs_of_life() -> None:
    signs: list[None] = []
    frames = frames_of(*([a_body(100, 180, 80), a_body(500, 180, 80)] for _ in range(1000)))
    landmarks_of(frames, 2, LARGEST, lambda: signs.append(None))
    assert len(signs) >= 4


@given(
    bodies=st.lists(
        st.tuples(
            st.floats(40, 600),
            st.floats(40, 320),
            st.floats(20, 200),
            st.lists(st.booleans(), min_size=12, max_size=12),
        ),
        min_size=1,
        max_size=5,
    ),
    most=st.integers(1, 5),
    chance=st.randoms(use_true_random=False),
)
@settings(deadline=None)
def test_the_order_in_which_poses_are_told_changes_nothing(
    bodies: list[tuple[float, float, float, list[bool]]], most: int, chance: object
) -> None:
    told = [[a_body(x + 5 * n, y, size) for x, y, size, seen in bodies if seen[n]] for n in range(12)]
    shuffled = [list(poses) for poses in told]
    for poses in shuffled:
        chance.shuffle(poses)  # type: ignore[attr-defined]
    one, other = (identify(frames_of(*order), most) for order in (told, shuffled))
    np.testing.assert_array_equal(one, other)
    assert 1 <= len(one) <= most


@given(
    bodies=st.lists(st.tuples(st.floats(40, 600), st.floats(40, 320), st.floats(20, 200)), max_size=5),
)
@settings(deadline=None)
def test_no_pose_is_given_twice_or_lost_where_there_is_room(bodies: list[tuple[float, float, float]]) -> None:
    told = [[a_body(x, y, size) for x, y, size in bodies] for _ in range(3)]
    everyone = identify(frames_of(*told), 16)
    assert np.isfinite(everyone[:, :, 0, 0]).sum() == 3 * len(bodies)


def test_one_that_is_missed_for_a_moment_is_the_same_one_after_it() -> None:
    told = [[] if 5 <= n < 15 else [a_body(300, 180, 80)] for n in range(25)]
    everyone = identify(frames_of(*told), 3)
    assert len(everyone) == 1
    assert np.isfinite(everyone[0, :, 0, 0]).sum() == 15


def test_one_that_is_away_for_long_or_far_off_is_another() -> None:
    long = [[] if 5 <= n < 85 else [a_body(300, 180, 80)] for n in range(90)]
    far = [[a_body(300 if n < 5 else 390, 180, 80)] for n in range(10)]
    assert len(identify(frames_of(*long), 3)) == 2
    assert len(identify(frames_of(*far), 3)) == 2


def test_of_more_than_asked_for_those_stay_that_are_seen_most() -> None:
    told = [
        [a_body(100, 180, 80), *([a_body(320, 180, 80)] if n == 3 else []), a_body(540, 180, 80)]
        for n in range(10)
    ]
    rows = middles(identify(frames_of(*told), 2))
    assert [row[0] for row in rows] == [100, 540]


@pytest.mark.parametrize(
    ("subject", "column"),
    [
        (LARGEST, 120),
        (Subject("central"), 330),
        (Subject("box", (500.0, 100.0, 620.0, 260.0)), 560),
    ],
)
def test_the_one_that_counts_is_chosen_as_asked(subject: Subject, column: float) -> None:
    told = [[a_body(330, 170, 60), a_body(560, 180, 90), a_body(120, 180, 160)] for _ in range(8)]
    everyone = identify(frames_of(*told), 3)
    assert middles(everyone)[choose(everyone, SIZE, subject), 0] == column
    landmarks = landmarks_of(frames_of(*told), 3, subject)
    assert landmarks.everyone is not None
    np.testing.assert_array_equal(landmarks.points, landmarks.everyone[landmarks.subject])
    assert landmarks.detected.all()


def test_a_large_one_that_is_hardly_ever_seen_does_not_count() -> None:
    told = [[a_body(150, 180, 80), *([a_body(450, 180, 120)] if n == 0 else [])] for n in range(20)]
    assert landmarks_of(frames_of(*told), 2, LARGEST).detected.sum() == 20


def test_a_clip_in_which_nobody_is_has_one_empty_row() -> None:
    landmarks = landmarks_of(frames_of([], [], []), 3, LARGEST)
    assert landmarks.everyone is not None
    assert landmarks.everyone.shape == (1, 3, 33, 4)
    assert not landmarks.detected.any()
    assert landmarks_of([], 1, LARGEST).points.shape == (0, 33, 4)


@pytest.mark.parametrize(
    "text", ["", "biggest", "1,2,3", "10,10,5,20", "0,0,nan,5", "0,0,inf,5", "1,2,3,4,5"]
)
def test_what_names_no_subject_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InputError, match="names no subject") as caught:
        parse_subject(text)
    assert caught.value.kind == "bad_subject"
    assert "largest, central, or a box" in caught.value.remedy


def test_a_box_is_read_in_pixels() -> None:
    assert parse_subject("40,60,320.5,400") == Subject("box", (40.0, 60.0, 320.5, 400.0))
