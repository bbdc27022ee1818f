"""One drawing, as pixels and as text."""

from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from caf.media.outputs import PlotForm
from caf.media.surface import Anchor, Raster, Surface, Vector, surface

SVG = "{http://www.w3.org/2000/svg}"
RED, BLUE, INK = (200, 0, 0), (0, 0, 200), (0, 0, 0)
SIZE = (160, 80)


def drawn(on: Surface) -> bytes:
    on.area((10, 10), (30, 20), RED)
    on.line([(10, 40), (60, 40), (60, 70)], BLUE, width=2)
    on.dot((90, 40), 5, RED)
    on.dot((90, 60), 5, BLUE, hollow=True)
    on.text("x < y & z", (158, 20), INK, anchor="end")
    return on.encoded()


def pixels(png: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) RGB."""
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image[:, :, ::-1], np.uint8)


def elements(svg: bytes, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg.decode()).iter(f"{SVG}{tag}"))


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_same_calls_give_the_same_bytes(form: PlotForm) -> None:
    assert drawn(surface(form, SIZE, "a test")) == drawn(surface(form, SIZE, "a test"))


def test_the_ending_s_form_is_what_is_written() -> None:
    assert drawn(surface("png", SIZE, "a test")).startswith(b"\x89PNG")
    assert drawn(surface("svg", SIZE, "a test")).startswith(b"<svg ")


def test_pixels_are_where_they_were_asked_for() -> None:
    image = pixels(drawn(Raster(SIZE)))
    assert image.shape == (80, 160, 3)
    for (x, y), colour in {
        (10, 10): RED, (29, 19): RED, (30, 20): (255, 255, 255), (30, 40): BLUE, (60, 60): BLUE,
        (90, 40): RED, (90, 60): (255, 255, 255), (95, 60): BLUE,
    }.items():  # fmt: skip
        assert tuple(image[y, x]) == colour, (x, y)


def test_a_drawing_as_text_has_the_same_shapes_at_the_same_places() -> None:
    svg = drawn(Vector(SIZE, "a test"))
    paper, area = elements(svg, "rect")
    assert (paper.get("width"), paper.get("height")) == ("160", "80")
    assert [area.get(name) for name in ("x", "y", "width", "height", "fill")] == [
        "9.5", "9.5", "20", "10", "#c80000",
    ]  # fmt: skip
    (line,) = elements(svg, "polyline")
    assert line.get("points") == "10,40 60,40 60,70"
    full, hollow = elements(svg, "circle")
    assert (full.get("cx"), full.get("cy"), full.get("fill")) == ("90", "40", "#c80000")
    assert (hollow.get("fill"), hollow.get("stroke")) == ("#ffffff", "#0000c8")


def test_a_drawing_as_text_scales_and_says_what_it_shows_in_plain_letters() -> None:
    svg = drawn(Vector(SIZE, "scores & series"))
    root = ElementTree.fromstring(svg.decode())
    assert root.get("viewBox") == "0 0 160 80"
    assert root.get("font-family") == "sans-serif"
    assert [one.text for one in elements(svg, "title")] == ["scores & series"]
    (words,) = elements(svg, "text")
    assert (words.text, words.get("text-anchor")) == ("x < y & z", "end")


def test_words_end_where_they_were_told_to() -> None:
    reach: dict[Anchor, tuple[int, int]] = {"start": (59, 119), "middle": (30, 90), "end": (0, 60)}
    for anchor, (left, right) in reach.items():
        on = Raster(SIZE)
        on.text("mmmm", (60, 40), INK, anchor=anchor)
        dark = np.flatnonzero((pixels(on.encoded()) < 128).all(axis=2).any(axis=0))
        assert left <= dark.min() < dark.max() <= right
        assert abs((dark.min() + dark.max()) / 2 - (left + right) / 2) <= 3


@given(st.text(st.characters(), max_size=40))
def test_any_words_leave_a_drawing_as_text_well_formed(words: str) -> None:
    on = Vector(SIZE, words)
    on.text(words, (0, 0), INK)
    root = ElementTree.fromstring(on.encoded().decode())
    assert root.tag == f"{SVG}svg"


def test_a_stretch_of_no_width_is_still_seen() -> None:
    flat = Raster(SIZE)
    flat.area((10.2, 10), (10.3, 20), RED)
    assert tuple(pixels(flat.encoded())[15, 10]) == RED
    thin = Vector(SIZE, "")
    thin.area((10.2, 10), (10.3, 20), RED)
    assert elements(thin.encoded(), "rect")[1].get("width") == "1"
