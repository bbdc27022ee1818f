"""mask_edge_bleed: is there a halo or bleeding colour along the subject's outline?

Along a natural outline the colours go from the subject's to the background's by mixing the two. A halo is a
ring of a third colour between them. Single outline points deviate in every direction (whiskers, folds,
textures); a halo deviates in the same direction all the way round, so the deviations are averaged as vectors
before their length is taken.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.ports import Measurement
from caf.qc.metrics.faces import Box
from caf.qc.metrics.frames import Image
from caf.qc.metrics.samples import spread
from caf.qc.metrics.scoring import calibrate, measured, unmeasured
from caf.qc.metrics.subject import Kind, Sighting, Subject

__all__ = ["mask_edge_bleed", "outline_deviation"]

# CIE L*a*b* distance; 2.3 is just noticeable side by side (M. Mahy et al., Color Res. Appl. 19, 1994). Clean
# outlines of the calibration clips, with their contact shadows: 1.5-6.
_DEVIATION = ((6.0, 1.0), (8.5, 0.8), (12.0, 0.55), (20.0, 0.2), (40.0, 0.0))
_SECTORS = 16
_INSIDE, _RING, _OUTSIDE = range(-9, -4), range(-3, 9), range(10, 15)
_MOST_FRAMES = 6
_LEAST_SECTORS = 6
_TALLEST_PX = 180

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Crop:
    image: Image
    face: Box


def mask_edge_bleed(subject: Subject | None) -> Measurement:
    """Median over up to six frames of the common colour deviation around the outline.

    The outline is cut out by GrabCut from the face and the body below it. raw: `ring_deviation_lab`,
    `frames_cut_out`. Unmeasured when no face is found: a guessed region has no outline.
    """
    name = "mask_edge_bleed"
    if subject is None or subject.kind is Kind.GUESS:
        return unmeasured(name, "No subject with an outline was found in the clip.")
    found: list[tuple[float, int]] = []
    chosen = {sample.index for sample in spread([seen.sample for seen in subject.sightings], _MOST_FRAMES)}
    for seen in subject.sightings:
        if seen.sample.index in chosen:
            deviation = outline_deviation(seen)
            if deviation is not None:
                found.append((deviation, seen.sample.index))
    if not found:
        return unmeasured(name, "The subject could not be cut out: it fills the picture or blends into it.")
    value = float(np.median([deviation for deviation, _ in found]))
    score = calibrate(value, _DEVIATION)
    reason = (
        "The subject's outline is clean."
        if score >= 0.6
        else f"A ring of foreign colour runs along the subject's outline, {value:.0f} Lab units from both sides."
    )
    worst = tuple(sorted(index for _, index in sorted(found)[-3:])) if score < 0.6 else ()
    return measured(name, score, reason, {"ring_deviation_lab": value, "frames_cut_out": len(found)}, worst)


def outline_deviation(seen: Sighting) -> float | None:
    """Length of the mean deviation vector, CIE L*a*b* units, at the worst distance; None without an outline."""
    crop = _crop(seen)
    if crop is None:
        return None
    mask = _cut_out(crop)
    area = float(mask.mean())
    if not 0.08 < area < 0.85:
        return None
    return _deviation(crop.image, mask)


def _crop(seen: Sighting) -> _Crop | None:
    x, y, w, h = seen.box
    height, width = seen.sample.image.shape[:2]
    left, right = max(0, int(x - w)), min(width, int(x + 2 * w))
    top, bottom = max(0, int(y - 0.9 * h)), min(height, int(y + 3.4 * h))
    # A face that fills the picture leaves nothing outside the outline.
    if w > 0.55 * width or min(right - left, bottom - top) < 48:
        return None
    piece = seen.sample.image[top:bottom, left:right]
    scale = min(1.0, _TALLEST_PX / max(piece.shape[:2]))
    if scale < 1:
        piece = np.asarray(
            cv2.resize(piece, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), dtype=np.uint8
        )
    face = Box((x - left) * scale, (y - top) * scale, w * scale, h * scale)
    return _Crop(np.ascontiguousarray(piece), face)


def _cut_out(crop: _Crop) -> NDArray[np.bool_]:
    """The subject's pixels by GrabCut, the face and chest given as sure, the crop's rim as background.

    Source: C. Rother et al., "GrabCut", ACM Trans. Graph. 23 (2004).
    """
    height, width = crop.image.shape[:2]
    x, y, w, h = crop.face
    mask = np.full((height, width), cv2.GC_PR_BGD, dtype=np.uint8)

    def fill(x0: float, y0: float, x1: float, y1: float, label: int) -> None:
        mask[max(0, int(y0)) : max(0, int(y1)), max(0, int(x0)) : max(0, int(x1))] = label

    fill(x - 0.15 * w, y - 0.3 * h, x + 1.15 * w, y + 2.9 * h, cv2.GC_PR_FGD)
    fill(x + 0.2 * w, y + 0.2 * h, x + 0.8 * w, y + 0.9 * h, cv2.GC_FGD)
    fill(x + 0.3 * w, y + 1.1 * h, x + 0.7 * w, y + 1.8 * h, cv2.GC_FGD)
    rim = 3
    mask[:rim], mask[:, :rim], mask[:, -rim:] = cv2.GC_BGD, cv2.GC_BGD, cv2.GC_BGD
    cv2.setRNGSeed(20)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(crop.image, mask, None, models[0], models[1], 3, cv2.GC_INIT_WITH_MASK)
    subject = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    return _main_piece(subject, crop.face)


def _main_piece(subject: NDArray[np.uint8], face: Box) -> NDArray[np.bool_]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    smooth = cv2.morphologyEx(cv2.morphologyEx(subject, cv2.MORPH_OPEN, kernel), cv2.MORPH_CLOSE, kernel)
    count, found = cv2.connectedComponents(smooth)
    labels = np.asarray(found, dtype=np.int32)
    if count < 2:
        return np.asarray(smooth > 0, dtype=bool)
    x, y = face.centre
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
    rows, columns = np.indices(mask.shape)
    centre_row, centre_column = rows[mask].mean(), columns[mask].mean()
    angle = np.arctan2(rows - centre_row, columns - centre_column)
    sector = np.minimum(((angle + np.pi) * (_SECTORS / (2 * np.pi))).astype(np.int64), _SECTORS - 1)
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
