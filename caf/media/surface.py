"""What a plot is drawn on: pixels (PNG) or text (SVG), by the same calls.

Places are (x, y) in pixels from the top left, colours (red, green, blue) in 0..255. The same calls give the same
bytes.
"""

from collections.abc import Sequence
from typing import Final, Literal, Protocol
from xml.sax.saxutils import escape

import cv2
import numpy as np

from caf.errors import MediaError
from caf.media.outputs import PlotForm

__all__ = ["Anchor", "Colour", "Place", "Raster", "Surface", "Vector", "surface"]

Place = tuple[float, float]
Colour = tuple[int, int, int]
Anchor = Literal["start", "middle", "end"]

_SUBPIXEL_BITS: Final = 4
_EM_PX: Final = 28.0
"""The height of a line that OpenCV's plain font has at scale 1, as a typesetter counts it."""


class Surface(Protocol):
    """A white sheet of a fixed size."""

    def line(self, points: Sequence[Place], colour: Colour, *, width: float = 1.0) -> None:
        """A line through all points."""

    def area(self, corner: Place, opposite: Place, colour: Colour) -> None:
        """A filled rectangle, at least a pixel wide and high."""

    def dot(self, centre: Place, radius: float, colour: Colour, *, hollow: bool = False) -> None:
        """A disc; hollow: a white one with a rim of the colour."""

    def text(
        self, words: str, place: Place, colour: Colour, *, size: float = 14.0, anchor: Anchor = "start"
    ) -> None:
        """Words on a baseline; `anchor` says which end of them is at `place`."""

    def encoded(self) -> bytes:
        """The picture as a file's content. Raises `MediaError` where it cannot be coded."""


def surface(form: PlotForm, size: tuple[int, int], title: str) -> Surface:
    """A sheet of `size` (width, height); `title` is what it shows, in words, where the form can carry them."""
    return Raster(size) if form == "png" else Vector(size, title)


class Raster:
    """Pixels, drawn by OpenCV; a PNG."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._image = np.full((size[1], size[0], 3), 255, np.uint8)

    def line(self, points: Sequence[Place], colour: Colour, *, width: float = 1.0) -> None:
        path = (np.asarray(points, np.float64) * 2**_SUBPIXEL_BITS).round().astype(np.int32).reshape(-1, 1, 2)
        thickness = max(1, round(width))
        cv2.polylines(self._image, [path], False, colour[::-1], thickness, cv2.LINE_AA, _SUBPIXEL_BITS)

    def area(self, corner: Place, opposite: Place, colour: Colour) -> None:
        (left, right), (top, bottom) = (
            sorted(map(round, pair)) for pair in zip(corner, opposite, strict=True)
        )
        last = (max(left, right - 1), max(top, bottom - 1))
        cv2.rectangle(self._image, (left, top), last, colour[::-1], -1)

    def dot(self, centre: Place, radius: float, colour: Colour, *, hollow: bool = False) -> None:
        place = (round(centre[0] * 2**_SUBPIXEL_BITS), round(centre[1] * 2**_SUBPIXEL_BITS))
        reach = round(radius * 2**_SUBPIXEL_BITS)
        inner = (255, 255, 255) if hollow else colour[::-1]
        cv2.circle(self._image, place, reach, inner, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
        if hollow:
            cv2.circle(self._image, place, reach, colour[::-1], 2, cv2.LINE_AA, _SUBPIXEL_BITS)

    def text(
        self, words: str, place: Place, colour: Colour, *, size: float = 14.0, anchor: Anchor = "start"
    ) -> None:
        scale = size / _EM_PX
        (width, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        left = place[0] - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
        at = (round(left), round(place[1]))
        cv2.putText(self._image, words, at, cv2.FONT_HERSHEY_SIMPLEX, scale, colour[::-1], 1, cv2.LINE_AA)

    def encoded(self) -> bytes:
        ok, content = cv2.imencode(".png", self._image)
        if not ok:
            raise MediaError(
                "The picture could not be coded.", remedy="Give fewer metrics.", kind="not_coded"
            )
        return content.tobytes()


class Vector:
    """Shapes and words as text; an SVG 1.1 that is as sharp at any size."""

    def __init__(self, size: tuple[int, int], title: str) -> None:
        width, height = size
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" font-family="sans-serif" role="img">',
            f"<title>{_clean(title)}</title>",
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            # A pixel's place is its middle, as OpenCV has it: a line one pixel wide fills one row.
            '<g transform="translate(0.5 0.5)">',
        ]

    def line(self, points: Sequence[Place], colour: Colour, *, width: float = 1.0) -> None:
        path = " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{_hex(colour)}" stroke-width="{_short(width)}"'
            ' stroke-linejoin="round"/>'
        )

    def area(self, corner: Place, opposite: Place, colour: Colour) -> None:
        (left, right), (top, bottom) = (sorted(pair) for pair in zip(corner, opposite, strict=True))
        self._parts.append(
            f'<rect x="{_short(left - 0.5)}" y="{_short(top - 0.5)}" width="{_short(max(1.0, right - left))}"'
            f' height="{_short(max(1.0, bottom - top))}" fill="{_hex(colour)}"/>'
        )

    def dot(self, centre: Place, radius: float, colour: Colour, *, hollow: bool = False) -> None:
        look = (
            f'fill="#ffffff" stroke="{_hex(colour)}" stroke-width="2"' if hollow else f'fill="{_hex(colour)}"'
        )
        self._parts.append(
            f'<circle cx="{_short(centre[0])}" cy="{_short(centre[1])}" r="{_short(radius)}" {look}/>'
        )

    def text(
        self, words: str, place: Place, colour: Colour, *, size: float = 14.0, anchor: Anchor = "start"
    ) -> None:
        self._parts.append(
            f'<text x="{_short(place[0])}" y="{_short(place[1])}" font-size="{_short(size)}"'
            f' fill="{_hex(colour)}" text-anchor="{anchor}">{_clean(words)}</text>'
        )

    def encoded(self) -> bytes:
        return "\n".join([*self._parts, "</g>", "</svg>", ""]).encode()


def _short(number: float) -> str:
    """A coordinate to a hundredth of a pixel."""
    text = f"{number:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _clean(words: str) -> str:
    """Words as XML can hold them: what no document may contain becomes the sign for a letter that was lost."""
    return escape("".join(letter if _is_allowed(ord(letter)) else "\ufffd" for letter in words))


def _is_allowed(code: int) -> bool:
    """Source: XML 1.0, production 2 (Char)."""
    return code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
