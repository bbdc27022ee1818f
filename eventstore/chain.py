"""The hash chain: what each digest covers, so that anyone can recompute it.

frame(n) is the MessagePack array [position, stream, version, event_id, type, type_version, correlation_id,
causation_id, recorded_at_ms, metadata, data] with every item in its shortest form: texts as str, None as nil,
bytes as bin; event_id, and causation_id if it is a UUID in canonical form, as bin of its 16 bytes. MessagePack
gives every item its own length, so that no two different events have the same frame.

A segment is 256 positions: 1 to 256, 257 to 512 and so on. With s = the last position of the segment before,

    digest(n) = SHA-256(digest(s) ‖ frame(s + 1) ‖ … ‖ frame(n)),    digest(0) = 32 zero bytes,

so that a digest covers everything up to its event, and one running hash serves a segment: half the cost of a
hash of its own for each event. The log keeps the first 8 bytes of each digest, the mark, and all 32 of the last
one of each segment.

Stored shape: neither the frame nor the segments ever change.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Final, TypeAlias

from msgspec.msgpack import Encoder

from eventstore.checks import id_bytes
from eventstore.model import NewEvent, RecordedEvent

__all__ = ["GENESIS", "MARK_BYTES", "SEGMENT", "Chain", "Frame", "encode_frame", "frame_of", "record"]

GENESIS: Final = bytes(32)
SEGMENT: Final = 256
MARK_BYTES: Final = 8

Frame: TypeAlias = tuple[int, str, int, bytes, str, int, str | None, bytes | str | None, int, bytes, bytes]

encode_frame = Encoder().encode
"""The bytes of a `Frame`."""


def frame_of(event: RecordedEvent) -> Frame:
    """What the digest of `event` covers of it."""
    cause = event.causation_id
    return (
        event.position,
        event.stream,
        event.version,
        id_bytes(event.event_id) or b"",
        event.type,
        event.type_version,
        event.correlation_id,
        None if cause is None else id_bytes(cause) or cause,
        event.recorded_at_ms,
        event.metadata,
        event.data,
    )


def record(
    event: NewEvent, *, stream: str, version: int, position: int, recorded_at_ms: int, stored: bytes = b""
) -> RecordedEvent:
    """`event` as it stands at that place, with what the chain keeps of it, if that is known yet."""
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
        digest=stored[:MARK_BYTES],
    )


class Chain:
    """The running digest behind some position."""

    __slots__ = ("_hash", "_whole", "position")

    def __init__(self, position: int = 0, digest: bytes = GENESIS) -> None:
        """At the end of a segment, `position`, with the 32-byte digest there."""
        assert position % SEGMENT == 0
        self.position = position
        self._whole = digest
        self._hash = sha256(digest)

    def extend(self, frames: Iterable[bytes]) -> list[bytes]:
        """Go on by these encoded frames; what is stored with each: its mark, or its digest at a segment's end."""
        position, running = self.position, self._hash
        update, digest = running.update, running.digest
        stored: list[bytes] = []
        for frame in frames:
            update(frame)
            position += 1
            if position % SEGMENT:
                stored.append(digest()[:MARK_BYTES])
            else:
                self._whole = digest()
                stored.append(self._whole)
                running = sha256(self._whole)
                update, digest = running.update, running.digest
        self.position, self._hash = position, running
        return stored

    def copy(self) -> "Chain":
        """Another one at the same place."""
        other = object.__new__(Chain)
        other.position, other._whole, other._hash = self.position, self._whole, self._hash.copy()
        return other

    @property
    def digest(self) -> bytes:
        """The 32-byte digest at `position`."""
        return self._hash.digest() if self.position % SEGMENT else self._whole
