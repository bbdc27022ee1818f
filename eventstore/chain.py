"""The hash chain: what each digest covers, so that anyone can recompute it.

digest(n) = SHA-256(digest(n - 1) ‖ frame(n)), digest(0) = 32 zero bytes. frame(n) is the MessagePack array
[position, stream, version, event_id, type, type_version, correlation_id, causation_id, recorded_at_ms,
metadata, data] with every item in its shortest form: texts as str, None as nil, bytes as bin. MessagePack
gives every item its own length, so that no two different events have the same frame.

Stored shape: the frame never changes.
"""

from hashlib import sha256
from typing import Final

from msgspec.msgpack import Encoder

from eventstore.model import NewEvent, RecordedEvent

__all__ = ["GENESIS", "link", "link_recorded", "record"]

GENESIS: Final = bytes(32)

_encode = Encoder().encode


def link(
    previous: bytes, position: int, stream: str, version: int, recorded_at_ms: int, event: NewEvent
) -> bytes:
    """The 32-byte digest of `event` at that place, after `previous`."""
    return sha256(
        previous
        + _encode(
            (
                position,
                stream,
                version,
                event.event_id,
                event.type,
                event.type_version,
                event.correlation_id,
                event.causation_id,
                recorded_at_ms,
                event.metadata,
                event.data,
            )
        )
    ).digest()


def link_recorded(previous: bytes, event: RecordedEvent) -> bytes:
    """The digest that `event` must have after `previous`."""
    return sha256(
        previous
        + _encode(
            (
                event.position,
                event.stream,
                event.version,
                event.event_id,
                event.type,
                event.type_version,
                event.correlation_id,
                event.causation_id,
                event.recorded_at_ms,
                event.metadata,
                event.data,
            )
        )
    ).digest()


def record(
    previous: bytes, position: int, stream: str, version: int, recorded_at_ms: int, event: NewEvent
) -> RecordedEvent:
    """`event` as it stands at that place of the log."""
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
        digest=link(previous, position, stream, version, recorded_at_ms, event),
    )
