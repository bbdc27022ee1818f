"""Stores in memory with one planted fault each, in what callers at the same time do to each other."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import anyio.lowlevel

from eventstore import (
    ANY,
    Appended,
    Checkpoint,
    DuplicateEvent,
    EventStoreError,
    MemoryStore,
    NewEvent,
    RecordedEvent,
    StoreClosed,
)
from tests.eventstore.faults.answers import followed, joined, repeat_of


class WakesOneSubscriber(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[anyio.Event] = []

    def _wake(self) -> None:
        if self.waiting:
            self.waiting.pop(0).set()

    async def _until_woken(self) -> None:
        news = anyio.Event()
        self.waiting.append(news)
        await news.wait()

    def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        return followed(self, after_position, category, self._until_woken)


class DeafensAllWhenOneSubscriptionIsCancelled(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.hearing: set[object] = set()

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        own = object()
        self.hearing.add(own)
        try:
            async for event in super().subscribe(after_position=after_position, category=category):
                if own not in self.hearing:
                    await anyio.sleep_forever()
                yield event
        except asyncio.CancelledError:
            self.hearing.clear()
            raise


class LosesTheEndOfALargeAppendToItsSubscribers(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async for event in super().subscribe(after_position=after_position, category=category):
            if event.version <= 8_192:
                yield event


class CancelsAllOfABatch(MemoryStore):
    """Where one future answers all that were recorded together, a cancelled caller cancels it for all."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[tuple[str, Sequence[NewEvent], dict[str, Any]]] = []
        self.answers: asyncio.Future[list[Appended | EventStoreError]] | None = None

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        await anyio.lowlevel.checkpoint()
        if self.answers is None or self.answers.cancelled():
            loop = asyncio.get_running_loop()
            self.answers, self.jobs = loop.create_future(), []
            loop.call_soon(self._record_all, self.answers, self.jobs)
        answers, index = self.answers, len(self.jobs)
        self.jobs.append((stream, events, options))
        answer = (await answers)[index]
        if isinstance(answer, EventStoreError):
            raise answer
        return answer

    def _record_all(self, answers: asyncio.Future[list[Appended | EventStoreError]], jobs: list[Any]) -> None:
        if self.answers is answers:
            self.answers = None
        if not answers.cancelled():
            answers.set_result([self._record(*job) for job in jobs])

    def _record(
        self, stream: str, events: Sequence[NewEvent], options: dict[str, Any]
    ) -> Appended | EventStoreError:
        try:
            return StoreClosed() if self._closed else self.log.append(stream, events, **options)
        except EventStoreError as error:
            return error


class ComparesNothingWithinABatch(MemoryStore):
    """Takes appends of the same ids that wait together for repeats, whatever they hold."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: set[tuple[str, ...]] = set()

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        ids = (stream, *(event.event_id for event in events))
        first = ids not in self.waiting
        self.waiting.add(ids)
        try:
            return await super().append(stream, events, **options)
        except DuplicateEvent:
            known = [self.log._by_id.get(key) for key in ids[1:]]
            start, last = known[0], known[-1]
            if first or start is None or last is None or start.stream != stream:
                raise
            return repeat_of(start, last)
        finally:
            if first:
                self.waiting.discard(ids)


class RecordsExpectedAppendsInParts(MemoryStore):
    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int = ANY,
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        if len(events) < 4 or expected_version == ANY or checkpoint is not None:
            return await super().append(
                stream, events, expected_version=expected_version, checkpoint=checkpoint
            )
        first = await super().append(stream, events[:-1], expected_version=expected_version)
        return joined(first, await super().append(stream, events[-1:]))


class RecordsCheckpointedAppendsInParts(MemoryStore):
    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        checkpoint: Checkpoint | None = None,
        **options: Any,
    ) -> Appended:
        if len(events) < 4 or checkpoint is None:
            return await super().append(stream, events, checkpoint=checkpoint, **options)
        first = await super().append(stream, events[:-1], **options)
        return joined(first, await super().append(stream, events[-1:], checkpoint=checkpoint))
