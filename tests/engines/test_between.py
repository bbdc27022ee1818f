"""A picture between two: the background where the camera was then, whatever else changed."""

import cv2
import numpy as np
import pytest

from caf.engines.between import between
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
