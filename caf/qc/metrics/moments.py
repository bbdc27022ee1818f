"""The same moments in a clip and in its source, and what became of the subject's colours between the two.

Held against its own moment in the source, a subject is compared with itself: same place, same light, same turn of
the head. What is left is what was done to it. That only holds where the two pictures are the same picture, so a
moment whose tones are arranged otherwise (another time, another subject, a moved camera) is left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.appearance import Look, look_of
from caf.qc.metrics.frames import Image, SeenFrame, see
from caf.qc.metrics.mosaic import MosaicCollector
from caf.qc.metrics.samples import Sample, sample_of
from caf.qc.metrics.scene import Kind, Sighting

__all__ = ["Change", "Moment", "changes_of", "same_moments", "turned_deg"]

_CELL_PX = 4
_LATE_S = 0.02
_EARLIER_S = 0.1
_SAME_SHAPE = 0.02
_COLOURLESS = 2.5
"""Mean chroma, CIE L*a*b*: below it a clip is black and white, and its source is compared without colours."""
_FACELESS_SHARE = 0.01
"""Where no face says where the subject is, the whole picture is compared: the area that must have changed."""
_FACE_SHARE, _COLOURED_SHARE = 0.4, 0.3
"""The same area where a face was found, in faces; at most this share of what is coloured around and below it."""
_LEAST_COLOURED_CELLS = 8.0
# Correlation of the tones in and around what changed: the same picture coded again 0.99, with any hues 0.96, a third
# of a second apart 0.1 to 0.8.
_SAME_TONES = 0.75
# Correlation of the tones with what best maps the colours to them: the same picture with any hues 0.79 to 1, another
# moment 0.2 to 0.77.
_SAME_MAPPED = 0.8
_LEAST_MAPPED_CELLS = 100
_RUN_TOGETHER = 0.5
_TOGETHER_CELLS = (5, 5)
"""Over so many cells hues are turned together: what coding does to them points every way."""
_NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Change:
    """The subject at one moment of the clip, and what the source shows in its place."""

    index: int
    time_s: float
    look: Look
    before: Look
    turned_deg: float
    """How far its hues are turned against the source's, over an area of two fifths of its face; 0..180."""


class Moment(NamedTuple):
    """What the source shows at one sample's time, and a tenth of a second before; both in the sample's size."""

    picture: Image
    earlier: Image | None


def same_moments(
    path: str,
    samples: Sequence[Sample],
    beat: Callable[[], None],
    *,
    every: MosaicCollector | None = None,
    until_s: float = 0.0,
) -> dict[int, Moment]:
    """By sample index: what the source shows at that time. Moments it does not have are left out.

    Black and white where the samples are. `every` is shown all frames until then. Calls `beat` with every frame.
    Raises as `see` does.
    """
    waiting = sorted(samples, key=lambda sample: sample.time_s)[::-1]

    def due(time_s: float, before_s: float = 0.0) -> bool:
        beat()
        return bool(waiting) and time_s >= waiting[-1].time_s - _LATE_S - before_s

    found: dict[int, Moment] = {}
    earlier: dict[int, Image] = {}
    grey = _colourless(samples)
    all_until_s = until_s if every is not None else -np.inf

    def wanted(time_s: float) -> bool:
        # One beyond all that is needed shows that there is no more to decode.
        return due(time_s, _EARLIER_S) or time_s <= all_until_s or not waiting

    for frame in see(path, wanted=wanted):
        if every is not None and frame.time_s <= all_until_s:
            every.add(frame)
        if due(frame.time_s, _EARLIER_S) and waiting[-1].index not in earlier and not due(frame.time_s):
            picture = _fitted(frame, waiting[-1])
            if picture is not None:
                earlier[waiting[-1].index] = picture
        while due(frame.time_s):
            sample = waiting.pop()
            picture = _fitted(frame, sample)
            if picture is not None and frame.time_s < sample.time_s + 2 * _LATE_S:
                picture = _greyed(picture) if grey else picture
                found[sample.index] = Moment(picture, earlier.get(sample.index))
        if not waiting and frame.time_s > all_until_s:
            break
    return found


def _fitted(frame: SeenFrame, sample: Sample) -> Image | None:
    height, width = sample.image.shape[:2]
    if abs(frame.luma.shape[1] * height / (frame.luma.shape[0] * width) - 1) > _SAME_SHAPE:
        return None
    small = sample_of(frame).image
    if small.shape[:2] == (height, width):
        return small
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _colourless(samples: Sequence[Sample]) -> bool:
    labs = [_cells(sample.image) for sample in samples]
    return max((float(np.hypot(lab[..., 1], lab[..., 2]).mean()) for lab in labs), default=0.0) < _COLOURLESS


def _greyed(picture: Image) -> Image:
    gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), dtype=np.uint8)


def _cells(image: Image) -> Floats:
    """CIE L*a*b* of cells of 4x4 pixels: coding noise is averaged away."""
    size = (max(1, image.shape[1] // _CELL_PX), max(1, image.shape[0] // _CELL_PX))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2LAB), dtype=np.float32)


def changes_of(
    sightings: Sequence[Sighting], samples: Sequence[Sample], moments: dict[int, Image]
) -> list[Change]:
    """Of those samples whose moment the source has and shows the same picture at, in time order.

    Where the subject was not found, the place of its nearest sighting is compared: it shows the same of both. None
    where less than half of the moments show the same picture: then the two do not run together.
    """
    found, compared = [], 0
    for sample in samples:
        before = moments.get(sample.index)
        near = min(sightings, key=lambda seen: abs(seen.sample.index - sample.index), default=None)
        if before is None or near is None:
            continue
        looks = look_of(sample.image, near.box), look_of(before, near.box)
        if looks[0] is not None and looks[1] is not None:
            compared += 1
            turn = turned_deg(Sighting(sample, near.box, looks[0], near.kind), before)
            if turn is not None:
                found.append(Change(sample.index, sample.time_s, looks[0], looks[1], turn))
    return found if len(found) >= _RUN_TOGETHER * compared else []


def turned_deg(seen: Sighting, before: Image) -> float | None:
    """The angle that the hues of an area of two fifths of the face are turned by at least; 0 without any colour.

    None where the two do not show the same picture there. Each cell is held against the nearest hue among its
    neighbours, so that a step of a frame more or less does not count.
    """
    left, top, right, bottom = _region(seen)
    here, there = _cells(seen.sample.image), _cells(before)
    turn, weight = _angles(here, there)
    weight = weight * _unburnt(seen.sample.image) * _unburnt(before)
    inside = np.zeros(weight.shape, dtype=bool)
    inside[top:bottom, left:right] = True
    weight = np.where(inside, weight, np.float32(0))
    coloured = float(weight.sum())
    if coloured < _LEAST_COLOURED_CELLS:
        return 0.0 if _alike(here, there, inside) else None
    angle = _together(turn, weight)
    order = np.argsort(-angle, axis=None, kind="stable")
    reached = np.cumsum(weight.ravel()[order])
    place = int(np.searchsorted(reached, min(_area_cells(seen), _COLOURED_SHARE * coloured)))
    turned = float(angle.ravel()[order[min(place, len(order) - 1)]])
    changed = (angle >= turned) & (weight > 0)
    around = cv2.dilate(changed.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0
    return turned if _alike(here, there, around) else None


def _area_cells(seen: Sighting) -> float:
    if seen.kind is Kind.GUESS:
        height, width = seen.sample.image.shape[:2]
        return float(_FACELESS_SHARE * height * width) / _CELL_PX**2
    return float(_FACE_SHARE * seen.box.w * seen.box.h) / _CELL_PX**2


def _region(seen: Sighting) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in cells: the face and the body below it, or the whole picture."""
    height, width = (side // _CELL_PX for side in seen.sample.image.shape[:2])
    if seen.kind is Kind.GUESS:
        return 0, 0, width, height
    x, y, w, h = (value / _CELL_PX for value in seen.box)
    left, right = max(0, int(x - 0.5 * w)), min(width, int(x + 1.5 * w))
    top, bottom = max(0, int(y - 0.5 * h)), min(height, int(y + 3.2 * h))
    return left, top, right, bottom


def _angles(here: Floats, there: Floats) -> tuple[Floats, Floats]:
    """(H, W) radians from the one hue to the other, signed, and how much colour both have to tell them by, 0..1."""
    hue, before = _relative(here), _relative(there)
    size = np.hypot(hue[..., 0], hue[..., 1])
    nearest = np.full(size.shape, -1, dtype=np.float32)
    aside = np.zeros(size.shape, dtype=np.float32)
    for dy, dx in _NEIGHBOURS:
        other = np.roll(before, (dy, dx), axis=(0, 1))
        length = np.maximum(size * np.hypot(other[..., 0], other[..., 1]), 1e-6)
        along = (hue * other).sum(axis=-1) / length
        across = (other[..., 0] * hue[..., 1] - other[..., 1] * hue[..., 0]) / length
        nearest, aside = np.maximum(nearest, along), np.where(along >= nearest, across, aside)
    weakest = np.minimum(size, np.hypot(before[..., 0], before[..., 1]))
    darkest = np.minimum(here[..., 0], there[..., 0])
    weight = np.clip((weakest - 0.1) / 0.2, 0, 1) * np.clip((darkest - 8) / 12, 0, 1)
    return np.asarray(np.arctan2(aside, nearest), dtype=np.float32), np.asarray(weight, dtype=np.float32)


def _together(turn: Floats, weight: Floats) -> Floats:
    """(H, W) degrees by which the hues around each cell are turned in common."""
    along, across = (
        cv2.boxFilter(weight * part, -1, _TOGETHER_CELLS, normalize=False)
        for part in (np.cos(turn), np.sin(turn))
    )
    return np.asarray(np.degrees(np.abs(np.arctan2(across, along))), dtype=np.float32)


def _unburnt(image: Image) -> Floats:
    """(H, W) in cells: 0 where a colour is at its limit, which turns the hue of too bright a picture."""
    size = (max(1, image.shape[1] // _CELL_PX), max(1, image.shape[0] // _CELL_PX))
    brightest = cv2.resize(image, size, interpolation=cv2.INTER_AREA).max(axis=2)
    return np.asarray(np.clip((250 - brightest.astype(np.float32)) / 10, 0, 1), dtype=np.float32)


def _relative(lab: Floats) -> Floats:
    """a* and b* over lightness: brighter or dimmer light leaves them as they are."""
    return np.asarray(lab[..., 1:] / np.maximum(lab[..., :1], 12), dtype=np.float32)


def _alike(here: Floats, there: Floats, where: NDArray[np.bool_]) -> bool:
    """Whether two pictures (H, W, 3) CIE L*a*b* are arranged alike: in their tones, or as one recoloured would be."""
    one, other = here[where].astype(np.float64), there[where].astype(np.float64)
    if len(one) < 2:
        return False
    tones, before = one[:, 0] - one[:, 0].mean(), other[:, 0] - other[:, 0].mean()
    spread = float(np.sqrt((tones @ tones) * (before @ before)))
    # A plain area has no arrangement of tones to compare by.
    return spread < len(one) or float(tones @ before) >= _SAME_TONES * spread or _is_mapped(tones, other)


def _is_mapped(tones: NDArray[np.float64], colours: NDArray[np.float64]) -> bool:
    """Whether `tones` (N,), about 0, follow from `colours` (N, 3): hues that are turned take other tones."""
    if len(tones) < _LEAST_MAPPED_CELLS:
        return False
    scaled = (colours - colours.mean(axis=0)) / (colours.std(axis=0) + 1e-6)
    pairs = [scaled[:, i] * scaled[:, j] for i in range(3) for j in range(i, 3)]
    table = np.column_stack([np.ones(len(tones)), scaled, *pairs])
    left = tones - table @ np.linalg.lstsq(table, tones, rcond=None)[0]
    return float(left @ left) <= (1 - _SAME_MAPPED**2) * float(tones @ tones)
