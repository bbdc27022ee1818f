"""Who the clip is about: the one subject among what the samples show, followed through them."""

from dataclasses import dataclass

import cv2
import numpy as np

from caf.pose.moments import Poses
from caf.qc.metrics.appearance import Look, blend, costume_similarity, face_similarity, look_similarity
from caf.qc.metrics.faces import Box
from caf.qc.metrics.poses import head_box
from caf.qc.metrics.samples import Sample
from caf.qc.metrics.scene import Kind, Scene, Sighting, middle, overlap, scan

__all__ = ["Subject", "follow", "subject_of_picture"]

_STRANGER = 9.0
_KIN = 0.85
"""Looks of one cat in one clip are 0.9 to 1 alike, of two of the same litter up to 0.83."""
_SURELY_KIN = 0.9
_FEW_SAMPLES = 4
_THUMB_PX = (16, 16)
_SAME_PICTURE = 0.5
"""Correlation of the tones of two samples of one shot. After a cut there is less, and what is found there may be
anything: only what looks just like the subject is taken for it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The same subject in time order, at most once per sample."""

    sightings: list[Sighting]
    kind: Kind
    candidates: int
    """The most faces seen at once."""

    @property
    def look(self) -> Look:
        return blend([sighting.look for sighting in self.sightings])


def subject_of_picture(sample: Sample) -> Sighting | None:
    """The largest face of a reference picture, or its middle when no face is found."""
    scene = scan([sample])
    found = scene.sightings[0] or middle(sample)
    kinds = [Kind.CAT, Kind.PERSON, Kind.POSE, Kind.GUESS]
    return min(found, key=lambda sighting: (kinds.index(sighting.kind), -sighting.box.w), default=None)


def follow(scene: Scene, like: Look | None, pose: Poses | None = None) -> Subject | None:
    """The subject that looks most like `like`, else the one seen most, largest, most central and moving.

    The middle of the picture when nothing is found, or only in a single one of many samples; None when the
    clip has no sample at all.
    """
    kind = scene.kind
    wanted = (kind, Kind.POSE)
    seen = [[one for one in sample if one.kind in wanted] for sample in scene.sightings]
    poses = any(one.kind is Kind.POSE for found in seen for one in found)
    if kind is not Kind.GUESS or poses:
        model = _best_match(seen, like) if like is not None else _most_prominent(seen, pose)
        chain = _chain(seen, model)
        if len(chain) > 1 or len(scene.samples) < _FEW_SAMPLES:
            return Subject(
                chain, Kind.POSE if kind is Kind.GUESS else kind, max(len(found) for found in seen)
            )
    guessed = [one for sample in scene.samples for one in middle(sample)]
    return Subject(guessed, Kind.GUESS, 1) if guessed else None


def _best_match(seen: list[list[Sighting]], like: Look) -> Sighting:
    """The third best match among each sample's best: one or two lucky ones do not decide."""

    def match(sighting: Sighting) -> float:
        look = sighting.look
        return 0.6 * face_similarity(like, look) + 0.4 * costume_similarity(like, look)

    best = sorted((max(found, key=match) for found in seen if found), key=match)
    return best[max(0, len(best) - 3)]


def _most_prominent(seen: list[list[Sighting]], pose: Poses | None) -> Sighting:
    flat = [sighting for found in seen for sighting in found]

    def prominence(sighting: Sighting) -> float:
        height, width = sighting.sample.image.shape[:2]
        x, y = sighting.box.centre
        off_centre = np.hypot(x / width - 0.5, y / height - 0.4)
        nearest = [max(found, key=lambda other: _kinship(sighting, other)) for found in seen if found]
        kin = [other for other in nearest if look_similarity(sighting.look, other.look) >= _KIN]
        support = sum(_kinship(sighting, other) for other in kin)
        # Toys and pictures taken for cats stay where they are; the one the clip is about moves.
        roaming = float(np.median([_distance(sighting.box, other.box) for other in kin]))
        posed = 1.0
        if pose is not None and (head := head_box(pose, sighting.sample)) and overlap(head, sighting.box):
            posed = 2.0
        lively = 0.1 + min(1.0, roaming)
        return float(support * np.sqrt(sighting.look.area_px) * np.exp(-off_centre) * lively * posed)

    return max(flat, key=prominence)


def _kinship(one: Sighting, other: Sighting) -> float:
    return look_similarity(one.look, other.look) * float(np.exp(-_distance(one.box, other.box) / 3))


def _distance(one: Box, other: Box) -> float:
    (x, y), (u, v) = one.centre, other.centre
    return float(np.hypot(x - u, y - v)) / max(one.w, other.w)


def _chain(seen: list[list[Sighting]], model: Sighting) -> list[Sighting]:
    """One sighting per sample: alike to the model and near where the subject last was, from the model both ways."""
    start = next(place for place, found in enumerate(seen) if any(one is model for one in found))
    forward = _walk(seen[start + 1 :], model, seen[start])
    backward = _walk(seen[:start][::-1], model, seen[start])
    return [*backward[::-1], model, *forward]


def _walk(seen: list[list[Sighting]], model: Sighting, beside: list[Sighting]) -> list[Sighting]:
    last, rivals = model, [one for one in beside if one is not model]
    chain: list[Sighting] = []
    for found in seen:
        mine = [one for one in found if not _anothers(one, last, rivals)]
        matches = [(_mismatch(model, last, one), place) for place, one in enumerate(mine)]
        mismatch, place = min(matches, default=(_STRANGER, 0))
        if mismatch < _STRANGER:
            last = mine[place]
            rivals = [one for one in found if one is not last]
            chain.append(last)
    return chain


def _anothers(one: Sighting, last: Sighting, rivals: list[Sighting]) -> bool:
    """Whether `one` is rather the next sighting of a figure that was seen beside the last one."""
    away = _step(last, one)
    return any(_step(rival, one) < away for rival in rivals)


def _step(one: Sighting, other: Sighting) -> float:
    return 1 - look_similarity(one.look, other.look) + 0.1 * min(3.0, _distance(one.box, other.box))


def _mismatch(model: Sighting, last: Sighting, one: Sighting) -> float:
    """Low for the model's look anywhere; a changed look still counts in the place of the last sighting."""
    alike, away = look_similarity(model.look, one.look), _distance(one.box, last.box)
    anywhere = 0.78 if _same_shot(last.sample, one.sample) else _SURELY_KIN
    if alike >= anywhere or (alike >= 0.4 and away < 0.8):
        return 1 - alike + 0.1 * min(3.0, away)
    return _STRANGER


def _same_shot(one: Sample, other: Sample) -> bool:
    tones = []
    for sample in (one, other):
        small = cv2.resize(sample.image, _THUMB_PX, interpolation=cv2.INTER_AREA)
        gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).astype(np.float64)
        tones.append(gray - gray.mean())
    spread = float(np.sqrt((tones[0] ** 2).sum() * (tones[1] ** 2).sum()))
    return spread == 0 or float((tones[0] * tones[1]).sum()) >= _SAME_PICTURE * spread
