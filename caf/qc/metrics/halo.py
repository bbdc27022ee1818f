"""Lines that a clip has and its source has not: a halo, wherever the outline runs that it was drawn along.

What coding, sharpening or a step of a frame leave of a difference is everywhere, and points both ways. A halo is a
long thin line of one colour, and it is nearly all of the difference.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.frames import Image, shrink_to_area
from caf.qc.metrics.scoring import calibrate

__all__ = ["AddedLine", "added_line"]

_AREA_PX = 130_000
_BLUR_PX = 1.5
_VISIBLE_LAB = 3.0
_WIDEST_PX = 11
_LEAST_WIDTH, _LEAST_HEIGHT = 0.1, 0.2
"""Of the picture's short side: a line of text is wide and not tall."""
_MOST_FILLED = 0.42
"""Share of its box that a line fills: halos 0.07 to 0.32, lines of words above each other 0.45 to 0.69."""
_ONE_COLOUR = 0.7
_NEARLY_ALL = ((0.1, 0.0), (0.4, 1.0))
"""Shares of the difference: below the first it is no halo, from the second on it counts in full. The outline of a
part with other colours holds 0.01 to 0.06 of the difference, a halo 0.66 to 0.9."""
# Correlation of the tones of nine tenths of the picture; a picture that moved by two pixels has less.
_SAME_PICTURE = 0.98
_LINE_PX = 3.0

Floats = NDArray[np.float32]


class AddedLine(NamedTuple):
    """What a clip adds to one picture of its source in lines."""

    lab: float
    """CIE L*a*b* distance, as a line 3 px wide around what it encloses would have it; 0 for no line."""
    share: float
    """Of the whole difference that can be seen, 0..1."""


def added_line(clip: Image, source: Image) -> AddedLine | None:
    """Two pictures (H, W, 3) uint8 BGR of the same size; None where they are not the same picture."""
    here, there = _lab(clip), _lab(source)
    if not _same(here[..., 0], there[..., 0]):
        return None
    difference = np.asarray(cv2.GaussianBlur(here - there, (0, 0), _BLUR_PX), dtype=np.float32)
    size = np.asarray(np.linalg.norm(difference, axis=2), dtype=np.float32)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_WIDEST_PX, _WIDEST_PX))
    thin = size - np.asarray(cv2.morphologyEx(size, cv2.MORPH_OPEN, kernel), dtype=np.float32)
    total = float(size[size > _VISIBLE_LAB].sum())
    line, around_px = _lines(thin, difference)
    if around_px == 0 or total == 0:
        return AddedLine(0.0, 0.0)
    share = min(1.0, line / total)
    return AddedLine(line / (around_px * _LINE_PX) * calibrate(share, _NEARLY_ALL), share)


def _lab(image: Image) -> Floats:
    small = shrink_to_area(image, _AREA_PX).astype(np.float32) / np.float32(255)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2LAB), dtype=np.float32)


def _same(one: Floats, other: Floats) -> bool:
    """Whether nine tenths of the two are the same picture: a caption, bars or a broad halo are no other one."""
    a, b = (np.asarray(cv2.blur(tone, (3, 3)), dtype=np.float64)[::2, ::2].ravel() for tone in (one, other))
    apart = np.abs((a - np.median(a)) - (b - np.median(b)))
    kept = apart <= np.percentile(apart, 90)
    a, b = a[kept] - a[kept].mean(), b[kept] - b[kept].mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return spread > 0 and float(a @ b) >= _SAME_PICTURE * spread


def _lines(thin: Floats, difference: Floats) -> tuple[float, float]:
    """The sum of all lines' differences, and the way around the boxes that hold them, px."""
    on = (thin > _VISIBLE_LAB).astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(cv2.dilate(on, np.ones((3, 3), np.uint8)))
    side = min(thin.shape)
    line = around_px = 0.0
    for label in range(1, count):
        x, y, width, height = (int(value) for value in boxes[label][:4])
        if width < _LEAST_WIDTH * side or height < _LEAST_HEIGHT * side:
            continue
        place = (slice(y, y + height), slice(x, x + width))
        piece = (labels[place] == label) & (on[place] > 0)
        colours = difference[place][piece]
        if np.linalg.norm(colours.sum(axis=0)) < _ONE_COLOUR * np.linalg.norm(colours, axis=1).sum():
            continue
        if piece.mean() > _MOST_FILLED:
            continue
        line += float(thin[place][piece].sum())
        around_px += 2 * (width + height)
    return line, around_px
