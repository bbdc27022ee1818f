"""identity_consistency and identity_drift: is it the right cat, and does it stay the same cat?

Both compare looks (see `appearance`), not poses: a cat that turns its back keeps its colours. Where the source shows
the same moments (see `moments`), what was done to the colours since is compared too; what brought them nearer to what
they should be is no fault.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caf.ports import Measurement
from caf.qc.metrics.appearance import Look, blend, costume_similarity, face_similarity, look_similarity
from caf.qc.metrics.hues import HueTurn
from caf.qc.metrics.moments import Change
from caf.qc.metrics.scene import Kind, Sighting, rim_looks
from caf.qc.metrics.scoring import calibrate, measured, unmeasured
from caf.qc.metrics.subject import Subject

__all__ = ["Anchor", "anchor_of", "early_anchor", "identity_consistency", "identity_drift", "same_kind"]

# Calibrated on two clips of five costumed cats (360p, warm light) against four studio portraits: the right
# cat's face gives 0.85-0.98, black against tabby 0.46-0.66, cream against tabby 0.45-0.65, ginger 0.73-0.89.
_FACE = ((0.45, 0.0), (0.65, 0.25), (0.78, 0.55), (0.85, 0.82), (0.95, 1.0))
# The right costume gives 0.68-0.87, a wrong one 0.02-0.56.
_COSTUME = ((0.1, 0.0), (0.4, 0.2), (0.62, 0.85), (0.75, 1.0))
_COSTUME_WEIGHT = 0.25
_COLOURED_ENOUGH = 0.25
# The same subject a few seconds later in the same clip gives 0.90-0.99; its costume recoloured by a sixth of
# the hue circle 0.55-0.70.
_ANCHOR = ((0.45, 0.0), (0.65, 0.28), (0.8, 0.55), (0.88, 0.84), (0.94, 1.0))
# Thirds of a clip against its first third: untouched 0.85-0.99.
_DRIFT = ((0.5, 0.0), (0.7, 0.4), (0.81, 0.74), (0.87, 0.92), (0.95, 1.0))
# Degrees that hues are turned by against the same moment of the source. Coded again, sharpened, blurred or brighter by
# a fifth: 0.5 to 1.2, without a face to say where to look up to 4.9, and of 47 real clips with colours one has 7.2. A
# subject turned by 15 degrees: 13 to 26.
_TURNED_DEG = ((6.0, 1.0), (9.0, 0.85), (12.0, 0.7), (25.0, 0.4), (60.0, 0.1), (120.0, 0.0))
# Share of the colour that turns steadily, of a clip alone (see `hues`). Of 82 real clips the most is 0.0011, of 228
# pieces of 3.2 s 0.0072; a subject turned by 25 degrees on the way 0.003 to 0.07, a large one by 70 0.05 to 0.2.
_TURN_SHARE = (
    (0.001, 1.0),
    (0.003, 0.86),
    (0.004, 0.78),
    (0.008, 0.65),
    (0.02, 0.45),
    (0.05, 0.25),
    (0.1, 0.1),
)
_NEARER = 0.02
"""So much more alike to the anchor than the source is, and a change was meant."""
_EARLY_S = 2.0
_LEAST_CHANGES = 2
_OTHER_KIND_SCORE = 0.1
_SAME_LOOK = 0.94
"""Where `_ANCHOR` gives 1: what is so alike in the clip and in its source is one subject, whatever faces were found."""
_ALIKE = 0.7
_SCENE_CHANGES = "No face was found, and the rim of the picture changes like its middle: the scene does."
_LEAST_FOR_DRIFT = 2
_STEADY = 0.8
_STEADIER = 0.005


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the subject is held against."""

    look: Look
    kind: Kind
    from_reference: bool
    """False: the early appearance in the source clip."""


def same_kind(anchor: Anchor, subject: Subject) -> bool:
    """False only where one is seen to be a cat and the other a person."""
    return {anchor.kind, subject.kind} != {Kind.CAT, Kind.PERSON}


def anchor_of(changes: Sequence[Change], kind: Kind) -> Anchor | None:
    """The subject's look in the source's first two seconds; None where too few moments of it are known."""
    early = [change.before for change in changes if change.time_s <= _EARLY_S]
    return (
        Anchor(blend(early), kind, from_reference=False) if len(changes) >= _LEAST_CHANGES and early else None
    )


def early_anchor(subject: Subject) -> Anchor:
    """The subject's own look in the clip's first two seconds, or where it is seen first."""
    looks = [seen.look for seen in subject.sightings if seen.sample.time_s <= _EARLY_S]
    return Anchor(blend(looks or [subject.sightings[0].look]), subject.kind, from_reference=False)


def identity_consistency(
    subject: Subject | None, anchor: Anchor | None, changes: Sequence[Change] = ()
) -> Measurement:
    """How much the subject looks like the reference picture, or like its early self in the source.

    score: with a reference 0.75 x calibrated face similarity + 0.25 x calibrated costume similarity (the
    face alone when the reference wears no colour); else the calibrated similarity to the source's look, of the same
    moment where there are `changes`. With these at most what the turn of the hues is worth. Medians over the
    sightings. Where the middle of the picture stands for a subject that was not found and is held against its early
    look, nothing is said where the rim of the picture changes too. A person where the reference shows a cat (or the
    reverse) scores at most 0.1, and where the source does unless the looks are the same: drawn faces are taken for
    either.
    raw: `face_similarity`, `costume_similarity` (Bhattacharyya, 0..1), `sightings`, `same_kind` (0 or 1),
    `turned_deg` against the source's same `moments`.
    """
    name = "identity_consistency"
    if anchor is None:
        return unmeasured(name, "Neither a reference picture nor the source shows a subject to compare with.")
    if subject is None or len(subject.sightings) < 1:
        return unmeasured(name, "No frame of the clip shows a subject.")
    faces = np.array([face_similarity(anchor.look, seen.look) for seen in subject.sightings])
    costumes = np.array([costume_similarity(anchor.look, seen.look) for seen in subject.sightings])
    alike = np.array([look_similarity(anchor.look, seen.look) for seen in subject.sightings])
    face, costume = float(np.median(faces)), float(np.median(costumes))
    known = len(changes) >= _LEAST_CHANGES
    meant = [_meant(change, anchor.look) for change in changes]
    if anchor.from_reference:
        score = calibrate(face, _FACE)
        if anchor.look.coloured >= _COLOURED_ENOUGH:
            score += _COSTUME_WEIGHT * (calibrate(costume, _COSTUME) - score)
    elif known:
        score = calibrate(_kept(changes, meant), _ANCHOR)
    else:
        score = calibrate(float(np.median(alike)), _ANCHOR)
    turned = _turned(changes, meant) if known else 0.0
    score = min(score, calibrate(turned, _TURNED_DEG))
    same_look = not anchor.from_reference and float(np.median(alike)) >= _SAME_LOOK
    matched = same_look or same_kind(anchor, subject)
    if not matched:
        score = min(score, _OTHER_KIND_SCORE)
    raw = {
        "face_similarity": face,
        "costume_similarity": costume,
        "look_similarity": float(np.median(alike)),
        "sightings": len(subject.sightings),
        "same_kind": float(matched),
    }
    if known:
        raw |= {"turned_deg": turned, "moments": len(changes)}
    own = not anchor.from_reference and not known
    if own and subject.kind is Kind.GUESS and score < _ALIKE and not _rim_stays(_in_parts(subject.sightings)):
        return unmeasured(name, _SCENE_CHANGES)
    reason = _reason(subject, anchor, score, matched)
    if matched and calibrate(turned, _TURNED_DEG) <= score < _ALIKE:
        reason = (
            f"The subject's colours are turned by {turned:.0f} degrees against the source{_doubt(subject)}."
        )
    return measured(name, score, reason, raw, () if score >= _ALIKE else _worst(subject, alike))


def _meant(change: Change, wanted: Look) -> bool:
    """Whether the subject came nearer to what it should look like."""
    return look_similarity(wanted, change.look) > look_similarity(wanted, change.before) + _NEARER


def _kept(changes: Sequence[Change], meant: Sequence[bool]) -> float:
    alike = [look_similarity(one.before, one.look) for one in changes]
    return float(np.median([1.0 if fine else like for like, fine in zip(alike, meant, strict=True)]))


def _turned(changes: Sequence[Change], meant: Sequence[bool]) -> float:
    turns = [0.0 if fine else one.turned_deg for one, fine in zip(changes, meant, strict=True)]
    return float(np.median(turns))


def _reason(subject: Subject, anchor: Anchor, score: float, matched: bool) -> str:
    against = (
        "the reference picture"
        if anchor.from_reference
        else "its look early in the source (no reference given)"
    )
    if not matched:
        where = "reference" if anchor.from_reference else "source"
        return f"The clip shows a {subject.kind.value} where the {where} shows a {anchor.kind.value}."
    verdict = "matches" if score >= _ALIKE else "resembles" if score >= 0.35 else "does not match"
    sentence = f"The subject {verdict} {against}, seen in {_sampled(len(subject.sightings))}"
    doubt = _doubt(subject)
    if anchor.from_reference and anchor.kind is Kind.GUESS and subject.kind is not Kind.GUESS:
        doubt += "; no face was found in the reference, so its middle was compared (low confidence)"
    return f"{sentence}{doubt}."


def _sampled(count: int) -> str:
    return f"{count} sampled frame" if count == 1 else f"{count} sampled frames"


def _doubt(subject: Subject) -> str:
    if subject.kind is Kind.GUESS:
        return "; no face was found, so the middle of the picture was compared (low confidence)"
    if subject.kind is Kind.POSE:
        return "; located by the pose"
    return f"; chosen among {subject.candidates} faces" if subject.candidates > 1 else ""


def _worst(subject: Subject, alike: np.ndarray) -> tuple[int, ...]:
    order = np.argsort(alike, kind="stable")[:3]
    return tuple(sorted(subject.sightings[int(place)].sample.index for place in order))


def identity_drift(
    subject: Subject | None, changes: Sequence[Change] = (), turn: HueTurn | None = None
) -> Measurement:
    """How much the subject's look changes from the first third of its sightings to a later third.

    score: calibrated similarity of the third that is least like the early look. Of each third the median
    sighting counts (the better of two): a change that stays is in all of them, a turned back or a mistaken
    neighbour is not. Below six sightings, halves. Where the middle of the picture stands for a subject that was not
    found, what the source changes there as well does not count, and without one nothing is said where the rim of the
    picture changes like the middle: the camera went on, or the scene. With `changes` at most what it is worth that the
    hues are turned further against the source later on than early, unless the look became steadier by it; without
    them at most what the steady `turn` of a part of the picture's hues is worth.
    raw: `drift` = 1 - similarity, `sightings`, `span_s`, `turned_deg`, of a clip alone `turn_deg` and `turn_share`.
    """
    name = "identity_drift"
    if subject is None or len(subject.sightings) < _LEAST_FOR_DRIFT:
        count = 0 if subject is None else len(subject.sightings)
        return unmeasured(
            name,
            f"The subject was found in {_sampled(count)}; {_LEAST_FOR_DRIFT} are needed to see it change.",
        )
    seen = subject.sightings
    groups = _in_parts(seen)
    early = _typical(groups[0])
    alike = [_usual_likeness(early, group) for group in groups[1:]]
    turning = calibrate(turn.share, _TURN_SHARE) if turn is not None else 1.0
    if subject.kind is Kind.GUESS and calibrate(min(alike), _DRIFT) < _STEADY:
        beside = _beside_the_middle(groups, changes)
        if beside is None and turning < _STEADY:
            beside = alike
        if beside is None:
            return unmeasured(name, _SCENE_CHANGES)
        alike = [min(1.0, like + 1 - other) for like, other in zip(alike, beside, strict=True)]
    turned = _turned_further(changes)
    score = min(calibrate(min(alike), _DRIFT), calibrate(turned, _TURNED_DEG), turning)
    raw = {
        "turned_deg": turned,
        "drift": 1 - min(alike),
        "sightings": len(seen),
        "span_s": seen[-1].sample.time_s - seen[0].sample.time_s,
    }
    if turn is not None:
        raw |= {"turn_deg": turn.degrees, "turn_share": turn.share}
    change = "keeps its look" if score >= _STEADY else "changes its look"
    reason = f"The subject {change} over {raw['span_s']:.1f} s{_doubt(subject)}."
    if calibrate(turned, _TURNED_DEG) <= score < _STEADY:
        reason = (
            f"The subject's colours turn by {turned:.0f} degrees more than the source's{_doubt(subject)}."
        )
    worst = () if score >= _STEADY else _least_like(early, groups[1 + int(np.argmin(alike))])
    if turn is not None and turning <= score < _STEADY:
        reason = (
            f"Hues turn steadily, by about {abs(turn.degrees):.0f} degrees over {raw['span_s']:.1f} s: "
            "the subject's colours drift."
        )
        worst = tuple(one.sample.index for one in seen[-3:])
    return measured(name, score, reason, raw, worst)


def _beside_the_middle(groups: list[list[Sighting]], changes: Sequence[Change]) -> list[float] | None:
    """How alike the source's middle is to its early one, a number for each later group; 1 where it is not known.

    None where the rim of the picture does not stay what it is.
    """
    before = {change.index: change.before for change in changes}
    looks = [[before[seen.sample.index] for seen in group if seen.sample.index in before] for group in groups]
    if all(looks):
        return [look_similarity(blend(looks[0]), blend(group)) for group in looks[1:]]
    return [1.0] * (len(groups) - 1) if _rim_stays(groups) else None


def _in_parts(seen: Sequence[Sighting]) -> list[list[Sighting]]:
    """Thirds in the order of time; of fewer than six, halves."""
    parts = np.array_split(np.arange(len(seen)), 3 if len(seen) >= 6 else 2)
    return [[seen[int(place)] for place in part] for part in parts]


def _rim_stays(groups: Sequence[Sequence[Sighting]]) -> bool:
    """Whether the rim of the picture looks in every later group as it does in the first."""
    seen_there = [[look for seen in group for look in rim_looks(seen.sample)] for group in groups]
    if not all(seen_there):
        return False
    rims = [blend(looks) for looks in seen_there]
    stays = min(_symmetric(rims[0], rim) for rim in rims[1:])
    return calibrate(stays, _DRIFT) >= _STEADY


def _turned_further(changes: Sequence[Change]) -> float:
    """Degrees by which a later third is turned more than the first; 0 where the source changes more than the clip."""
    if len(changes) < _LEAST_CHANGES:
        return 0.0
    parts = np.array_split(np.arange(len(changes)), 3 if len(changes) >= 6 else 2)
    groups = [[changes[int(place)] for place in part] for part in parts]
    turns = [float(np.median([one.turned_deg for one in group])) for group in groups]
    most = 1 + int(np.argmax(turns[1:]))
    here = look_similarity(blend([one.look for one in groups[0]]), blend([one.look for one in groups[most]]))
    there = look_similarity(
        blend([one.before for one in groups[0]]), blend([one.before for one in groups[most]])
    )
    return 0.0 if here > there + _STEADIER else max(0.0, turns[most] - turns[0])


def _typical(group: list[Sighting]) -> Look:
    """The mean look of a group, of three or more only those most like the others."""
    if len(group) < 3:
        return blend([sighting.look for sighting in group])

    def liking(sighting: Sighting) -> float:
        return sum(_symmetric(sighting.look, other.look) for other in group)

    return blend(
        [sighting.look for sighting in sorted(group, key=liking, reverse=True)[: (len(group) + 1) // 2]]
    )


def _usual_likeness(early: Look, group: list[Sighting]) -> float:
    alike = [_symmetric(early, sighting.look) for sighting in group]
    return max(alike) if len(alike) < 3 else float(np.median(alike))


def _symmetric(one: Look, other: Look) -> float:
    """As `look_similarity`, but a costume with little colour tells little: hands before a dark jacket have more."""
    told = min(1.0, max(one.coloured, other.coloured) / _COLOURED_ENOUGH)
    return told * look_similarity(one, other) + (1 - told) * face_similarity(one, other)


def _least_like(early: Look, seen: list[Sighting]) -> tuple[int, ...]:
    ordered = sorted(seen, key=lambda sighting: look_similarity(early, sighting.look))
    return tuple(sorted(sighting.sample.index for sighting in ordered[:3]))
