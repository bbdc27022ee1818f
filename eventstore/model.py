"""The data that crosses the store's face: what is appended, what is read back, what is promised."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from eventstore.replay import Batch, Column, Decoder

__all__ = [
    "ANY",
    "NO_STREAM",
    "Appended",
    "Checkpoint",
    "EventStore",
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


class EventStore(Protocol):
    """A durable, append-only log of events in named streams.

    The category of a stream is the part of its name before the first dash. Every method may raise
    `StoreClosed`. Readers see a prefix of the log: never position n + 1 before n.
    """

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int = ANY,
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        """Record all of `events` at the end of `stream`, or none; on return they are durable.

        An append whose event ids are all recorded in this stream with the same content writes no event
        and returns their positions with `repeated`, whatever `expected_version` says. `checkpoint` is
        saved in the same transaction, also then; with no events it is just saved. A caller that is
        cancelled while it waits finds all of the events recorded later, or none.

        Raises `VersionConflict`, `DuplicateEvent`, `InvalidArgument` (also for a checkpoint beyond the
        head), `StoreReadOnly`, `StoreFull`, `StoreBusy`, `StoreCorrupt`.
        """
        ...

    def read(
        self, stream: str, *, after_version: int = 0, limit: int | None = None, backward: bool = False
    ) -> AsyncIterator[RecordedEvent]:
        """The stream's events with version > `after_version`, oldest (or, backward, newest) first."""
        ...

    def read_all(
        self,
        *,
        after_position: int = 0,
        limit: int | None = None,
        category: str | None = None,
        correlation_id: str | None = None,
        backward: bool = False,
    ) -> AsyncIterator[RecordedEvent]:
        """The log's events with position > `after_position`, oldest (or, backward, newest) first.

        What is appended meanwhile may come at the end, or not.
        """
        ...

    def replay(
        self,
        decoder: "Decoder",
        *,
        columns: "Sequence[Column]" = ("position",),
        after_position: int = 0,
        category: str | None = None,
        verify: bool = False,
    ) -> "AsyncIterator[Batch]":
        """The log's events with position > `after_position`, oldest first, decoded: the quick way through a log.

        Each batch yields a tuple for each event: what `decoder(type, type_version)(data)` made of it, and its
        `columns`. Whatever that raises, an `Unreadable` takes the event's place and the others come all the same.
        With `verify` the chain is checked on the way, and `StoreCorrupt` raised at the first bad position, once
        all before it were yielded; only from position 0 on, and with no category.
        """
        ...

    def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        """Everything after `after_position`, then what is appended, by any process, for ever.

        In order, no gap, no duplicate. Ends only with `StoreClosed` or by its consumer.
        """
        ...

    async def version(self, stream: str) -> int:
        """Version of the stream's last event; 0 if it is empty."""
        ...

    async def head(self) -> int:
        """Position of the log's last event; 0 if it is empty."""
        ...

    async def checkpoint(self, consumer: str) -> int:
        """The position saved last for `consumer`; 0 if never."""
        ...

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Save it, forward or back; raises `InvalidArgument` if it lies beyond the head."""
        ...

    async def verify(self, *, witness: Witness | None = None) -> VerifyReport:
        """Recompute the chain of digests over the whole log, and hold it against `witness`."""
        ...

    async def aclose(self) -> None:
        """Finish what was accepted and let go of everything; closing twice is no error."""
        ...


def category_of(stream: str) -> str:
    """The part of a stream's name before the first dash; the whole name if it has none."""
    return stream.partition("-")[0]
