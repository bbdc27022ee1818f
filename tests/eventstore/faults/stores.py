"""Stores in memory with one planted fault each, in how they wait, wake and close."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import anyio.lowlevel
from msgspec import structs

from eventstore import (
    ANY,
    Appended,
    Checkpoint,
    MemoryStore,
    NewEvent,
    RecordedEvent,
    StoreBusy,
)


class SwallowsWakeUps(MemoryStore):
    def _wake(self) -> None:
        if self._closed:
            super()._wake()


class SkipsAheadWhenItGoesLive(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async for event in self.read_all(after_position=after_position, category=category):
            yield event
        await anyio.lowlevel.checkpoint()
        async for event in super().subscribe(after_position=self.log.head(), category=category):
            yield event


class RepeatsWhenItGoesLive(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        head = self.log.head()
        async for event in self.read_all(after_position=after_position, category=category):
            yield event
        async for event in super().subscribe(after_position=min(head, after_position), category=category):
            yield event


class ShowsLargeAppendsInParts(MemoryStore):
    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int = ANY,
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        if len(events) < 3_500 or expected_version != ANY:
            return await super().append(
                stream, events, expected_version=expected_version, checkpoint=checkpoint
            )
        first = await super().append(stream, events[:2_000])
        last = await super().append(stream, events[2_000:])
        return structs.replace(last, first_version=first.first_version, first_position=first.first_position)


class DropsTheOldestForASlowSubscriber(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async for event in super().subscribe(after_position=after_position, category=category):
            if event.position > self.log.head() - 1_000:
                yield event


class SubscribesFromTheStart(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async for event in super().subscribe(after_position=min(after_position, 0), category=category):
            yield event


class TellsSubscribersOfRepeats(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.again: list[RecordedEvent] = []

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        answer = await super().append(stream, events, **options)
        if answer.repeated:
            self.again += self.log.read_all(after_position=answer.first_position - 1, limit=len(events))
        return answer

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async for event in super().subscribe(after_position=after_position, category=category):
            yield event
            while self.again:
                yield self.again.pop()


class SubscribersGetOtherTimes(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async for event in super().subscribe(after_position=after_position, category=category):
            yield structs.replace(event, recorded_at_ms=event.recorded_at_ms + 1)


class RefusesACrowd(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        self.waiting += 1
        try:
            if self.waiting > 4_096:
                raise StoreBusy("Too many wait.", remedy="Try again.")
            return await super().append(stream, events, **options)
        finally:
            self.waiting -= 1


class AcknowledgesInAnyOrder(MemoryStore):
    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        answer = await super().append(stream, events, **options)
        for _ in range(answer.last_position % 5):
            await anyio.lowlevel.checkpoint()
        return answer


class LosesItsWriterToACancelledCaller(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.lock = anyio.Lock()
        self.held = False

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        while self.held:
            await anyio.lowlevel.checkpoint()
        self.held = True
        answer = await super().append(stream, events, **options)
        self.held = False
        return answer


class LeavesSubscribersWaitingWhenClosed(MemoryStore):
    async def aclose(self) -> None:
        self._closed = True


class RecordsBeforeItCanBeCancelled(MemoryStore):
    """One event at a time, with a wait between: half an append is left behind."""

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int = ANY,
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        if expected_version != ANY or checkpoint is not None or len(events) < 2:
            return await super().append(
                stream, events, expected_version=expected_version, checkpoint=checkpoint
            )
        first = await super().append(stream, events[:1])
        last = await super().append(stream, events[1:])
        return structs.replace(last, first_version=first.first_version, first_position=first.first_position)


class IsUsableWhenClosed(MemoryStore):
    async def aclose(self) -> None:
        self._wake()


FAULTY_STORES: list[type[MemoryStore]] = [
    AcknowledgesInAnyOrder,
    DropsTheOldestForASlowSubscriber,
    IsUsableWhenClosed,
    LeavesSubscribersWaitingWhenClosed,
    LosesItsWriterToACancelledCaller,
    RecordsBeforeItCanBeCancelled,
    RefusesACrowd,
    RepeatsWhenItGoesLive,
    ShowsLargeAppendsInParts,
    SkipsAheadWhenItGoesLive,
    SubscribersGetOtherTimes,
    SubscribesFromTheStart,
    SwallowsWakeUps,
    TellsSubscribersOfRepeats,
]
