"""Rings drawn around figures, in a clip alone: wherever they are, and what only looks like one."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from caf.qc.metrics.frames import seen_image
from caf.qc.metrics.ring import drawn_rings, lasting_lab
from caf.qc.metrics.samples import Sample, sample_of
from caf.qc.metrics.strokes import strokes_of
from tests.qc.conftest import Scores
from tests.qc.metric_clips import Image, picture

Judge = Callable[..., Scores]
Writer = Callable[..., str]
Colour = tuple[int, int, int]

SIZE = (480, 270)
MOMENTS = 6


def room(seed: int = 5) -> Image:
    """A wall of changing colours with pictures in frames on it, and a floor."""
    rng = np.random.default_rng(seed)
    wall = np.full((SIZE[1], SIZE[0], 3), 128, np.float32)
    for cell, weight in ((90, 40), (24, 12), (6, 5)):
        grid = rng.normal(size=(SIZE[1] // cell + 2, SIZE[0] // cell + 2, 3)).astype(np.float32)
        wall += weight * cv2.resize(grid, SIZE, interpolation=cv2.INTER_CUBIC)
    out = np.clip(wall, 20, 235).astype(np.uint8)
    cv2.rectangle(out, (30, 30), (120, 110), (60, 220, 80), 2, cv2.LINE_AA)
    cv2.rectangle(out, (390, 40), (450, 130), (240, 240, 240), 3, cv2.LINE_AA)
    out[225:] = (out[225:] * 0.6).astype(np.uint8)
    return out


def figure(moment: int, size: float = 1.0) -> Image:
    """(H, W) where a figure without a face is, that sways and swings its arms."""
    mask = np.zeros((SIZE[1], SIZE[0]), np.uint8)
    x, y = 240 + round(35 * np.sin(1.3 * moment)), 150
    cv2.ellipse(mask, (x, y), (round(28 * size), round(62 * size)), 4 * (moment % 3 - 1), 0, 360, 1, -1)
    cv2.circle(mask, (x + 4 * (moment % 3 - 1), y - round(75 * size)), round(24 * size), 1, -1)
    for side in (-1, 1):
        angle = 0.9 + 0.5 * np.sin(2 * moment + side)
        hand = (x + round(side * 75 * size * np.sin(angle)), y - round(30 * size - 60 * size * np.cos(angle)))
        cv2.line(mask, (x, y - round(30 * size)), hand, 1, round(16 * size))
    return mask


def standing(moment: int, size: float = 1.0) -> tuple[Image, Image]:
    """The room with the figure in it, and where it is; its cloth has folds and buttons."""
    out, mask = room(), figure(moment, size)
    cloth = np.full_like(out, (150, 70, 60))
    for fold in range(0, SIZE[0], 17):
        cv2.line(cloth, (fold, 0), (fold + 40, SIZE[1]), (120, 50, 45), 3, cv2.LINE_AA)
    out[mask > 0] = cloth[mask > 0]
    return out, mask


def ringed(
    moment: int,
    colour: Colour,
    width_px: int = 3,
    opacity: float = 0.6,
    broken: bool = False,
    size: float = 1.0,
) -> Image:
    out, mask = standing(moment, size)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width_px + 1, 2 * width_px + 1))
    ring = (cv2.dilate(mask, kernel) - mask).astype(np.float32)
    if broken:
        for row in range(40, SIZE[1], 60):
            ring[row : row + 5] = 0
    cover = cv2.GaussianBlur(ring, (3, 3), 0)[..., None] * opacity
    return np.asarray(out * (1 - cover) + np.array(colour) * cover, dtype=np.uint8)


def samples(pictures: list[Image]) -> list[Sample]:
    return [sample_of(seen_image(at, at / 2, one)) for at, one in enumerate(pictures)]


def drawn(pictures: list[Image]) -> float:
    return lasting_lab([lab for lab, _ in drawn_rings(samples(pictures))])


@pytest.mark.parametrize(
    ("colour", "broken"),
    [((255, 255, 255), False), ((80, 255, 80), False), ((255, 200, 40), False), ((80, 255, 80), True)],
)
def test_a_ring_around_a_figure_without_a_face_is_seen_also_where_it_is_broken(
    colour: Colour, broken: bool
) -> None:
    assert drawn([ringed(moment, colour, broken=broken) for moment in range(MOMENTS)]) > 3


@pytest.mark.parametrize(("width_px", "opacity"), [(2, 0.35), (2, 0.5), (3, 0.35)])
def test_a_ring_that_is_faint_and_thin_counts_already_and_nothing_of_a_clean_outline_does(
    width_px: int, opacity: float
) -> None:
    assert drawn([ringed(moment, (255, 255, 255), width_px, opacity) for moment in range(MOMENTS)]) > 1.3
    assert drawn([standing(moment)[0] for moment in range(MOMENTS)]) < 0.1


def test_what_looks_like_a_ring_in_one_moment_counts_little_and_a_faint_ring_in_half_of_them_more() -> None:
    assert lasting_lab([0.0, 0.0, 0.0, 8.0]) == 1.0
    assert lasting_lab([0.0, 0.0, 4.0, 4.0]) == 2.0
    assert lasting_lab([9.0]) == 0.0


def test_a_ring_around_a_small_figure_is_seen() -> None:
    assert drawn([ringed(moment, (80, 255, 80), size=0.55) for moment in range(MOMENTS)]) > 3


def test_the_same_figure_without_a_ring_has_none_and_neither_have_frames_on_the_wall() -> None:
    assert drawn([standing(moment)[0] for moment in range(MOMENTS)]) < 0.6


def test_frames_on_the_wall_are_no_rings_while_the_camera_moves() -> None:
    moved = [np.roll(room(), (3 * moment, 17 * moment), (0, 1)) for moment in range(MOMENTS)]
    assert drawn(moved) < 1


def worded(moment: int, size: float, thick: int, outlined: bool) -> Image:
    out = standing(moment)[0]
    words = ("Look", "again", "meow!", "Cats", "dance", "SOON")[moment]
    if outlined:
        cv2.putText(
            out, words, (20, 200), cv2.FONT_HERSHEY_DUPLEX, size, (10, 10, 10), thick + 6, cv2.LINE_AA
        )
    cv2.putText(out, words, (20, 200), cv2.FONT_HERSHEY_DUPLEX, size, (60, 230, 250), thick, cv2.LINE_AA)
    return out


@pytest.mark.parametrize("size", [1.0, 2.0, 3.5])
@pytest.mark.parametrize(("thick", "outlined"), [(2, False), (4, True), (9, False)])
def test_words_that_change_are_no_rings(size: float, thick: int, outlined: bool) -> None:
    assert drawn([worded(moment, size, thick, outlined) for moment in range(MOMENTS)]) < 1.3


def cartoon(moment: int) -> Image:
    out = np.full((SIZE[1], SIZE[0], 3), (225, 215, 170), np.uint8)
    cv2.rectangle(out, (0, 210), SIZE, (120, 190, 120), -1)
    mask = figure(moment)
    out[mask > 0] = (90, 170, 240)
    lines, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(out, lines, -1, (20, 20, 20), 3, cv2.LINE_AA)
    return out


def test_the_dark_outline_of_a_drawn_figure_is_no_ring_of_foreign_colour() -> None:
    assert drawn([cartoon(moment) for moment in range(MOMENTS)]) < 1.3


def cabled(moment: int) -> Image:
    """A red cable that swings in front of the wall: the same is on both sides of it."""
    out = room()
    t = np.linspace(0, np.pi, 60)
    y = 60 + (90 + 15 * np.sin(moment)) * np.sin(t)
    points = np.column_stack([130 + 200 * t / np.pi + 10 * np.cos(moment), y]).round().astype(np.int32)
    cv2.polylines(out, [points], False, (40, 40, 220), 3, cv2.LINE_AA)
    return out


def test_a_cable_is_no_ring() -> None:
    assert drawn([cabled(moment) for moment in range(MOMENTS)]) < 0.6


def test_sharpening_makes_no_ring() -> None:
    sharp = []
    for moment in range(MOMENTS):
        one = standing(moment)[0].astype(np.float32)
        strong = one + 1.0 * (one - cv2.GaussianBlur(one, (0, 0), 1.5))
        sharp.append(np.clip(strong, 0, 255).astype(np.uint8))
    assert drawn(sharp) < 1.3


def test_a_real_cat_has_no_ring() -> None:
    cat = picture("chelsea")
    assert drawn([np.ascontiguousarray(cat[: 250 + moment, 8 * moment :]) for moment in range(MOMENTS)]) < 0.6


def test_a_picture_of_one_colour_has_no_strokes() -> None:
    flat = np.full((270, 480, 3), 90, np.uint8)
    assert len(strokes_of(flat).places) == 0
    assert drawn([flat] * 3) == 0


def test_several_workers_find_the_same_rings() -> None:
    found = samples([ringed(moment, (80, 255, 80)) for moment in range(MOMENTS)])
    assert drawn_rings(found, workers=3) == drawn_rings(found)


def test_a_clip_fails_for_a_ring_around_a_figure_that_nobody_finds(clip_of: Writer, judge: Judge) -> None:
    def score(ring: bool) -> float | None:
        frames = [
            ringed(at // 6, (80, 255, 80)) if ring else standing(at // 6)[0] for at in range(6 * MOMENTS)
        ]
        found = judge(clip_of(frames), "mask_edge_bleed")["mask_edge_bleed"]
        assert not ring or "is drawn around" in found.reason
        return found.score

    assert (score(ring=True) or 0) < 0.6
    clean = score(ring=False)
    assert clean is None or clean >= 0.6
