"""The black bars beside a picture, which stand still whatever the camera does."""

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from caf.media.read import Frame

__all__ = ["View", "view_in"]

_BLACK, _LIT = 24, 48
"""Levels: bars are coded within some levels of black, and sharp edges beside them ring."""
_BLACK_SHARE = 0.99
_LEAST_LEFT = 0.4
"""Of each side; a picture that leaves less is a dark one."""
_FRAMES, _EVERY = 30, 5
_LIT_STEP = 8

Image = NDArray[np.uint8]


class View(NamedTuple):
    """The part of a frame that is no bar, px."""

    left: int
    top: int
    right: int
    bottom: int
    width: int
    """Of the whole frame, as `height`."""
    height: int

    @classmethod
    def whole(cls, width: int, height: int) -> Self:
        """Of a frame without bars."""
        return cls(0, 0, width, height, width, height)

    @property
    def size(self) -> tuple[int, int]:
        return self.right - self.left, self.bottom - self.top

    @property
    def is_whole(self) -> bool:
        return self.size == (self.width, self.height)

    def of(self, image: Image) -> Image:
        """What of the frame (H, W, 3) is in the view; the frame itself where it is the whole."""
        if self.is_whole:
            return image
        return np.ascontiguousarray(image[self.top : self.bottom, self.left : self.right])

    def into(self, image: Image, part: Image) -> Image:
        """The frame with another picture in the view."""
        if self.is_whole:
            return part
        out = image.copy()
        out[self.top : self.bottom, self.left : self.right] = part
        return out

    def box(self, box: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """x0, y0, x1, y1 px of the frame as px of the view."""
        return None if box is None else box - np.array([self.left, self.top, self.left, self.top])

    def is_lit(self, image: Image) -> bool:
        """Whether what was taken for bars shows something."""
        sides = (image[: self.top], image[self.bottom :], image[:, : self.left], image[:, self.right :])
        return any(
            bool(side.size) and float(np.percentile(side[::_LIT_STEP, ::_LIT_STEP], 99)) > _LIT
            for side in sides
        )


def view_in(frames: Iterable[Frame], width: int, height: int) -> View:
    """The view by a clip's first second; the whole frame where there are no bars."""
    rows, columns = np.ones(height, bool), np.ones(width, bool)
    for frame in islice(frames, 0, _FRAMES, _EVERY):
        dark = (frame.image <= _BLACK).all(axis=2)
        rows &= dark.mean(axis=1) >= _BLACK_SHARE
        columns &= dark.mean(axis=0) >= _BLACK_SHARE
        if not (rows[0] or rows[-1] or columns[0] or columns[-1]):
            break
    top, bottom = _inside(rows)
    left, right = _inside(columns)
    if right - left < _LEAST_LEFT * width or bottom - top < _LEAST_LEFT * height:
        return View.whole(width, height)
    return View(left, top, right, bottom, width, height)


def _inside(black: NDArray[np.bool_]) -> tuple[int, int]:
    """From the first line that is not black to behind the last one."""
    shown = np.flatnonzero(~black)
    return (int(shown[0]), int(shown[-1]) + 1) if len(shown) else (0, 0)
