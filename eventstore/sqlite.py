"""`SqliteStore`: the log as one SQLite file; group commit, own readers, wake-up across processes."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

import anyio
from anyio.to_thread import run_sync

from eventstore._backup import backup
from eventstore._bell import Bell
from eventstore._ledger import Request
from eventstore._reader import Reader, Readers, Slice
from eventstore._writer import Writer
from eventstore.checks import check_append, check_checkpoint, check_range
from eventstore.errors import EventStoreError, StoreClosed, StoreReadOnly
from eventstore.model import ANY, Appended, Checkpoint, NewEvent, RecordedEvent, VerifyReport, Witness

__all__ = ["SqliteStore", "Synchronous"]

_T = TypeVar("_T")

Synchronous = Literal["FULL", "NORMAL", "OFF"]
"""FULL: acknowledged means on disk. NORMAL: a power cut may take the last moments, a crash of the process
nothing. OFF: for logs that nobody will miss."""

_FIRST_SLICE: Final = 256
_SLICE: Final = 2048
_LIVE_SLICE: Final = 64
_POLL_S: Final = 0.005
"""How often to look for what other processes have committed, where no bell can be hung."""
_POLL_WITH_BELL_S: Final = 0.05
"""The same where a bell rings: for programs that do not ring."""


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class _Opening:
    """`await` it, or enter it with `async with`."""

    def __init__(self, start: Callable[[], "SqliteStore"]) -> None:
        self._start = start
        self._store: SqliteStore | None = None

    def __await__(self) -> Generator[Any, Any, "SqliteStore"]:
        return self._open().__await__()

    async def _open(self) -> "SqliteStore":
        loop = asyncio.get_running_loop()
        store = await run_sync(self._start)
        store._attach(loop)
        return store

    async def __aenter__(self) -> "SqliteStore":
        self._store = await self._open()
        return self._store

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._store is not None
        await self._store.aclose()


class SqliteStore:
    """`EventStore` in one file; belongs to the event loop that opened it."""

    def __init__(self, readers: Readers, path: Path) -> None:
        """Use `SqliteStore.open`."""
        self.path = path
        self._readers = readers
        self._writer: Writer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = anyio.CapacityLimiter(4)
        self._news = anyio.Event()
        self._closed = False
        self._listeners = 0
        self._poll: asyncio.TimerHandle | None = None
        self._poller: Reader | None = None
        self._seen: int | None = None
        self._bell: Bell | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        read_only: bool = False,
        synchronous: Synchronous = "FULL",
        clock_ms: Callable[[], int] | None = None,
        busy_s: float = 10.0,
    ) -> _Opening:
        """`async with SqliteStore.open(path) as store`, or `store = await SqliteStore.open(path)`.

        Creates the log if there is none (never if `read_only`). `busy_s` is how long an append waits for
        other processes. Raises `StoreNotFound`, `StoreIncompatible`, `StoreReadOnly`, `StoreBusy`,
        `StoreCorrupt`.
        """
        return _Opening(
            partial(cls._open, Path(path), read_only, synchronous, clock_ms or _wall_clock_ms, busy_s)
        )

    @classmethod
    def _open(
        cls, path: Path, read_only: bool, synchronous: str, clock_ms: Callable[[], int], busy_s: float
    ) -> Self:
        if read_only:
            return cls(Readers(path, busy_s), path)
        writer = Writer(path, synchronous=synchronous, busy_s=busy_s, clock_ms=clock_ms)
        try:
            store = cls(Readers(path, busy_s), path)
        except BaseException:
            writer.abandon()
            raise
        store._writer = writer
        return store

    def _attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        if self._writer is not None:
            self._writer.attach(loop, self._wake)

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int = ANY,
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        """See `EventStore.append`."""
        events = tuple(events)
        return await self._submit(
            stream,
            events,
            check_append(stream, events, expected_version, checkpoint),
            expected_version,
            checkpoint,
        )

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """See `EventStore.save_checkpoint`."""
        check_checkpoint(checkpoint)
        await self._submit("-", (), [], ANY, checkpoint)

    async def _submit(
        self,
        stream: str,
        events: tuple[NewEvent, ...],
        ids: list[bytes],
        expected_version: int,
        checkpoint: Checkpoint | None,
    ) -> Appended:
        if self._closed:
            raise StoreClosed
        if self._writer is None or self._loop is None:
            raise StoreReadOnly(
                f"{self.path} was opened for reading only.", remedy="Open it without read_only."
            )
        # A caller that is cancelled here cancels the answer: the writer then skips the request if it has
        # not begun with it; else it is recorded whole.
        answer: asyncio.Future[Appended] = self._loop.create_future()
        await self._writer.put(Request(stream, events, ids, expected_version, checkpoint, answer))
        return await answer

    def _wake(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def _read(self, work: Callable[[Reader], _T]) -> _T:
        if self._closed:
            raise StoreClosed
        return await run_sync(self._readers.run, work, limiter=self._threads)

    def read(
        self, stream: str, *, after_version: int = 0, limit: int | None = None, backward: bool = False
    ) -> AsyncIterator[RecordedEvent]:
        """See `EventStore.read`."""

        def work(after: int, before: int | None, count: int) -> Callable[[Reader], Slice]:
            return lambda reader: reader.stream(stream, after, before, count, backward)

        return self._slices(work, after_version, limit, backward)

    def read_all(
        self,
        *,
        after_position: int = 0,
        limit: int | None = None,
        category: str | None = None,
        correlation_id: str | None = None,
        backward: bool = False,
    ) -> AsyncIterator[RecordedEvent]:
        """See `EventStore.read_all`."""

        def work(after: int, before: int | None, count: int) -> Callable[[Reader], Slice]:
            return lambda reader: reader.log(after, before, count, backward, category, correlation_id)

        return self._slices(work, after_position, limit, backward)

    async def _slices(
        self,
        work: Callable[[int, int | None, int], Callable[[Reader], Slice]],
        after: int,
        limit: int | None,
        backward: bool,
    ) -> AsyncIterator[RecordedEvent]:
        check_range(after, limit)
        before: int | None = None
        size = _FIRST_SLICE
        while limit is None or limit > 0:
            count = size if limit is None else min(size, limit)
            part = await self._read(work(after, before, count))
            for event in part.events:
                yield event
            if part.done:
                return
            if backward:
                before = part.next_after
            else:
                after = part.next_after
            if limit is not None:
                limit -= len(part.events)
            size = _SLICE

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        """See `EventStore.subscribe`."""
        check_range(after_position, None)
        position, live = after_position, False

        def work(after: int, count: int) -> Callable[[Reader], Slice]:
            return lambda reader: reader.log(after, None, count, False, category)

        self._listen()
        try:
            while True:
                news = self._news
                if live and not self._closed:
                    # What was just written is in memory: a thread would take longer than the reading.
                    part = self._readers.run(work(position, _LIVE_SLICE))
                else:
                    part = await self._read(work(position, _SLICE))
                for event in part.events:
                    yield event
                position, live = part.next_after, part.done
                if part.done:
                    await news.wait()
        finally:
            self._unlisten()

    def _listen(self) -> None:
        self._listeners += 1
        if self._listeners > 1 or self._loop is None or self._closed:
            return
        try:
            self._bell = Bell(self.path)
        except OSError:
            self._bell = None
        else:
            self._loop.add_reader(self._bell.socket, self._rung)
            if self._writer is not None:
                self._writer.ringer.own = self._bell.name
        self._look()

    def _unlisten(self) -> None:
        self._listeners -= 1
        if not self._listeners:
            self._stop_looking()

    def _stop_looking(self) -> None:
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None
        if self._bell is not None and self._loop is not None:
            self._loop.remove_reader(self._bell.socket)
            self._bell.close()
            self._bell = None

    def _rung(self) -> None:
        assert self._bell is not None
        self._bell.drain()
        self._wake_on_change()

    def _look(self) -> None:
        assert self._loop is not None
        self._wake_on_change()
        self._poll = self._loop.call_later(_POLL_S if self._bell is None else _POLL_WITH_BELL_S, self._look)

    def _wake_on_change(self) -> None:
        """Wake the subscriptions if anybody has committed; a few microseconds, so done inline."""
        try:
            if self._poller is None or not self._poller.still_good():
                self._drop_poller()
                self._poller = Reader(self.path, 0.0)
            seen: int | None = self._poller.data_version()
        except (EventStoreError, sqlite3.Error):
            # What is wrong with the file, or only busy for a moment, the subscriptions find out themselves.
            self._drop_poller()
            seen = None
        if seen is None or seen != self._seen:
            self._seen = seen
            self._wake()

    def _drop_poller(self) -> None:
        self._seen = None
        if self._poller is not None:
            self._poller.connection.close()
            self._poller = None

    async def version(self, stream: str) -> int:
        """See `EventStore.version`."""
        return await self._read(lambda reader: reader.version(stream))

    async def head(self) -> int:
        """See `EventStore.head`."""
        return await self._read(Reader.head)

    async def checkpoint(self, consumer: str) -> int:
        """See `EventStore.checkpoint`."""
        return await self._read(lambda reader: reader.checkpoint(consumer))

    async def verify(self, *, witness: Witness | None = None) -> VerifyReport:
        """See `EventStore.verify`."""
        return await self._read(lambda reader: reader.verify(witness))

    async def check_file(self) -> tuple[str, ...]:
        """What SQLite finds wrong with the file, in its words; empty if nothing. Reads all of it."""
        return await self._read(Reader.check_file)

    async def backup(self, target: Path) -> VerifyReport:
        """Copy the log as it is at one moment to the new file `target`, while others write.

        The copy appears there whole, verified and synced, or not at all. Raises `InvalidArgument` if there
        is a file already, `StoreReadOnly`, `StoreFull`, `StoreCorrupt`.
        """
        return await self._read(lambda reader: backup(reader, target))

    async def aclose(self) -> None:
        """See `EventStore.aclose`."""
        if self._closed:
            return
        self._closed = True
        self._stop_looking()
        with anyio.CancelScope(shield=True):
            # The writer last: the last connection that may write cleans up the WAL.
            self._readers.close()
            self._drop_poller()
            if self._writer is not None:
                await self._writer.close()
            self._wake()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
