"""A picture between two: the background where the camera was then, whatever else changed."""

import itertools

import cv2
import numpy as np
import pytest

from caf.engines.between import Way, between, handed_over, way_between
from caf.engines.seam import closed, ways_closed
from caf.media.read import Frame
from tests.clips import Image, add_subject, camera_frames, texture

SIZE = (320, 180)
ROOM = texture(480, 300, contrast=0.7)


def seen(at: float, subject: float | None = None, *, px: float = 8.0) -> Image:
    """The room when the camera has gone `at` of `px` and a little turn; a subject that covers what it passes."""
    place = np.array([[px * at, -0.5 * px * at, 0.6 * at]])
    (image,) = camera_frames(ROOM, place, SIZE)
    return image if subject is None else add_subject(image, (subject, 100.0), 45.0)


def apart(found: Image, wanted: Image) -> float:
    """Mean levels beside both places of the subject and the rim."""
    beside = np.zeros(found.shape[:2], np.bool_)
    beside[8:-8, 8:30] = beside[8:40, 8:-8] = beside[8:-8, 290:-8] = True
    return float(cv2.absdiff(found, wanted)[beside].mean())


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_background_is_in_one_place_while_a_subject_gives_way_to_another(share: float) -> None:
    start, end = seen(0.0, 80.0), seen(1.0, 240.0)
    plain = np.asarray(cv2.addWeighted(start, 1.0 - share, end, share, 0.0), np.uint8)
    assert apart(between(start, end, share), seen(share)) < 0.4 * apart(plain, seen(share))


def test_at_the_rim_that_a_picture_left_the_other_one_is_shown() -> None:
    found, wanted = between(seen(0.0, 80.0, px=12.0), seen(1.0, 240.0, px=12.0), 0.5), seen(0.5, px=12.0)
    rim = np.ones(found.shape[:2], np.bool_)
    rim[2:-2, 2:-2] = rim[50:] = False
    error = cv2.absdiff(found, wanted)[rim]
    assert float(error.mean()) < 1.0
    assert error.max() < 30


def test_pictures_of_other_places_are_blended_where_they_are() -> None:
    start, end = seen(0.0), np.ascontiguousarray(texture(*SIZE, seed=9))
    assert np.array_equal(between(start, end, 0.5), cv2.addWeighted(start, 0.5, end, 0.5, 0.0))


def test_a_camera_that_went_far_does_not_rush_back() -> None:
    start, end = seen(0.0, 80.0, px=60.0), seen(1.0, 240.0, px=60.0)
    assert np.array_equal(between(start, end, 0.3), cv2.addWeighted(start, 0.7, end, 0.3, 0.0))


def with_a_ball(x: float) -> Image:
    """The room with a patterned ball in it that is as large as a person nearby."""
    room, pattern = texture(320, 240, contrast=0.5, seed=1), texture(400, 240, seed=51)
    move = np.array([[1.0, 0.0, x - 200.0], [0.0, 1.0, 0.0]])
    ball = cv2.warpAffine(pattern, move, (320, 240), borderMode=cv2.BORDER_REFLECT)
    disc = np.zeros((240, 320), np.uint8)
    cv2.circle(disc, (round(16 * x), 120 * 16), 90 * 16, 255, -1, cv2.LINE_AA, 4)
    share = disc[..., None] / 255.0
    return np.clip(np.rint(ball * share + room * (1.0 - share)), 0, 255).astype(np.uint8)


def largest_step(images: list[Image]) -> float:
    return max(float(cv2.absdiff(a, b).mean()) for a, b in itertools.pairwise(images))


def test_a_blend_that_goes_over_to_the_flow_shows_no_jump_there() -> None:
    head = [Frame(with_a_ball(100.0 + 3.0 * index), index / 30) for index in range(20)]
    tail = [with_a_ball(160.0)] * 20
    ways = ways_closed(head, tail, 0.98)
    assert {0.0, 1.0} < {way.along for way in ways}
    found = [frame.image for frame in closed(iter(head), tail, 0.98, ways)]
    assert largest_step(found) < 1.2 * largest_step([frame.image for frame in head])


def test_pictures_that_are_all_made_in_one_way_are_left_at_that() -> None:
    for along in (0.0, 1.0):
        ways = [Way(None, along)] * 7
        assert handed_over(ways) == ways
    assert handed_over([]) == []


def test_what_goes_far_is_found_again_from_where_it_was_before() -> None:
    def missed_px(way: Way, px: float) -> float:
        assert way.flow is not None
        return float(np.median(np.abs(way.flow[70:170, 60:160, 0] - px)))

    start, before = with_a_ball(110.0), None
    for px in range(10, 71, 10):
        before = way_between(start, with_a_ball(110.0 + px), 0.5, before)
    assert before is not None
    assert missed_px(before, 70.0) < 0.5
    assert missed_px(way_between(start, with_a_ball(180.0), 0.5), 70.0) > 5.0
