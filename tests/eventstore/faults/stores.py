"""Stores in memory with one planted fault each, in how they wait, wake and close."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio.lowlevel
from msgspec import structs

from eventstore import (
    Appended,
    MemoryStore,
    NewEvent,
    RecordedEvent,
    StoreBusy,
)
from tests.eventstore.faults.answers import joined


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


class InTwoParts(MemoryStore):
    """Records an append that asks for nothing else in two parts, once it has so many events."""

    least: int
    first: int

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        if options or len(events) < self.least:
            return await super().append(stream, events, **options)
        first = await super().append(stream, events[: self.first])
        return joined(first, await super().append(stream, events[self.first :]))


class ShowsLargeAppendsInParts(InTwoParts):
    least, first = 3_500, 2_000


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


class RecordsBeforeItCanBeCancelled(InTwoParts):
    """With a wait between: half an append is left behind."""

    least, first = 2, 1


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
