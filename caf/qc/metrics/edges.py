"""mask_edge_bleed: is there a halo or bleeding colour along the subject's outline?

Along a natural outline the colours go from the subject's to the background's by mixing the two. A halo is a
ring of a third colour between them. Single outline points deviate in every direction (whiskers, folds,
textures); a halo deviates in the same direction all the way round, so the deviations are averaged as vectors
before their length is taken. A narrow or faint halo drowns in that where the cut-out misses the outline by a few
pixels, so thin things near the outline are looked at too (see `rim`). And the figure with the halo may not be found
or be cut out: a ring that is drawn anywhere in the picture counts as well (see `ring`).

Where the source shows the same moments, no outline has to be guessed: what counts are the lines that the clip added
to them (see `halo`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.ports import Measurement
from caf.qc.metrics.frames import Image
from caf.qc.metrics.halo import added_line
from caf.qc.metrics.lanes import side_by_side
from caf.qc.metrics.rim import rim_contrast, shared_rim
from caf.qc.metrics.ring import drawn_rings, lasting_lab
from caf.qc.metrics.samples import Sample
from caf.qc.metrics.scene import Kind, Sighting
from caf.qc.metrics.scoring import calibrate, measured, unmeasured
from caf.qc.metrics.subject import Subject

__all__ = ["added_bleed", "mask_edge_bleed", "subject_mask"]

# CIE L*a*b* distance. Clean outlines of the calibration clips, with contact shadows and cut-outs that miss by a
# sleeve: median 4-13, worst quarter up to 19, so that far it tells nothing. A white or coloured ring 4 px wide at
# 640 px, 60 % opaque: 38-56.
_DEVIATION = ((18.0, 1.0), (21.0, 0.85), (24.0, 0.6), (38.0, 0.3), (70.0, 0.0))
# The same distance of a thin rim around three quarters of two outlines, in one direction: real clips 0 to 5, one of a
# roller coaster 12; scenes of figures 0 to 7. A coloured ring 4 px wide at 640 px, 60 % opaque, on real clips 10 to 48.
_RIM_LAB = ((4.0, 1.0), (6.0, 0.85), (7.0, 0.6), (15.0, 0.4), (40.0, 0.1))
_GUESSED = 0.5
"""What is cut out of the middle of the picture may be a frame on a wall or a part of the room: it counts half."""
# The same distance of what looks like a drawn ring, over some moments: 284 segments of 99 real clips 0 to 1.2, nine in
# ten below 0.2. Rings on 50 clips, many of them the same, 2 to 3 px wide at 640 px and 35 to 50 % opaque: a third
# above 1.3, 0 to 13; 3.5 to 5 px and 55 to 75 %: two thirds, 0 to 37.
_DRAWN_LAB = ((0.005, 1.0), (0.1, 0.95), (0.6, 0.85), (1.3, 0.6), (5.0, 0.4), (20.0, 0.2), (40.0, 0.0))
# The same distance of lines that the source has not. Coded again, sharpened, blurred, brighter, captioned or one frame
# late: 0. A ring 2 px wide at 640 px and 35 % opaque: 4 to 15; 4 px and 60 %: 20 to 50.
_ADDED = ((0.5, 1.0), (2.0, 0.85), (4.0, 0.6), (10.0, 0.4), (25.0, 0.2), (60.0, 0.0))
_DRAWN = "is drawn around something"
_MOST_MOMENTS = 8
_LEAST_MOMENTS = 2
_CLEAN = 0.6
_SECTORS = 16
_INSIDE, _RING, _OUTSIDE = range(-9, -4), range(-3, 9), range(10, 15)
_MOST_GUESSED, _MOST_OWN, _MOST_OTHERS = 4, 3, 2
_LEAST_SECTORS = 4
_LEAST_OUTLINES = 2
_TALLEST_PX = 136
_BY_FACE = 0.75
"""Of that size a figure with a face is cut out: GrabCut takes its time by the pixel, and smoothing follows."""
_RIM = 3
_WIDE = 0.4
"""A face wider than this share of the picture leaves no room for the body beside and below it."""

Floats = NDArray[np.float64]
One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class _Crop:
    """The picture around the subject and GrabCut's starting labels, both (H, W)."""

    image: Image
    labels: NDArray[np.uint8]
    centre: tuple[float, float]
    place: tuple[int, int, int, int]
    """Left, top, right, bottom in the sample."""
    by_face: bool
    """Then the labels are nearly right to begin with."""


@dataclass(frozen=True, slots=True)
class _Outline:
    """What was seen along one outline of the sample of this index, CIE L*a*b* units."""

    index: int
    deviation_lab: float
    """Length of the mean deviation vector at the worst distance."""
    rim: Floats | None
    """By direction, see `rim_contrast`."""


def mask_edge_bleed(
    subject: Subject | None,
    others: Sequence[Sighting] = (),
    samples: Sequence[Sample] = (),
    workers: int = 1,
) -> Measurement:
    """The worst of the common deviation around the outline, the subject's median or the worst quarter's, of a rim, and
    of a ring that is drawn anywhere.

    `others` are the other figures of the clip: a halo around one of them is a fault too, and which of several
    is the subject may be unsure. Outlines are cut out by GrabCut from the face and the body below it; without
    a face, and of a close-up, from the middle of the picture. `samples` are the clip's pictures. raw:
    `ring_deviation_lab`, `subject_lab`, `rim_lab`, `drawn_lab`, `outlines`. Unmeasured when nothing can be cut out
    and no ring is drawn.
    """
    name = "mask_edge_bleed"
    if subject is None:
        return unmeasured(name, "No subject with an outline was found in the clip.")
    own, everyone, guessed = _outlines(subject, others, workers)
    rings = drawn_rings(samples, workers)
    drawn = lasting_lab([lab for lab, _ in rings])
    if not everyone and calibrate(drawn, _DRAWN_LAB) >= _CLEAN:
        return unmeasured(name, "The subject could not be cut out: it fills the picture or blends into it.")
    sure = _GUESSED if guessed else 1.0
    subject_lab = sure * float(np.median([one.deviation_lab for one in own] or [0.0]))
    every_lab = sure * float(np.percentile([one.deviation_lab for one in everyone] or [0.0], 75))
    value = max(subject_lab, every_lab)
    rim = sure * shared_rim([one.rim for one in everyone if one.rim is not None])
    doubt = "" if not guessed else " (no face was found, the middle of the picture was cut out)"
    score, lab, where = min(
        (calibrate(value, _DEVIATION), value, f"runs along the subject's outline{doubt}"),
        (calibrate(rim, _RIM_LAB), rim, f"runs along the subject's outline{doubt}"),
        (calibrate(drawn, _DRAWN_LAB), drawn, _DRAWN),
    )
    if score >= _CLEAN:
        reason = f"The subject's outline is clean{doubt}."
    else:
        reason = f"A ring of foreign colour, {lab:.0f} Lab units off, {where}."
    raw = {
        "ring_deviation_lab": value,
        "subject_lab": subject_lab,
        "rim_lab": rim,
        "drawn_lab": drawn,
        "outlines": len(everyone),
    }
    ordered = rings if where is _DRAWN else sorted((one.deviation_lab, one.index) for one in everyone)
    worst = sorted({index for _, index in ordered[-3:]}) if score < _CLEAN else []
    return measured(name, score, reason, raw, worst)


def _outlines(
    subject: Subject, others: Sequence[Sighting], workers: int
) -> tuple[list[_Outline], list[_Outline], bool]:
    """The subject's outlines, those of all figures, and whether where the subject is was guessed."""
    mine = {id(seen) for seen in subject.sightings}
    faces = [seen for seen in others if seen.kind in (Kind.CAT, Kind.PERSON)]
    guessed = subject.kind is Kind.GUESS and len(faces) < _LEAST_OUTLINES
    if subject.kind is Kind.GUESS and not guessed:
        own_seen, strangers = _spread(faces, _MOST_GUESSED), []
    else:
        own_seen = _spread(subject.sightings, _MOST_GUESSED if guessed else _MOST_OWN)
        strangers = [seen for seen in others if id(seen) not in mine and seen.kind is subject.kind]
    outlines = side_by_side(_outline, [*own_seen, *_spread(strangers, _MOST_OTHERS)], workers)
    own = [one for one in outlines[: len(own_seen)] if one is not None]
    return own, [one for one in outlines if one is not None], guessed


def added_bleed(samples: Sequence[Sample], moments: Mapping[int, Image]) -> Measurement | None:
    """mask_edge_bleed against the source: the median of the lines that were added to its moments.

    raw: `added_line_lab`, `share` of the visible difference, `moments`. None where fewer than two moments, or less
    than half of them, show the same picture.
    """
    known = _spread([sample for sample in samples if sample.index in moments], _MOST_MOMENTS)
    found = [(added_line(one.image, moments[one.index]), one.index) for one in known]
    lines = sorted((line.lab, line.share, index) for line, index in found if line is not None)
    if len(lines) < max(_LEAST_MOMENTS, len(known) / 2):
        return None
    lab = float(np.median([line[0] for line in lines]))
    score = calibrate(lab, _ADDED)
    if score >= _CLEAN:
        reason = "No outline has a rim that the source does not have."
    else:
        reason = f"A rim of foreign colour, {lab:.0f} Lab units off, was added along an outline."
    raw = {
        "added_line_lab": lab,
        "share": float(np.median([line[1] for line in lines])),
        "moments": len(lines),
    }
    worst = sorted(index for _, _, index in lines[-3:]) if score < _CLEAN else []
    return measured("mask_edge_bleed", score, reason, raw, worst)


def _spread(these: Sequence[One], most: int) -> list[One]:
    if len(these) <= most:
        return list(these)
    return [these[int(pick)] for pick in np.linspace(0, len(these) - 1, most).round()]


def _outline(seen: Sighting) -> _Outline | None:
    """None without an outline."""
    crop = _crop(seen)
    mask = _cut_out(crop) if crop is not None else None
    deviation = _deviation(crop.image, mask) if crop is not None and mask is not None else None
    if crop is None or mask is None or deviation is None:
        return None
    left, top, right, bottom = crop.place
    picture = seen.sample.image[top:bottom, left:right]
    return _Outline(seen.sample.index, deviation, rim_contrast(picture, _enlarged(mask, picture)))


def _enlarged(mask: NDArray[np.bool_], picture: Image) -> NDArray[np.bool_]:
    size = (picture.shape[1], picture.shape[0])
    return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0)


def subject_mask(seen: Sighting) -> NDArray[np.bool_] | None:
    """(H, W) of the sample: where the subject is; None when it cannot be cut out."""
    crop = _crop(seen)
    mask = _cut_out(crop) if crop is not None else None
    if crop is None or mask is None:
        return None
    left, top, right, bottom = crop.place
    whole = np.zeros(seen.sample.image.shape[:2], dtype=bool)
    whole[top:bottom, left:right] = _enlarged(mask, seen.sample.image[top:bottom, left:right])
    return whole


def _crop(seen: Sighting) -> _Crop | None:
    wide = seen.box.w > _WIDE * seen.sample.image.shape[1]
    return _whole(seen.sample.image) if wide or seen.kind is Kind.GUESS else _around_face(seen)


def _shrunk(image: Image) -> tuple[Image, float]:
    scale = min(1.0, _TALLEST_PX / max(image.shape[:2]))
    if scale == 1:
        return np.ascontiguousarray(image), 1.0
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.uint8), scale


def _around_face(seen: Sighting) -> _Crop | None:
    """The surroundings of a face: face and chest are surely the subject, the rim surely is not."""
    x, y, w, h = seen.box
    height, width = seen.sample.image.shape[:2]
    left, right = max(0, int(x - w)), min(width, int(x + 2 * w))
    top, bottom = max(0, int(y - 0.9 * h)), min(height, int(y + 3.4 * h))
    if min(right - left, bottom - top) < 48:
        return None
    image, scale = _shrunk(seen.sample.image[top:bottom, left:right])
    x, y, w, h = (x - left) * scale, (y - top) * scale, w * scale, h * scale
    labels = np.full(image.shape[:2], cv2.GC_PR_BGD, dtype=np.uint8)

    def fill(x0: float, y0: float, x1: float, y1: float, label: int) -> None:
        labels[max(0, int(y0)) : max(0, int(y1)), max(0, int(x0)) : max(0, int(x1))] = label

    fill(x - 0.15 * w, y - 0.3 * h, x + 1.15 * w, y + 2.9 * h, cv2.GC_PR_FGD)
    fill(x + 0.2 * w, y + 0.2 * h, x + 0.8 * w, y + 0.9 * h, cv2.GC_FGD)
    fill(x + 0.3 * w, y + 1.1 * h, x + 0.7 * w, y + 1.8 * h, cv2.GC_FGD)
    labels[:_RIM], labels[:, :_RIM], labels[:, -_RIM:] = cv2.GC_BGD, cv2.GC_BGD, cv2.GC_BGD
    return _Crop(image, labels, (x + w / 2, y + h / 2), (left, top, right, bottom), by_face=True)


def _whole(picture: Image) -> _Crop:
    """A close-up or a clip without a face: the middle is the subject, the upper corners are not."""
    image, _ = _shrunk(picture)
    height, width = image.shape[:2]
    labels = np.full((height, width), cv2.GC_PR_BGD, dtype=np.uint8)
    middle = (width // 2, int(0.55 * height))
    cv2.ellipse(labels, middle, (int(0.36 * width), int(0.42 * height)), 0, 0, 360, cv2.GC_PR_FGD, -1)
    cv2.ellipse(labels, middle, (int(0.12 * width), int(0.14 * height)), 0, 0, 360, cv2.GC_FGD, -1)
    corner = (int(0.06 * height), int(0.12 * width))
    labels[: corner[0], : corner[1]], labels[: corner[0], -corner[1] :] = cv2.GC_BGD, cv2.GC_BGD
    place = (0, 0, picture.shape[1], picture.shape[0])
    return _Crop(image, labels, (float(middle[0]), float(middle[1])), place, by_face=False)


def _cut_out(crop: _Crop) -> NDArray[np.bool_] | None:
    """The subject's pixels by GrabCut; None when that is hardly anything or nearly everything.

    Source: C. Rother et al., "GrabCut", ACM Trans. Graph. 23 (2004).
    """
    height, width = crop.labels.shape
    scale, rounds = (_BY_FACE, 1) if crop.by_face else (1.0, 2)
    size = (round(scale * width), round(scale * height))
    small = np.asarray(cv2.resize(crop.image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    labels = np.asarray(cv2.resize(crop.labels, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
    cv2.setRNGSeed(20)
    cv2.grabCut(small, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), rounds, cv2.GC_INIT_WITH_MASK)
    coarse = ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.float32)
    subject = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR) > 0.5
    mask = _main_piece(subject.astype(np.uint8), crop.centre)
    return mask if 0.08 < float(mask.mean()) < 0.85 else None


def _main_piece(subject: NDArray[np.uint8], centre: tuple[float, float]) -> NDArray[np.bool_]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    smooth = cv2.morphologyEx(cv2.morphologyEx(subject, cv2.MORPH_OPEN, kernel), cv2.MORPH_CLOSE, kernel)
    count, found = cv2.connectedComponents(smooth)
    labels = np.asarray(found, dtype=np.int32)
    if count < 2:
        return np.asarray(smooth > 0, dtype=bool)
    x, y = centre
    row = min(max(int(y), 0), labels.shape[0] - 1)
    column = min(max(int(x), 0), labels.shape[1] - 1)
    label = int(labels[row, column]) or 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return np.asarray(labels == label, dtype=bool)


def _deviation(image: Image, mask: NDArray[np.bool_]) -> float | None:
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    away = np.where(mask, -inside + 0.5, outside - 0.5).round().astype(np.int64)
    lab = np.asarray(
        cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_BGR2LAB), dtype=np.float64
    )
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    centre_row, centre_column = rows[mask].mean(), columns[mask].mean()
    angle = np.arctan2(rows - centre_row, columns - centre_column)
    sector = np.minimum(((angle + np.pi) * (_SECTORS / (2 * np.pi))).astype(np.int64), _SECTORS - 1)
    near = (away >= _INSIDE.start) & (away < _OUTSIDE.stop)
    lab, away, sector = lab[near], away[near], sector[near]
    deviations = [_sector_deviation(lab[sector == which], away[sector == which]) for which in range(_SECTORS)]
    usable = [deviation for deviation in deviations if deviation is not None]
    if len(usable) < _LEAST_SECTORS:
        return None
    common = np.mean(usable, axis=0)
    return float(np.max(np.linalg.norm(common, axis=1)))


def _sector_deviation(lab: Floats, away: NDArray[np.int64]) -> Floats | None:
    """(ring, 3) colour of each distance minus the nearest mixture of the inside and outside colour."""
    inner = lab[(away >= _INSIDE.start) & (away < _INSIDE.stop)]
    outer = lab[(away >= _OUTSIDE.start) & (away < _OUTSIDE.stop)]
    if len(inner) < 20 or len(outer) < 20:
        return None
    start, end = np.median(inner, axis=0), np.median(outer, axis=0)
    line = end - start
    length = float(line @ line)
    rows = []
    for distance in _RING:
        here = lab[away == distance]
        if len(here) < 3:
            return None
        colour = here.mean(axis=0)
        share = min(1.0, max(0.0, float((colour - start) @ line) / length)) if length > 1e-9 else 0.0
        rows.append(colour - (start + share * line))
    return np.array(rows)
