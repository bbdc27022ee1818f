"""Thin strokes of one colour in a picture: where it is of a colour that lies outside of those on both sides.

Across a natural outline the colours go from the one side's to the other's. A point of a stroke has a third colour, and
its neighbours along the stroke have the same one, however much the sides change there.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.frames import Image

__all__ = ["Strokes", "strokes_of"]

_SIDE_PX = 4
"""So far away from a point its two sides are looked at: strokes up to some 6 px wide stand out."""
_ACROSS = ((0, 4), (3, 3), (4, 0), (3, -3))
_NEXT = ((0, 1), (1, 1), (1, 0), (1, -1))
_EDGE_PX = 6
_LEAST_LEVELS = 4
"""Of 8 bits, lightness at 100 of 255 and both colours added up."""
_MOST_POINTS = 9_000
"""Of fewer the strongest: in a picture full of texture only what stands out of it is a stroke."""
_ALIKE = 0.4
_STRONGEST_LAB = 40.0
_TURNED = 0.5
"""Cosine between two points' colours."""
_GAP_PX = 7
_LEAST_BRIDGED = 7
"""Points of a piece that may go on beyond a gap."""
_SCALE = np.array([100 / 255, 1, 1], dtype=np.float32)
_GAPS = [
    (down, right)
    for down in range(_GAP_PX + 1)
    for right in range(-_GAP_PX, _GAP_PX + 1)
    if (down, right) > (0, 0) and 1 < down * down + right * right <= _GAP_PX * _GAP_PX
]

Floats = NDArray[np.float32]
Places = NDArray[np.int64]
Levels = NDArray[np.uint8]


class Strokes(NamedTuple):
    """The points of all strokes of one picture, in reading order; CIE L*a*b* units."""

    shape: tuple[int, int]
    places: Places
    """(N,) row by row."""
    colours: Floats
    """(N, 3) how far outside of what both sides' colours span."""
    between: Floats
    """(N, 3) the nearest colour that is not."""
    apart: Floats
    """(N,) how far the two sides' colours are from each other."""
    stroke: Places
    """(N,) points with the same number belong together."""


def strokes_of(image: Image) -> Strokes:
    """`image` (H, W, 3) BGR, some 130,000 pixels."""
    shape = (image.shape[0], image.shape[1])
    places, colours, between, apart = _points(image)
    near = _pairs(places, np.arange(len(places)), [(0, 1), (1, -1), (1, 0), (1, 1)], shape, colours, between)
    stroke = _joined(places, near, shape)
    if len(places):
        stroke = _bridged(places, near, stroke, shape, colours, between)
    return Strokes(shape, places, colours, between, apart, stroke)


def _points(image: Image) -> tuple[Places, Floats, Floats, Floats]:
    height, width = image.shape[:2]
    soft = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_BGR2LAB), (3, 3), 0)
    wide = cv2.copyMakeBorder(
        cv2.blur(soft, (3, 3)), _SIDE_PX, _SIDE_PX, _SIDE_PX, _SIDE_PX, cv2.BORDER_REPLICATE
    )

    def moved(picture: Levels, margin: int, down: int, right: int) -> Levels:
        rows = slice(margin + down, margin + down + height)
        return picture[rows, margin + right : margin + right + width]

    sides = [
        (moved(wide, _SIDE_PX, down, right), moved(wide, _SIDE_PX, -down, -right)) for down, right in _ACROSS
    ]
    above = [cv2.subtract(soft, cv2.max(one, other)) for one, other in sides]
    below = [cv2.subtract(cv2.min(one, other), soft) for one, other in sides]
    weight = _SCALE.reshape(1, 3)
    size = [cv2.transform(cv2.add(up, down), weight) for up, down in zip(above, below, strict=True)]
    most = cv2.max(cv2.max(size[0], size[1]), cv2.max(size[2], size[3]))
    inner = np.zeros((height, width), np.uint8)
    inner[_EDGE_PX : height - _EDGE_PX, _EDGE_PX : width - _EDGE_PX] = 255
    inner &= cv2.compare(most, _LEAST_LEVELS, cv2.CMP_GE)
    found = []
    for one, (down, right) in zip(size, _NEXT, strict=True):
        around = cv2.copyMakeBorder(one, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        peak = cv2.compare(one, most, cv2.CMP_EQ) & inner
        peak &= cv2.compare(one, moved(around, 1, down, right), cv2.CMP_GE)
        peak &= cv2.compare(one, moved(around, 1, -down, -right), cv2.CMP_GT)
        inner &= ~peak
        found.append(np.flatnonzero(peak))
    levels = most.ravel()
    counts = np.bincount(levels[np.concatenate(found)], minlength=257)
    least = int(np.argmax(np.cumsum(counts[::-1])[::-1] <= _MOST_POINTS))
    found = [these[levels[these] >= least] for these in found]
    places = np.concatenate(found)

    def gathered(pictures: list[Levels]) -> Floats:
        parts = [picture.reshape(-1, 3)[these] for picture, these in zip(pictures, found, strict=True)]
        return np.concatenate(parts).astype(np.float32) * _SCALE

    colours = gathered(above) - gathered(below)
    between = soft.reshape(-1, 3)[places].astype(np.float32) * _SCALE - colours
    apart = gathered([cv2.absdiff(one, other) for one, other in sides])
    order = np.argsort(places, kind="stable")
    return places[order], colours[order], between[order], np.linalg.norm(apart[order], axis=1)


def _pairs(
    places: Places,
    some: Places,
    offsets: list[tuple[int, int]],
    shape: tuple[int, int],
    colours: Floats,
    between: Floats,
) -> tuple[Places, Places]:
    """Which of `some` points are so far from each other and alike: what they cover shifts the colour, nothing else."""
    width = shape[1]
    at = np.full(shape[0] * width + (_GAP_PX + 1) * (width + 1), -1, dtype=np.int32)
    at[places[some]] = some
    steps = np.array([down * width + right for down, right in offsets])
    other = at[places[some][:, None] + steps]
    here, which = np.nonzero(other >= 0)
    one, two = some[here], other[here, which].astype(np.int64)
    size = np.sqrt(np.einsum("ij,ij->i", colours, colours))
    larger = np.minimum(np.maximum(size[one], size[two]), np.float32(_STRONGEST_LAB))
    same_way = np.einsum("ij,ij->i", colours[one], colours[two]) > _TURNED * size[one] * size[two]
    one, two, larger = one[same_way], two[same_way], larger[same_way]
    covered = between[one] - between[two]
    seen = covered + colours[one] - colours[two]
    length = np.maximum(np.einsum("ij,ij->i", covered, covered), np.float32(1e-3))
    share = np.clip(np.einsum("ij,ij->i", seen, covered) / length, 0, 1)
    off = seen - share[:, None] * covered
    alike = np.einsum("ij,ij->i", off, off) <= (_ALIKE * larger) ** 2
    return one[alike], two[alike]


def _joined(places: Places, pairs: tuple[Places, Places], shape: tuple[int, int]) -> Places:
    """(N,) numbers of the pieces that pairs of neighbours make, drawn in twice the size: points, and links between."""
    height, width = shape
    drawn = np.zeros((2 * height, 2 * width), np.uint8)
    rows, columns = np.divmod(places, width)
    drawn[2 * rows, 2 * columns] = 1
    one, two = pairs
    drawn[rows[one] + rows[two], columns[one] + columns[two]] = 1
    _, labels = cv2.connectedComponents(drawn, connectivity=8)
    return np.asarray(labels[2 * rows, 2 * columns], dtype=np.int64)


def _bridged(
    places: Places,
    near: tuple[Places, Places],
    stroke: Places,
    shape: tuple[int, int],
    colours: Floats,
    between: Floats,
) -> Places:
    """Pieces that go on beyond a gap are one stroke."""
    links = np.bincount(near[0], minlength=len(places)) + np.bincount(near[1], minlength=len(places))
    size = np.bincount(stroke)
    ends = np.flatnonzero((links <= 1) & (size[stroke] >= _LEAST_BRIDGED))
    one, two = _pairs(places, ends, _GAPS, shape, colours, between)
    root = list(range(len(size)))

    def of(label: int) -> int:
        while root[label] != label:
            root[label] = root[root[label]]
            label = root[label]
        return label

    for first, second in zip(stroke[one].tolist(), stroke[two].tolist(), strict=True):
        a, b = of(first), of(second)
        root[max(a, b)] = min(a, b)
    return np.array([of(label) for label in range(len(size))], dtype=np.int64)[stroke]
