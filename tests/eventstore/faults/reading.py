"""Stores in memory with one planted fault each, in reads that go on beside others."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import anyio.lowlevel

from eventstore import (
    Appended,
    Batch,
    MemoryStore,
    NewEvent,
    RecordedEvent,
    StoreCorrupt,
    VerifyReport,
)
from eventstore.model import Fault


class SharesOneCursor(MemoryStore):
    """A read that begins ends the one before."""

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.cursor = 0

    async def read_all(self, **asked: Any) -> AsyncIterator[RecordedEvent]:
        self.cursor += 1
        mine = self.cursor
        async for event in super().read_all(**asked):
            if mine != self.cursor:
                return
            yield event


class SharesOneCursorForStreams(MemoryStore):
    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.rows: list[RecordedEvent] = []

    async def read(self, stream: str, **asked: Any) -> AsyncIterator[RecordedEvent]:
        log = await self._turn()
        self.rows = list(log.read(stream, **asked))
        while self.rows:
            yield self.rows.pop(0)


class ReadsAtMostTwentyAtATime(MemoryStore):
    """One that was left half way keeps its place."""

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.room = anyio.Semaphore(20)

    async def read_all(self, **asked: Any) -> AsyncIterator[RecordedEvent]:
        await self.room.acquire()
        async for event in super().read_all(**asked):
            yield event
        self.room.release()


class ReadsStreamsAtMostTwentyAtATime(MemoryStore):
    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.room = anyio.Semaphore(20)

    async def read(self, stream: str, **asked: Any) -> AsyncIterator[RecordedEvent]:
        async with self.room:
            async for event in super().read(stream, **asked):
                yield event


class HoldsAppendsUpWhileItReplays(MemoryStore):
    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.turn = anyio.Semaphore(1)

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        async with self.turn:
            return await super().append(stream, events, **options)

    async def replay(self, decoder: Any, **asked: Any) -> AsyncIterator[Batch]:
        async with self.turn:
            async for batch in super().replay(decoder, **asked):
                yield batch


class FindsFaultsWhileOthersWrite(MemoryStore):
    async def verify(self, **asked: Any) -> VerifyReport:
        await anyio.lowlevel.checkpoint()
        head = self.log.head()
        await anyio.lowlevel.checkpoint()
        report = await super().verify(**asked)
        if report.ok and report.events != head:
            fault = Fault(position=head + 1, what="more than there is")
            return VerifyReport(events=head, head_digest=report.head_digest, fault=fault)
        return report


class FindsFaultsInAReplayWhileOthersWrite(MemoryStore):
    async def replay(self, decoder: Any, *, verify: bool = False, **asked: Any) -> AsyncIterator[Batch]:
        head = self.log.head()
        async for batch in super().replay(decoder, verify=verify, **asked):
            yield batch
        if verify and self.log.head() != head:
            raise StoreCorrupt("It ends elsewhere.", remedy="")


class EndsAReadOfACategoryWhereTheLogGrows(MemoryStore):
    async def read_all(self, *, category: str | None = None, **asked: Any) -> AsyncIterator[RecordedEvent]:
        head = self.log.head()
        async for event in super().read_all(category=category, **asked):
            if category is not None and self.log.head() != head and not asked.get("backward"):
                return
            yield event


class ReadsBackwardFromWhereTheLastReadEnded(MemoryStore):
    """With no filter: what came last is not seen by a question for the last event."""

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.known = 0

    async def read_all(
        self, *, backward: bool = False, limit: int | None = None, **asked: Any
    ) -> AsyncIterator[RecordedEvent]:
        known, self.known = self.known, self.log.head()
        async for event in super().read_all(backward=backward, limit=limit, **asked):
            stale = backward and limit == 1 and event.position == known + 1 and known > 0
            if not stale or asked.get("category") or asked.get("correlation_id"):
                yield event


class KeepsAPlaceForEachCancelledRead(MemoryStore):
    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.room = anyio.Semaphore(8)

    async def version(self, stream: str) -> int:
        await self.room.acquire()
        found = await super().version(stream)
        self.room.release()
        return found


class KeepsAPlaceForEachCancelledCheckpoint(MemoryStore):
    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.room = anyio.Semaphore(8)

    async def save_checkpoint(self, checkpoint: Any) -> None:
        await self.room.acquire()
        await super().save_checkpoint(checkpoint)
        self.room.release()


class KeepsAPlaceForEachCancelledReplay(MemoryStore):
    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.room = anyio.Semaphore(8)

    async def replay(self, decoder: Any, **asked: Any) -> AsyncIterator[Batch]:
        await self.room.acquire()
        async for batch in super().replay(decoder, **asked):
            yield batch
        self.room.release()
