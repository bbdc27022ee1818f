"""A log in memory: a synchronous core for simulations, and the store around it for everything else."""

import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel
from msgspec.structs import replace

from eventstore._frames import new_frames
from eventstore.chain import ITEMS, Chain, Frame, Keyring, Mark, adler32, encode_frame, record, seal
from eventstore.checks import (
    check_append,
    check_checkpoint,
    check_filter,
    check_range,
    check_text,
    check_time,
    check_witness,
    events_of,
    repeated_append,
)
from eventstore.errors import StoreClosed, VersionConflict
from eventstore.model import (
    ANY,
    Appended,
    Checkpoint,
    NewEvent,
    RecordedEvent,
    VerifyReport,
    Witness,
    category_of,
)
from eventstore.replay import Batch, Column, Decoder, Decoders, batch_of, broken, check_replay
from eventstore.verify import Verifier

__all__ = ["MemoryLog", "MemoryStore"]


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class MemoryLog:
    """The same promises as a store, without durability and without waiting; not for several threads.

    `listeners` are called after every append that recorded something.
    """

    def __init__(self, *, clock_ms: Callable[[], int] = _wall_clock_ms) -> None:
        self.listeners: list[Callable[[], None]] = []
        self._clock_ms = clock_ms
        self._events: list[RecordedEvent] = []
        self._chain = Chain()
        self._keys = Keyring()
        self._frames: list[Frame] = []
        self._marks: list[Mark] = []
        self._streams: dict[str, list[RecordedEvent]] = {}
        self._by_id: dict[str, RecordedEvent] = {}
        self._positions: dict[str, int] = {}
        self._checkpoints: dict[str, int] = {}

    def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int = ANY,
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        """See `EventStore.append`."""
        events = events_of(events)
        check_append(stream, events, expected_version, checkpoint)
        answer = repeated_append(stream, events, [self._by_id.get(event.event_id) for event in events])
        version = self.version(stream)
        if answer is None:
            if expected_version not in (ANY, version):
                raise VersionConflict(stream, expected_version, version)
            answer = Appended(
                stream=stream,
                first_version=version + 1,
                last_version=version + len(events),
                first_position=self.head() + 1,
                last_position=self.head() + len(events),
                repeated=False,
            )
        if checkpoint is not None:
            check_checkpoint(checkpoint, max(self.head(), answer.last_position))
        new = bool(events) and not answer.repeated
        if new:
            self._record(stream, events)
        if checkpoint is not None:
            self._checkpoints[checkpoint.consumer] = checkpoint.position
        if new:
            for listener in tuple(self.listeners):
                listener()
        return answer

    def _record(self, stream: str, events: Sequence[NewEvent]) -> None:
        now_ms = check_time(self._clock_ms())
        own = self._streams.setdefault(stream, [])
        for event in events:
            recorded = record(
                event,
                stream=stream,
                version=len(own) + 1,
                position=len(self._events) + 1,
                recorded_at_ms=now_ms,
            )
            frame = self._keys.frame(recorded, self._positions)
            encoded = encode_frame(frame)
            checksum = adler32(encoded)
            recorded = replace(recorded, checksum=checksum)
            mark: Mark = checksum
            for _, digest in self._chain.extend([encoded]):
                mark = seal(checksum, digest)
            self._events.append(recorded)
            self._frames.append(frame)
            self._marks.append(mark)
            own.append(recorded)
            self._by_id[event.event_id] = recorded
            self._positions[event.event_id] = recorded.position

    def read(
        self, stream: str, *, after_version: int = 0, limit: int | None = None, backward: bool = False
    ) -> Iterator[RecordedEvent]:
        """See `EventStore.read`."""
        check_range(after_version, limit)
        check_text(stream, "Stream name")
        events = self._streams.get(stream, [])[after_version:]
        return iter((events[::-1] if backward else events)[:limit])

    def read_all(
        self,
        *,
        after_position: int = 0,
        limit: int | None = None,
        category: str | None = None,
        correlation_id: str | None = None,
        backward: bool = False,
    ) -> Iterator[RecordedEvent]:
        """See `EventStore.read_all`."""
        check_range(after_position, limit)
        check_filter(category, correlation_id)
        events = [
            event
            for event in self._events[after_position:]
            if (category is None or category_of(event.stream) == category)
            and (correlation_id is None or event.correlation_id == correlation_id)
        ]
        return iter((events[::-1] if backward else events)[:limit])

    def version(self, stream: str) -> int:
        """Version of the stream's last event; 0 if it is empty."""
        check_text(stream, "Stream name")
        return len(self._streams.get(stream, ()))

    def head(self) -> int:
        """Position of the log's last event; 0 if it is empty."""
        return len(self._events)

    def checkpoint(self, consumer: str) -> int:
        """The position saved last for `consumer`; 0 if never."""
        check_text(consumer, "Consumer name")
        return self._checkpoints.get(consumer, 0)

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """See `EventStore.save_checkpoint`."""
        check_checkpoint(checkpoint, self.head())
        self._checkpoints[checkpoint.consumer] = checkpoint.position

    def replay(
        self,
        decoder: Decoder,
        *,
        columns: Sequence[Column] = ("position",),
        after_position: int = 0,
        category: str | None = None,
        verify: bool = False,
    ) -> Iterator[Batch]:
        """See `EventStore.replay`."""
        check_replay(columns, after_position, category, verify)
        fault = self.verify().fault if verify else None
        events = list(self.read_all(after_position=after_position, category=category))
        good = [event for event in events if fault is None or event.position < fault.position]
        if good:
            yield batch_of(good, columns, Decoders(decoder))
        if fault is not None:
            raise broken(fault)

    def verify(self, *, witness: Witness | None = None) -> VerifyReport:
        """See `EventStore.verify`."""
        check_witness(witness)
        verifier = Verifier(witness)
        firsts = {index: frame[ITEMS:] for index, frame in enumerate(self._frames) if len(frame) > ITEMS}
        columns = tuple(map(list, zip(*(frame[:ITEMS] for frame in self._frames), strict=True)))
        verifier.feed(columns, new_frames(columns, firsts), self._marks)
        return verifier.report()


class MemoryStore:
    """`EventStore` over a `MemoryLog`; for tests and for logs that nobody will miss."""

    def __init__(self, log: MemoryLog | None = None, *, clock_ms: Callable[[], int] = _wall_clock_ms) -> None:
        self.log = MemoryLog(clock_ms=clock_ms) if log is None else log
        self._closed = False
        self._accepted = 0
        """Appends that wait for their turn."""
        self._news = anyio.Event()
        self.log.listeners.append(self._wake)

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def _turn(self) -> MemoryLog:
        await anyio.lowlevel.checkpoint()
        if self._closed:
            raise StoreClosed
        return self.log

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int = ANY,
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        """See `EventStore.append`."""
        # Before it waits: the caller may change its list meanwhile.
        events = events_of(events)
        if self._closed:
            raise StoreClosed
        self._accepted += 1
        try:
            await anyio.lowlevel.checkpoint()
            return self.log.append(stream, events, expected_version=expected_version, checkpoint=checkpoint)
        finally:
            self._accepted -= 1

    async def read(
        self, stream: str, *, after_version: int = 0, limit: int | None = None, backward: bool = False
    ) -> AsyncIterator[RecordedEvent]:
        """See `EventStore.read`."""
        log = await self._turn()
        for event in log.read(stream, after_version=after_version, limit=limit, backward=backward):
            yield event

    async def read_all(
        self,
        *,
        after_position: int = 0,
        limit: int | None = None,
        category: str | None = None,
        correlation_id: str | None = None,
        backward: bool = False,
    ) -> AsyncIterator[RecordedEvent]:
        """See `EventStore.read_all`."""
        log = await self._turn()
        for event in log.read_all(
            after_position=after_position,
            limit=limit,
            category=category,
            correlation_id=correlation_id,
            backward=backward,
        ):
            yield event

    async def replay(
        self,
        decoder: Decoder,
        *,
        columns: Sequence[Column] = ("position",),
        after_position: int = 0,
        category: str | None = None,
        verify: bool = False,
    ) -> AsyncIterator[Batch]:
        """See `EventStore.replay`."""
        log = await self._turn()
        for batch in log.replay(
            decoder, columns=columns, after_position=after_position, category=category, verify=verify
        ):
            yield batch

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        """See `EventStore.subscribe`."""
        check_range(after_position, None)
        check_filter(category)
        position = after_position
        while True:
            log = await self._turn()
            head = log.head()
            news = self._news
            for event in log.read_all(after_position=position, category=category):
                yield event
            # Appends during the loop above went to the list after its copy was taken: stop at that head.
            position = max(position, head)
            if log.head() <= position:
                await news.wait()

    async def version(self, stream: str) -> int:
        """See `EventStore.version`."""
        return (await self._turn()).version(stream)

    async def head(self) -> int:
        """See `EventStore.head`."""
        return (await self._turn()).head()

    async def checkpoint(self, consumer: str) -> int:
        """See `EventStore.checkpoint`."""
        return (await self._turn()).checkpoint(consumer)

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """See `EventStore.save_checkpoint`."""
        (await self._turn()).save_checkpoint(checkpoint)

    async def verify(self, *, witness: Witness | None = None) -> VerifyReport:
        """See `EventStore.verify`."""
        return (await self._turn()).verify(witness=witness)

    async def aclose(self) -> None:
        """See `EventStore.aclose`."""
        if not self._closed:
            self._closed = True
            with anyio.CancelScope(shield=True):
                while self._accepted:
                    await anyio.lowlevel.checkpoint()
            self.log.listeners.remove(self._wake)
            self._wake()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
