"""costume_fidelity: does the subject wear what the reference picture shows?"""

import numpy as np

from caf.ports import Measurement
from caf.qc.metrics.appearance import costume_similarity, face_similarity
from caf.qc.metrics.identity import Anchor, same_kind
from caf.qc.metrics.scene import Kind
from caf.qc.metrics.scoring import measured, unmeasured
from caf.qc.metrics.subject import Subject

__all__ = ["MATCH", "costume_fidelity"]

MATCH = 0.65
"""Similarity from which a costume counts as the reference's. Over two clips and four portraits the right costume
gave 0.68-0.87 and every other one at most 0.58."""
_PLAIN = 0.12
_MISMATCH_MOST = 0.4


def costume_fidelity(subject: Subject | None, anchor: Anchor | None, *, required: bool) -> Measurement:
    """1.0 where the costume's colours match the reference's, else similarity over the limit, below 1.

    The costume is what surrounds the face and lies below it. A reference without colour there is compared by
    face and fur tones instead. raw: `similarity` (0..1), `limit`, `coloured_share`, `same_kind`.
    """
    name = "costume_fidelity"
    if not required:
        return unmeasured(name, "The job does not require a costume.")
    if anchor is None or not anchor.from_reference:
        return unmeasured(name, "A costume is required, and no reference picture shows one to compare with.")
    if subject is None:
        return unmeasured(name, "No frame of the clip shows a subject whose costume could be compared.")
    if subject.kind is Kind.GUESS and anchor.kind is not Kind.GUESS:
        return unmeasured(
            name, f"The reference shows a {anchor.kind.value}, but no face was found in the clip."
        )
    matched = same_kind(anchor, subject)
    plain = anchor.look.coloured < _PLAIN
    compare = face_similarity if plain else costume_similarity
    similarity = float(np.median([compare(anchor.look, seen.look) for seen in subject.sightings]))
    limit = 0.85 if plain else MATCH
    score = min(1.0, similarity / limit) if matched else min(_MISMATCH_MOST, similarity / limit)
    raw = {
        "similarity": similarity,
        "limit": limit,
        "coloured_share": subject.look.coloured,
        "same_kind": float(matched),
    }
    if not matched:
        reason = f"The clip shows a {subject.kind.value} where the reference shows a {anchor.kind.value}."
    elif score >= 1:
        doubt = (
            ""
            if anchor.kind is not Kind.GUESS
            else " in its middle; no face was found there (low confidence)"
        )
        reason = f"The costume's colours match the reference picture{doubt}."
    else:
        reason = f"The costume does not match the reference picture: {similarity:.2f} alike, {limit:.2f} is needed."
    worst = () if score >= 1 else tuple(seen.sample.index for seen in subject.sightings[:3])
    return measured(name, score, reason, raw, worst)
