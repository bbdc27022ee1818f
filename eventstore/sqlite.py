"""`SqliteStore`: the log as one SQLite file; group commit, own readers, wake-up across processes."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar, get_args

import anyio
from anyio.to_thread import run_sync

from eventstore._archive import archive
from eventstore._backup import backup, new_path
from eventstore._news import News
from eventstore._opening import Opening
from eventstore._place import log_path
from eventstore._plan import Request
from eventstore._reader import Reader, Readers, Slice
from eventstore._replay import Replay
from eventstore._watch import Watch
from eventstore._writer import Writer
from eventstore.checks import (
    check_append,
    check_checkpoint,
    check_filter,
    check_range,
    check_text,
    check_witness,
    events_of,
)
from eventstore.errors import InvalidArgument, StoreClosed, StoreReadOnly, WrongLoop
from eventstore.model import (
    ANY,
    Appended,
    Archived,
    Checkpoint,
    NewEvent,
    RecordedEvent,
    VerifyReport,
    Witness,
    category_of,
)
from eventstore.replay import Batch, Column, Decoder, Decoders, check_replay
from eventstore.verify import Verifier

__all__ = ["SqliteStore", "Synchronous"]

_T = TypeVar("_T")

Synchronous = Literal["FULL", "NORMAL", "OFF"]
"""FULL: acknowledged means on disk. NORMAL: a power cut may take the last moments, a crash of the process
nothing. OFF: for logs that nobody will miss."""

_FIRST_SLICE: Final = 256
_SLICE: Final = 2048
_LIVE_SLICE: Final = 64
_REPLAYED: Final = 1024
"""Rows at a time: few enough to be in the processor's cache still when they are decoded."""
_SOON_S: Final = 0.003
"""A slice that takes longer is fetched by a thread, and the next one too."""


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class SqliteStore:
    """`EventStore` in one file; belongs to the event loop that opened it."""

    def __init__(self, readers: Readers, path: Path, busy_s: float) -> None:
        """Use `SqliteStore.open`."""
        self.path = path
        self._busy_s = busy_s
        self._readers = readers
        self._writer: Writer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads = anyio.CapacityLimiter(4)
        self._news = News()
        self._listeners = self._unheard = 0
        self._closed = False
        self._watch: Watch | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        read_only: bool = False,
        synchronous: Synchronous = "FULL",
        in_thread: bool = False,
        clock_ms: Callable[[], int] | None = None,
        busy_s: float = 10.0,
    ) -> "Opening[SqliteStore]":
        """`async with SqliteStore.open(path) as store`, or `store = await SqliteStore.open(path)`.

        Creates the log if there is none (never if `read_only`). Small appends are written on the event loop
        while the disk answers at once; `in_thread`: never, for a loop that no disk that stalls may stop.
        `busy_s` is how long an append waits for other processes. Raises `StoreNotFound`, `StoreIncompatible`,
        `StoreReadOnly`, `StoreBusy`, `StoreCorrupt`, `InvalidArgument`.
        """
        how = partial(
            Writer,
            synchronous=synchronous,
            in_thread=in_thread,
            busy_s=busy_s,
            clock_ms=clock_ms or _wall_clock_ms,
        )
        return Opening(partial(cls._open, path, read_only, synchronous, how, busy_s))

    @classmethod
    def _open(
        cls, name: str | Path, read_only: bool, synchronous: str, how: Callable[[Path], Writer], busy_s: Any
    ) -> Self:
        if synchronous not in get_args(Synchronous):
            raise InvalidArgument(f"{synchronous!r} is no way to sync.", remedy="Use FULL, NORMAL or OFF.")
        if not isinstance(busy_s, int | float) or not 0 <= busy_s < math.inf:
            raise InvalidArgument(f"Nobody waits {busy_s!r} seconds.", remedy="Give seconds from 0 on.")
        path = log_path(name)
        if read_only:
            return cls(Readers(path, busy_s), path, busy_s)
        writer = how(path)
        try:
            store = cls(Readers(path, busy_s), path, busy_s)
        except BaseException:
            writer.abandon()
            raise
        store._writer = writer
        return store

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which loop it belongs to; done by `open`."""
        self._loop = loop
        ringer = None
        if self._writer is not None:
            self._writer.attach(loop, self._wrote)
            ringer = self._writer.ringer
        self._watch = Watch(self.path, loop, self._news.hear, ringer)

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int = ANY,
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        """See `EventStore.append`."""
        events = events_of(events)
        ids = check_append(stream, events, expected_version, checkpoint)
        writer, loop = self._own_writer(), self._own_loop()
        # A caller that is cancelled here cancels the answer: the writer then skips the request if it has
        # not begun with it; else it is recorded whole.
        answer: asyncio.Future[Appended] = loop.create_future()
        request = Request(stream, events, ids, expected_version, checkpoint, answer)
        while not writer.put(request):
            await writer.room()
        if not answer.done() or self._unheard or self._listeners or writer.turn_is_over():
            self._unheard += 1
            try:
                # Whoever was recorded before or waits for events goes on first; and nobody waits for long.
                await (asyncio.sleep(0) if answer.done() else answer)
            finally:
                self._unheard -= 1
        return answer.result()

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """See `EventStore.save_checkpoint`."""
        check_checkpoint(checkpoint)
        await self.append("-", (), checkpoint=checkpoint)

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as error:
            # A coroutine that goes on in a child after a fork.
            raise WrongLoop from error
        if loop is not self._loop:
            raise WrongLoop
        return loop

    def _own_writer(self) -> Writer:
        if self._closed:
            raise StoreClosed
        if self._writer is None:
            raise StoreReadOnly(
                f"{self.path} was opened for reading only.", remedy="Open it without read_only."
            )
        return self._writer

    def _wrote(self, recorded: Callable[[], list[RecordedEvent]] | None) -> None:
        if self._listeners:
            self._news.hear(None if recorded is None else recorded())

    async def _read(self, work: Callable[[Reader], _T]) -> _T:
        if self._closed:
            raise StoreClosed
        self._own_loop()
        return await run_sync(self._readers.run, work, limiter=self._threads)

    def read(
        self, stream: str, *, after_version: int = 0, limit: int | None = None, backward: bool = False
    ) -> AsyncIterator[RecordedEvent]:
        """See `EventStore.read`."""

        def work(after: int, before: int | None, count: int) -> Callable[[Reader], Slice]:
            return lambda reader: reader.stream(stream, after, before, count, backward)

        return self._slices(work, after_version, limit, backward, partial(check_text, stream, "Stream name"))

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

        check = partial(check_filter, category, correlation_id)
        return self._slices(work, after_position, limit, backward, check)

    async def _slices(
        self,
        work: Callable[[int, int | None, int], Callable[[Reader], Slice]],
        after: int,
        limit: int | None,
        backward: bool,
        check: Callable[[], None],
    ) -> AsyncIterator[RecordedEvent]:
        check_range(after, limit)
        check()
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
        check_replay(columns, after_position, category, verify)
        verifier = Verifier() if verify else None
        work = Replay(Decoders(decoder), columns, after_position, category, verifier, self._event_at)
        soon = False
        while not work.done:
            start = time.monotonic()
            if soon and not self._closed:
                # A few hundred rows that the system has at hand cost less than a thread that fetches them.
                batch = self._readers.run(work.step(_REPLAYED))
                await asyncio.sleep(0)
            else:
                batch = await self._read(work.step(_REPLAYED))
            soon = time.monotonic() - start < _SOON_S
            if batch is not None:
                yield batch

    def _event_at(self, position: int) -> RecordedEvent:
        return self._readers.run(lambda reader: reader.event(position))

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        """See `EventStore.subscribe`."""
        check_range(after_position, None)
        check_filter(category)
        position, live = after_position, False

        def work(after: int, count: int) -> Callable[[Reader], Slice]:
            return lambda reader: reader.log(after, None, count, False, category)

        if self._closed or self._watch is None:
            raise StoreClosed
        self._own_loop()
        self._watch.start()
        self._listeners += 1
        news, seen = self._news, -1
        try:
            while True:
                count, unknown = news.count, news.unknown
                fresh = news.after(position) if live and seen == unknown else None
                if fresh is None:
                    if live and not self._closed:
                        # A few events: a thread would take longer than the reading.
                        part = self._readers.run(work(position, _LIVE_SLICE))
                    else:
                        part = await self._read(work(position, _SLICE))
                    for event in part.events:
                        yield event
                    position, live = part.next_after, part.done
                    seen = unknown
                else:
                    for event in fresh:
                        if event.position > position and (
                            category is None or category_of(event.stream) == category
                        ):
                            yield event
                    if fresh:
                        position = fresh[-1].position
                if live and (fresh is None or not fresh):
                    if self._closed:
                        raise StoreClosed
                    await news.wait(count)
        finally:
            self._listeners -= 1
            self._watch.stop()

    async def version(self, stream: str) -> int:
        """See `EventStore.version`."""
        check_text(stream, "Stream name")
        return await self._read(lambda reader: reader.version(stream))

    async def head(self) -> int:
        """See `EventStore.head`."""
        return await self._read(Reader.head)

    async def checkpoint(self, consumer: str) -> int:
        """See `EventStore.checkpoint`."""
        check_text(consumer, "Consumer name")
        return await self._read(lambda reader: reader.checkpoint(consumer))

    async def verify(self, *, witness: Witness | None = None) -> VerifyReport:
        """See `EventStore.verify`."""
        check_witness(witness)
        return await self._read(lambda reader: reader.verify(witness))

    async def check_file(self) -> tuple[str, ...]:
        """What SQLite finds wrong with the file, in its words; empty if nothing. Reads all of it."""
        return await self._read(Reader.check_file)

    async def backup(self, target: str | Path) -> VerifyReport:
        """Copy the log as it is at one moment to the new file `target`, while others write.

        The copy appears there whole, verified and synced, or not at all. Raises `InvalidArgument` if there
        is a file already, `StoreReadOnly`, `StoreFull`, `StoreCorrupt`.
        """
        return await self._read(backup(new_path(target)))

    async def archive(self, streams: Sequence[str], name: str) -> Archived:
        """Move the data of finished streams to a new log, the file `name` beside this one.

        That replays and verifies by itself. Here the events keep their places, and are read as ever as long as the
        archive lies beside the log. Appends wait meanwhile for the last part, which makes the file smaller. Raises
        `InvalidArgument` for a stream that is not there or in an archive already, or if there is such a file.
        """
        self._own_writer()
        return await run_sync(archive, self.path, streams, name, self._busy_s)

    async def archived(self) -> frozenset[str]:
        """The streams whose data was moved to archives."""
        return await self._read(lambda reader: reader.archived())

    async def aclose(self) -> None:
        """See `EventStore.aclose`."""
        if self._closed:
            return
        self._own_loop()
        self._closed = True
        if self._watch is not None:
            self._watch.close()
        with anyio.CancelScope(shield=True):
            # The writer last: the last connection that may write cleans up the WAL.
            self._readers.close()
            if self._writer is not None:
                await self._writer.close()
            self._news.wake()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
