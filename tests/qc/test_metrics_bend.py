"""A background that was bent on the way, told by the source's same moments."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import pytest

from caf.qc.metrics.bend import Bend, bend_of
from caf.qc.metrics.frames import seen_image
from caf.qc.metrics.moments import Moment
from caf.qc.metrics.samples import sample_of
from tests.qc.conftest import Scores
from tests.qc.metric_clips import FPS, SIZE, Image, pan, picture
from tests.qc.test_metrics_subject import turned

Judge = Callable[..., Scores]
Writer = Callable[..., str]

FRAMES, LEAD = 72, 2
PLACES = range(4, FRAMES, 8)


def room(*, dancing: bool = True) -> list[Image]:
    """A textured room before a camera that is carried, and somebody in it who goes to and fro."""
    frames = pan(picture("coffee"), FRAMES, scale=3.0)
    body = cv2.resize(picture("chelsea")[100:200, 150:270], (90, 75), interpolation=cv2.INTER_AREA)
    out = []
    for index, frame in enumerate(frames):
        x = round(130 + 60 * np.sin(index / 6)) if dancing else 130
        image = frame.copy()
        image[80 : 80 + body.shape[0], x : x + body.shape[1]] = body
        out.append(image)
    return out


def bent(frames: Sequence[Image], px: float, *, swinging: bool = True) -> list[Image]:
    """The upper left of each is displaced by up to `px`, more and less as time goes by."""
    rows, columns = np.indices((SIZE[1], SIZE[0]), np.float32)
    near = np.exp(-(((columns - 90) / 80) ** 2) - ((rows - 70) / 60) ** 2).astype(np.float32)
    out = []
    for index, frame in enumerate(frames):
        much = np.float32(px * np.sin(index / 3.7) if swinging else px)
        moved = cv2.remap(frame, columns + much * near, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        out.append(np.asarray(moved, np.uint8))
    return out


def coded(frames: Sequence[Image]) -> list[Image]:
    data = [cv2.imencode(".jpg", one, [cv2.IMWRITE_JPEG_QUALITY, 80])[1] for one in frames]
    return [np.asarray(cv2.imdecode(one, cv2.IMREAD_COLOR), np.uint8) for one in data]


def against(clip: Sequence[Image], source: Sequence[Image], late: int = 0) -> Bend | None:
    """The bend of some moments; the source's come so many frames late."""
    samples, moments = [], {}
    for place in PLACES:
        samples.append(sample_of(seen_image(place, place / FPS, clip[place])))
        now = min(FRAMES - 1, place + late)
        picture_, earlier = (sample_of(seen_image(0, 0.0, source[at])).image for at in (now, now - LEAD))
        moments[place] = Moment(picture_, earlier)
    return bend_of(samples, moments)


def test_the_same_pictures_coded_again_are_not_bent() -> None:
    found = against(coded(room()), room())
    assert found is not None
    assert found.permille < 0.25
    assert found.moments == len(PLACES)


@pytest.mark.parametrize("px", [1.0, 2.5])
def test_a_part_of_the_room_that_breathes_is_told_however_the_camera_and_the_people_move(px: float) -> None:
    found = against(coded(bent(room(), px)), room())
    assert found is not None
    assert found.permille > 0.3 * px


def test_a_clip_that_is_lighter_than_its_source_is_not_bent() -> None:
    lighter = [cv2.convertScaleAbs(frame, alpha=1.15, beta=12) for frame in room()]
    found = against(coded([np.asarray(frame, np.uint8) for frame in lighter]), room())
    assert found is not None
    assert found.permille < 0.25


def test_one_moment_that_was_not_the_same_bends_nothing() -> None:
    frames = coded(room())
    frames[PLACES[3]] = bent([frames[PLACES[3]]], 3.0, swinging=False)[0]
    found = against(frames, room())
    assert found is not None
    assert found.permille < 0.35


def test_what_breathes_in_the_source_as_well_is_no_fault() -> None:
    found = against(coded(bent(room(), 2.5)), bent(room(), 2.5))
    assert found is not None
    assert found.permille < 0.25


def test_a_lens_that_bends_every_picture_alike_is_no_breathing() -> None:
    found = against(coded(bent(room(dancing=False), 1.5, swinging=False)), room(dancing=False))
    assert found is not None
    assert found.permille < 0.4


def test_a_camera_that_was_steadied_and_zoomed_is_no_bend() -> None:
    rng = np.random.default_rng(4)
    steadied = []
    for frame in room():
        dx, dy, turn = *rng.normal(0, 3, 2), rng.normal(0, 0.4)
        matrix = cv2.getRotationMatrix2D((SIZE[0] / 2, SIZE[1] / 2), turn, 1.06)
        matrix[:, 2] += dx, dy
        moved = cv2.warpAffine(frame, matrix, SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        steadied.append(np.asarray(moved, np.uint8))
    found = against(coded(steadied), room())
    assert found is not None
    assert found.permille < 0.35


@pytest.mark.parametrize("late", [1, 2, 5])
def test_pictures_that_come_late_are_another_moment_and_not_bent(late: int) -> None:
    found = against(coded(room()), room(), late)
    assert found is None or found.permille < 0.35


def test_colours_that_were_turned_are_left_out() -> None:
    changed = room()
    other = turned(changed, 60)
    for one, after in zip(changed, other, strict=True):
        one[:, 180:] = after[:, 180:]
    found = against(coded(changed), room())
    assert found is None or found.permille < 0.45


def test_few_moments_or_a_plain_wall_say_nothing() -> None:
    assert bend_of([], {}) is None
    wall = [np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)] * FRAMES
    assert against(wall, wall) is None


def test_a_clip_is_held_against_its_source_and_alone_it_is_not(clip_of: Writer, judge: Judge) -> None:
    source, clip = clip_of(room()), clip_of(bent(room(), 1.5))
    found = judge(clip, "background_stability", source=source)["background_stability"]
    assert found.raw["bend_permille"] > 0.7
    assert (found.score or 0) < 0.7
    assert "against the source" in found.reason
    same = judge(source, "background_stability", source=clip_of(coded(room())))["background_stability"]
    assert same.raw["bend_permille"] < 0.3
    assert "bend_permille" not in judge(clip, "background_stability")["background_stability"].raw
