"""Collect of a piece of a clip what collecting all of it finds there; and what a helper that does so says."""

import struct
import zlib
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec
import numpy as np

from caf.media.planes import Planes
from caf.media.spans import OtherFramesError, Timetable, span_frames
from caf.qc.metrics.collected import Collected
from caf.qc.metrics.frames import SeenFrame, batches, seen_shown
from caf.qc.metrics.piece import AFTER, BEFORE, Piece
from caf.qc.metrics.samples import Sample

__all__ = [
    "FAULT",
    "HEAD",
    "OTHER_FRAMES",
    "PART",
    "SAMPLE",
    "TICK",
    "TICK_FRAMES",
    "Part",
    "PartsRequest",
    "collect_part",
    "joined",
]

HEAD: Final = struct.Struct("<cQ")
"""What an answer begins with: its kind, and how many bytes follow."""
TICK, SAMPLE, PART, OTHER_FRAMES, FAULT = b"t", b"s", b"p", b"o", b"f"
TICK_FRAMES: Final = 8
"""Frames that one tick stands for."""


class PartsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The clip, what its packets say, what to collect for, and how many threads decode."""

    video: str
    table: Timetable
    metrics: tuple[str, ...]
    against: bool
    threads: int


class Part(NamedTuple):
    """A piece, and how the frames look that its neighbours decode too."""

    collected: Collected
    digests: dict[int, int]


def collect_part(
    request: PartsRequest, piece: Piece, beat: Callable[[], None], early: Callable[[Sample], object]
) -> Part:
    """Decodes from the key frame before the piece on. Calls `beat` for each frame of it, `early` with each sample.

    Raises OtherFramesError where the clip cannot be decoded from there, MediaError for damage.
    """
    part = Part(Collected(frozenset(request.metrics), piece, against=request.against), {})
    first, last = max(0, piece.start - BEFORE), min(piece.frames, piece.stop + AFTER)
    frames = span_frames(request.video, request.table, first, last, threads=request.threads)
    shown = enumerate(frames, first)
    for batch in batches(seen_shown(index, one) for index, one in shown):
        part.collected.add(batch)
        for sample in part.collected.fresh():
            early(sample)
        for frame in batch:
            if frame.index < piece.start + AFTER or frame.index >= piece.stop - BEFORE:
                part.digests[frame.index] = _digest(frame)
            if piece.holds(frame.index):
                beat()
    return part


def joined(parts: Sequence[Part], pieces: Sequence[Piece]) -> Collected:
    """What was collected of all pieces, in their order; the first part grows.

    Raises OtherFramesError where two neighbours did not see the same pictures.
    """
    for (one, other), piece in zip(pairwise(parts), pieces[1:], strict=True):
        common = range(piece.start - BEFORE, min(piece.start + AFTER, piece.frames))
        if any(one.digests[at] != other.digests[at] for at in common):
            raise OtherFramesError
    whole = parts[0].collected
    for part in parts[1:]:
        whole.extend(part.collected)
    return whole


def _digest(frame: SeenFrame) -> int:
    colours = frame.colours
    planes = (frame.luma, colours.red, colours.blue) if isinstance(colours, Planes) else (colours,)
    found = 0
    for plane in planes:
        found = zlib.crc32(np.ascontiguousarray(plane).data, found)
    return found
