"""Scores that are kept for the next time, and what they are true of. Pure.

The file is a cache that may be deleted: a score is used again only for the same bytes and the same metric's version.
"""

from msgspec import Struct

from caf.contracts.read import read_document, write_document
from caf.contracts.types import Text, Unit

__all__ = ["Kept", "KeptClip", "KeptScore", "MeasuredOf", "kept_bytes", "parse_kept"]


class MeasuredOf(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that a score depends on beside the metric."""

    sha256: str
    """Of the clip's content."""
    source_sha256: str | None = None
    """Of what it was made from; None: it was measured by itself."""
    reference_sha256: str | None = None
    """Of the picture of the cat."""
    costume_required: bool = False


class KeptScore(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One metric of one clip."""

    version: int
    """The metric's; another one may give another score."""
    score: Unit | None
    reason: str = ""
    """Why there is no score."""


class KeptClip(Struct, frozen=True, kw_only=True):
    """What was measured of a clip. `clip` is the name that it had then, for people; it is found by `of`."""

    clip: Text
    of: MeasuredOf
    metrics: dict[str, KeptScore]


class _KeptScores(Struct, frozen=True, kw_only=True, tag_field="version", tag="qc_scores.v1"):
    clips: tuple[KeptClip, ...]


Kept = dict[MeasuredOf, KeptClip]


def parse_kept(data: bytes, where: str) -> Kept:
    """What a file of scores holds. Raises `DocumentError` for anything else."""
    return {one.of: one for one in read_document(data, _KeptScores, where=where).clips}


def kept_bytes(kept: Kept) -> bytes:
    """A file of scores, by the names of the clips; equal scores give equal bytes."""
    ranked = sorted(kept.values(), key=lambda one: (one.clip, repr(one.of)))
    return write_document(_KeptScores(clips=tuple(ranked)))
