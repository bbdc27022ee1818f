"""The hash chain: what each digest covers, so that anyone can recompute it.

frame(n) is the MessagePack array [position, stream_key, version, type_key, recorded_at_ms, event_id,
correlation_key, causation, metadata, data] with every item in its shortest form: None as nil, bytes as bin. Keys
count the streams, the pairs of type and type version, and the correlation ids in the order in which the log first
meets them, from 1; no correlation id is nil. event_id is its 16 bytes. causation is the position of that event if
it is one of the 4096 before this one, else the 16 bytes of a UUID in canonical form, else its text; nil if there is
none. The frame of an event that is the first of its stream, of its type and version, or of its correlation id has
three items more, what those keys stand for: the stream's name or nil, [type, type_version] or nil, the correlation
id or nil. MessagePack gives every item its own length, so that no two different logs have the same frames.

A segment is 256 positions: 1 to 256, 257 to 512 and so on. With s = the last position of the segment before,

    digest(n) = SHA-256(digest(s) ‖ frame(s + 1) ‖ … ‖ frame(n)),    digest(0) = 32 zero bytes,

so that a digest covers everything up to its event. The log keeps the Adler-32 checksum of each frame, and with the
last event of each segment its digest: the digest says that something was changed, the checksums say where.

Stored shape: neither the frame nor the segments ever change.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias
from zlib import adler32

from msgspec.msgpack import Encoder

from eventstore._compiled import new_sha256
from eventstore.ids import id_bytes
from eventstore.model import NewEvent, RecordedEvent

__all__ = [
    "CAUSE_WINDOW",
    "GENESIS",
    "ITEMS",
    "SEGMENT",
    "Chain",
    "Frame",
    "Keyring",
    "Mark",
    "adler32",
    "checksum_of",
    "encode_frame",
    "new_of",
    "record",
    "seal",
    "stored_cause",
]

GENESIS: Final = bytes(32)
SEGMENT: Final = 256
CAUSE_WINDOW: Final = 4096
"""A cause that lies no further back is kept as its position."""

_HELD_BYTES: Final = 8192
"""Hashed in some 10 us, which holds up no event loop."""

Frame: TypeAlias = tuple[Any, ...]
"""10 items, or 13 for an event that is the first of its kind."""
ITEMS: Final = 10
"""Those that every frame has."""
Mark: TypeAlias = int | bytes
"""What the log keeps of the chain with an event: the checksum; at a segment's end what `seal` makes of both."""

encode_frame = Encoder().encode
"""The bytes of a `Frame`."""


def seal(checksum: int, digest: bytes) -> bytes:
    """The mark of a segment's last event: 4 bytes of checksum, then the digest."""
    return checksum.to_bytes(4, "big") + digest


def checksum_of(mark: Mark) -> int:
    """The checksum in a mark."""
    return mark if mark.__class__ is int else int.from_bytes(mark[:4], "big")  # type: ignore[index]


def record(
    event: NewEvent, *, stream: str, version: int, position: int, recorded_at_ms: int, checksum: int = 0
) -> RecordedEvent:
    """`event` as it stands at that place."""
    return RecordedEvent(
        event_id=event.event_id,
        type=event.type,
        type_version=event.type_version,
        data=event.data,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        metadata=event.metadata,
        stream=stream,
        version=version,
        position=position,
        recorded_at_ms=recorded_at_ms,
        checksum=checksum,
    )


def new_of(event: RecordedEvent) -> NewEvent:
    """What was appended, without what the store gave it: the other way round of `record`."""
    return NewEvent(
        event_id=event.event_id,
        type=event.type,
        type_version=event.type_version,
        data=event.data,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        metadata=event.metadata,
    )


class Keyring:
    """The keys that names get in the order in which they come, for a log that is framed from its first event on."""

    def __init__(self) -> None:
        self._streams: dict[str, int] = {}
        self._types: dict[tuple[str, int], int] = {}
        self._correlations: dict[str, int] = {}

    def frame(self, event: RecordedEvent, positions: Mapping[str, int]) -> Frame:
        """The frame of the next event; `positions` says where event ids stand that came before it."""
        kind, thread, cause = (event.type, event.type_version), event.correlation_id, event.causation_id
        counts = len(self._streams), len(self._types), len(self._correlations)
        keys = (
            self._streams.setdefault(event.stream, counts[0] + 1),
            self._types.setdefault(kind, counts[1] + 1),
            None if thread is None else self._correlations.setdefault(thread, counts[2] + 1),
        )
        frame = (
            event.position,
            keys[0],
            event.version,
            keys[1],
            event.recorded_at_ms,
            id_bytes(event.event_id),
            keys[2],
            None if cause is None else stored_cause(cause, event.position, positions.get(cause)),
            event.metadata,
            event.data,
        )
        new = (keys[0] > counts[0], keys[1] > counts[1], keys[2] is not None and keys[2] > counts[2])
        if not any(new):
            return frame
        return (
            *frame,
            event.stream if new[0] else None,
            kind if new[1] else None,
            thread if new[2] else None,
        )


def stored_cause(cause: str, position: int, found: int | None) -> int | bytes | str:
    """How the event at `position` keeps its cause, which is recorded at `found` if at all."""
    if found is not None and found >= position - CAUSE_WINDOW:
        return found
    return id_bytes(cause) or cause


class Chain:
    """The running digest behind some position."""

    __slots__ = ("_hash", "_held", "_whole", "position")

    def __init__(self, position: int = 0, digest: bytes = GENESIS) -> None:
        """At the end of a segment, `position`, with the digest there."""
        assert position % SEGMENT == 0
        self.position = position
        self._whole = digest
        self._hash = new_sha256(digest)
        self._held = bytearray()
        """Frames that belong to the digest and are not hashed yet: a call for each small one costs more than itself."""

    def extend(self, frames: Sequence[bytes]) -> list[tuple[int, bytes]]:
        """Go on by these encoded frames; the indices of those that end a segment, with the digests there."""
        return self.follow(len(frames), lambda start, stop: b"".join(frames[start:stop]))

    def follow(self, count: int, joined: Callable[[int, int], bytes]) -> list[tuple[int, bytes]]:
        """The same by so many frames, of which `joined` gives the bytes from one up to another."""
        ends: list[tuple[int, bytes]] = []
        start = 0
        if self.position % SEGMENT + count < SEGMENT and len(self._held) < _HELD_BYTES:
            self._held += joined(0, count)
            self.position += count
            return ends
        self._flush()
        while start < count:
            stop = min(count, start + SEGMENT - self.position % SEGMENT)
            # More than a few of them at once let other threads run meanwhile.
            self._hash.update(joined(start, stop))
            self.position += stop - start
            start = stop
            if not self.position % SEGMENT:
                self._whole = self._hash.digest()
                self._hash = new_sha256(self._whole)
                ends.append((start - 1, self._whole))
        return ends

    def running(self) -> tuple[Any, int]:
        """The hash of the segment so far, and how many frames it lacks: for whoever hashes these elsewhere."""
        self._flush()
        return self._hash, SEGMENT - self.position % SEGMENT

    def adopt(self, count: int, digests: Sequence[bytes], running: Any) -> list[tuple[int, bytes]]:
        """`follow` so many frames, which were hashed elsewhere from here on."""
        first = SEGMENT - 1 - self.position % SEGMENT
        ends = [(first + SEGMENT * index, digest) for index, digest in enumerate(digests)]
        if digests:
            self._whole = digests[-1]
        self._hash = running
        self.position += count
        return ends

    def copy(self) -> "Chain":
        """Another one at the same place."""
        self._flush()
        other = object.__new__(Chain)
        other.position, other._whole, other._hash = self.position, self._whole, self._hash.copy()
        other._held = bytearray()
        return other

    @property
    def digest(self) -> bytes:
        """The 32-byte digest at `position`."""
        self._flush()
        return self._hash.digest() if self.position % SEGMENT else self._whole

    def _flush(self) -> None:
        if self._held:
            self._hash.update(self._held)
            self._held.clear()
