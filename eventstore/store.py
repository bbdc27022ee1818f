"""What every event store promises."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from eventstore.model import ANY, Appended, Checkpoint, NewEvent, RecordedEvent, VerifyReport, Witness
from eventstore.replay import Batch, Column, Decoder

__all__ = ["EventStore"]


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
        saved in the same transaction, also then; with no events it is just saved. Of callers that wait at once,
        those go on first whose events are recorded first. A caller that is cancelled while it waits finds all of
        the events recorded later, or none.

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
        decoder: Decoder,
        *,
        columns: Sequence[Column] = ("position",),
        after_position: int = 0,
        category: str | None = None,
        verify: bool = False,
    ) -> AsyncIterator[Batch]:
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
