"""What the sampled frames show: faces of cats and of people, and heads that the pose stage found."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from caf.pose.moments import Poses
from caf.qc.metrics.appearance import Look, look_of
from caf.qc.metrics.faces import Box, cat_faces, close_up_cat_face, human_faces
from caf.qc.metrics.poses import head_box
from caf.qc.metrics.samples import Sample

__all__ = ["Kind", "Scanner", "Scene", "Sighting", "middle", "overlap", "rim_looks", "scan"]

_OFTEN = 0.25
"""Share of samples from which a kind of face is taken to be what the clip shows; stray hits stay below."""


class Kind(StrEnum):
    """What told where the subject is, from the surest to the least sure."""

    CAT = "cat"
    PERSON = "person"
    POSE = "pose"
    GUESS = "guess"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A possible subject in one sample."""

    sample: Sample
    box: Box
    look: Look
    kind: Kind


@dataclass(frozen=True, slots=True)
class Scene:
    """What the scanned samples show; `sightings` has one list per scanned sample."""

    samples: list[Sample]
    sightings: list[list[Sighting]]
    cat_samples: int
    person_samples: int
    person_scans: int

    @property
    def cat_share(self) -> float:
        return self.cat_samples / max(1, len(self.samples))

    @property
    def person_share(self) -> float:
        return self.person_samples / max(1, self.person_scans)

    @property
    def kind(self) -> Kind:
        """What the clip shows; a person counts where cats are (next to) never seen."""
        if self.cat_share >= _OFTEN and self.cat_share >= self.person_share / 2:
            return Kind.CAT
        return Kind.PERSON if self.person_share >= _OFTEN else Kind.GUESS


def scan(samples: Sequence[Sample], pose: Poses | None = None) -> Scene:
    """Look for cats in every sample and for people in every third, beside cats in every sixth.

    Once a person is seen and no cat, people are looked for in all.
    """
    scanner = Scanner(pose)
    for sample in samples:
        scanner.add(sample)
    return scanner.result()


class Scanner:
    """`scan`, sample after sample."""

    def __init__(self, pose: Poses | None = None) -> None:
        self._pose = pose
        self._search = _CatSearch()
        self._samples: list[Sample] = []
        self._sightings: list[list[Sighting]] = []
        self._cats = self._persons = self._scans = 0

    def add(self, sample: Sample) -> None:
        place = len(self._samples)
        self._samples.append(sample)
        boxes = self._search.find(sample, place)
        self._cats += bool(boxes)
        found = _sightings(sample, boxes, Kind.CAT)
        if place % (6 if self._cats else 3) == 0 or (self._persons and not self._cats):
            people = [
                face for face in human_faces(sample.image) if not any(overlap(face, box) for box in boxes)
            ]
            self._scans += 1
            self._persons += bool(people)
            found += _sightings(sample, people, Kind.PERSON)
        if (
            self._pose is not None
            and (head := head_box(self._pose, sample))
            and not any(overlap(head, box) for box in boxes)
        ):
            found += _sightings(sample, [head], Kind.POSE)
        self._sightings.append(found)

    def result(self) -> Scene:
        return Scene(self._samples, self._sightings, self._cats, self._persons, self._scans)


class _CatSearch:
    """Cat faces, sample after sample: first where and as they were found last, then everywhere and anyhow."""

    def __init__(self) -> None:
        self._known: list[Box] = []
        self._last: list[Box] = []
        self._close_up = False
        self._misses = 0

    def find(self, sample: Sample, place: int) -> list[Box]:
        if self._close_up and (face := close_up_cat_face(sample.image)):
            return [face]
        # Another cat may come in, so every third sample is searched in full.
        near = bool(self._known) and place % 3 != 0
        boxes = cat_faces(sample.image, self._known, near=near) if self._known else []
        fewer = near and 0 < len(boxes) < len(self._known)
        boxes = boxes or cat_faces(sample.image)
        self._close_up = False
        if not boxes and not near and (self._misses < 2 or place % 3 == 0):
            face = close_up_cat_face(sample.image)
            self._close_up = face is not None
            self._misses = 0 if face else self._misses + 1
            boxes = [face] if face else []
        # Who turned away for a moment will be looked for in the same place.
        gone = [box for box in self._last if not any(overlap(box, other) for other in boxes)]
        self._known = self._known if fewer else [*boxes, *gone] if boxes else []
        self._last = boxes
        return boxes


def overlap(one: Box, other: Box) -> bool:
    (x, y), (u, v) = one.centre, other.centre
    return abs(x - u) < (one.w + other.w) / 2 and abs(y - v) < (one.h + other.h) / 2


def _sightings(sample: Sample, boxes: Sequence[Box], kind: Kind) -> list[Sighting]:
    looks = [(box, look_of(sample.image, box)) for box in boxes]
    return [Sighting(sample, box, look, kind) for box, look in looks if look is not None]


def middle(sample: Sample) -> list[Sighting]:
    """The middle of the picture as a subject, where nothing better is known."""
    height, width = sample.image.shape[:2]
    side = 0.4 * min(height, width)
    return _sightings(sample, [Box((width - side) / 2, 0.4 * height - side / 2, side, side)], Kind.GUESS)


def rim_looks(sample: Sample) -> list[Look]:
    """What the picture's left and right rims look like."""
    height, width = sample.image.shape[:2]
    side = 0.2 * min(height, width)
    boxes = [Box(x, 0.25 * height, side, side) for x in (0.0, width - side)]
    return [look for box in boxes if (look := look_of(sample.image, box)) is not None]
