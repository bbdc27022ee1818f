"""The chain of a log, made again from what is written of it, so that no fault of `eventstore.chain` is in both."""

import uuid
from hashlib import sha256
from typing import Any, Final
from zlib import adler32

from msgspec import msgpack

from eventstore.model import RecordedEvent

__all__ = ["CAUSE_WINDOW", "SEGMENT", "Rechained"]

SEGMENT: Final = 256
CAUSE_WINDOW: Final = 4096


class Rechained:
    """The chain of a log made again by its events, from the first one on."""

    def __init__(self) -> None:
        self._streams: dict[str, int] = {}
        self._types: dict[tuple[str, int], int] = {}
        self._correlations: dict[str, int] = {}
        self._positions: dict[str, int] = {}
        self._whole = bytes(32)
        self._frames: list[bytes] = []

    @property
    def digest(self) -> bytes:
        """That of the last event."""
        return sha256(self._whole + b"".join(self._frames)).digest() if self._frames else self._whole

    def add(self, event: RecordedEvent) -> None:
        """The next one, which must bear the checksum of all that it says."""
        frame = msgpack.encode(self._frame(event))
        assert event.checksum == adler32(frame), event
        self._frames.append(frame)
        self._positions[event.event_id] = event.position
        if event.position % SEGMENT == 0:
            self._whole, self._frames = self.digest, []

    def _frame(self, event: RecordedEvent) -> list[Any]:
        kind, thread = (event.type, event.type_version), event.correlation_id
        names = (
            None if event.stream in self._streams else event.stream,
            None if kind in self._types else kind,
            None if thread in self._correlations else thread,
        )
        frame = [
            event.position,
            self._streams.setdefault(event.stream, len(self._streams) + 1),
            event.version,
            self._types.setdefault(kind, len(self._types) + 1),
            event.recorded_at_ms,
            uuid.UUID(event.event_id).bytes,
            thread and self._correlations.setdefault(thread, len(self._correlations) + 1),
            self._cause(event),
            event.metadata,
            event.data,
        ]
        return frame if names == (None, None, None) else [*frame, *names]

    def _cause(self, event: RecordedEvent) -> int | bytes | str | None:
        cause = event.causation_id
        if cause is None:
            return None
        found = self._positions.get(cause)
        if found is not None and event.position - found <= CAUSE_WINDOW:
            return found
        try:
            known = uuid.UUID(cause)
        except ValueError:
            return cause
        return known.bytes if str(known) == cause else cause
