"""The data that crosses the store's face: what is appended, and what is read back."""

from typing import Final

from msgspec import Struct

__all__ = [
    "ANY",
    "NO_STREAM",
    "Appended",
    "Archived",
    "Checkpoint",
    "Fault",
    "NewEvent",
    "RecordedEvent",
    "VerifyReport",
    "Witness",
    "category_of",
]

ANY: Final = -1
"""`expected_version`: append whatever version the stream has."""
NO_STREAM: Final = 0
"""`expected_version`: the stream must still be empty."""


class NewEvent(Struct, frozen=True, kw_only=True):
    """A fact to be recorded; the store never looks inside `data` and `metadata`."""

    event_id: str
    """Canonical UUID text: lower case, with dashes."""
    type: str
    """Explicit tag, e.g. `StageCompleted`."""
    type_version: int = 1
    data: bytes
    correlation_id: str | None = None
    causation_id: str | None = None
    metadata: bytes = b""
    """A small JSON object, or empty."""


class RecordedEvent(Struct, frozen=True, kw_only=True):
    """An event as it stands in the log, for ever."""

    event_id: str
    type: str
    type_version: int = 1
    data: bytes
    correlation_id: str | None = None
    causation_id: str | None = None
    metadata: bytes = b""
    stream: str
    version: int
    """1-based within the stream, gapless."""
    position: int
    """1-based in the whole log, gapless."""
    recorded_at_ms: int
    """Wall clock of the recording machine, milliseconds since the Unix epoch; may jump, orders nothing."""
    checksum: int
    """Adler-32 of all that is recorded of the event, see `eventstore.chain`."""


class Appended(Struct, frozen=True, kw_only=True):
    """Where an append stands in the log. For an empty append, first = last + 1."""

    stream: str
    first_version: int
    last_version: int
    first_position: int
    last_position: int
    repeated: bool
    """All of these event ids were recorded before with the same content; nothing was written."""


class Checkpoint(Struct, frozen=True, kw_only=True):
    """`consumer` has dealt with everything up to and including `position`."""

    consumer: str
    position: int


class Archived(Struct, frozen=True, kw_only=True):
    """What was moved to an archive, and what that did to the size of the log's file."""

    path: str
    streams: int
    events: int
    bytes_before: int
    bytes_after: int


class Fault(Struct, frozen=True, kw_only=True):
    """The first place where the log is not what was recorded."""

    position: int
    what: str
    """One sentence for a person."""


class VerifyReport(Struct, frozen=True, kw_only=True):
    """What `verify` found: `events` good events from position 1 on, then nothing or `fault`."""

    events: int
    head_digest: bytes
    """32-byte digest of the last good event; written down elsewhere it proves the whole log up to there."""
    fault: Fault | None = None

    @property
    def ok(self) -> bool:
        return self.fault is None


class Witness(Struct, frozen=True, kw_only=True):
    """Position and digest of an event as they were written down elsewhere; position 0 and no event is valid.

    `digest` is `VerifyReport.head_digest`, or as much of its beginning as was written down.
    The chain alone cannot show that its end was cut off or rewritten; held against a witness it can.
    """

    position: int
    digest: bytes


def category_of(stream: str) -> str:
    """The part of a stream's name before the first dash; the whole name if it has none."""
    return stream.partition("-")[0]
