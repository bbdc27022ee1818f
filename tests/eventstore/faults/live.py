"""Stores in memory with one planted fault each, in how subscriptions go on live and who wakes them."""

from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import anyio.lowlevel
from msgspec import structs

from eventstore import Appended, MemoryStore, NewEvent, RecordedEvent, StoreClosed, category_of
from eventstore.chain import record


class _Quiet(MemoryStore):
    """Wakes nobody for some appends."""

    def quiet(self, stream: str, events: Sequence[NewEvent], options: dict[str, Any]) -> bool:
        raise NotImplementedError

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.silent = False

    def _wake(self) -> None:
        if not self.silent:
            super()._wake()

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        events = tuple(events)
        await anyio.lowlevel.checkpoint()
        if self._closed:
            raise StoreClosed
        self.silent = self.quiet(stream, events, options)
        try:
            return self.log.append(stream, events, **options)
        finally:
            self.silent = False


class WakesNobodyForExpectedAppends(_Quiet):
    def quiet(self, stream: str, events: Any, options: dict[str, Any]) -> bool:
        return options.get("expected_version", -1) > 0


class WakesNobodyForCheckpointedAppends(_Quiet):
    def quiet(self, stream: str, events: Any, options: dict[str, Any]) -> bool:
        return options.get("checkpoint") is not None


class WakesNobodyForLargeEvents(_Quiet):
    def quiet(self, stream: str, events: Any, options: dict[str, Any]) -> bool:
        return any(len(event.data) > 32_768 for event in events)


class WakesNobodyForMoreThan256(_Quiet):
    def quiet(self, stream: str, events: Any, options: dict[str, Any]) -> bool:
        return 256 < len(events) < 4_000


class WakesNobodyForNewStreams(_Quiet):
    def quiet(self, stream: str, events: Any, options: dict[str, Any]) -> bool:
        return self.log.head() > 3 and not self.log.version(stream)


class WakesNobodyForACancelledAppend(MemoryStore):
    """Which is recorded all the same."""

    def _wake(self) -> None:
        if self._closed or not getattr(self, "silent", False):
            super()._wake()

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        events = tuple(events)
        await anyio.lowlevel.checkpoint()
        if self._closed:
            raise StoreClosed
        self.silent = True
        before = self.log.head()
        try:
            answer = self.log.append(stream, events, **options)
            await anyio.lowlevel.cancel_shielded_checkpoint()
            await anyio.lowlevel.checkpoint_if_cancelled()
        finally:
            self.silent = False
        if self.log.head() > before:
            self._wake()
        return answer


class BringsTheWholeOfTheLastAppend(MemoryStore):
    """To a subscription that waits for a position in its middle."""

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.starts: list[int] = []

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        answer = await super().append(stream, events, **options)
        if not answer.repeated:
            self.starts.append(answer.first_position)
        return answer

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        while not isinstance(after_position, int) or 0 < await self.head() <= after_position < 2**63:
            if await self.head() == after_position:
                break
            await self._news.wait()
            start = max((one for one in self.starts if one <= after_position + 1), default=1)
            if self.log.head() > after_position:
                after_position = start - 1
        async for event in super().subscribe(after_position=after_position, category=category):
            yield event


class RepeatsTheLastWhenItIsWokenForNothing(MemoryStore):
    """By an empty append, or a checkpoint."""

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        answer = await super().append(stream, events, **options)
        if not events or answer.repeated:
            self._wake()
        return answer

    async def save_checkpoint(self, checkpoint: Any) -> None:
        await super().save_checkpoint(checkpoint)
        self._wake()

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        position, last = after_position, None
        while True:
            log, news = await self._turn(), self._news
            found = list(log.read_all(after_position=position, category=category))
            for event in found or ([last] if last is not None else []):
                last = event
                position = max(position, event.position)
                yield event
            if log.head() <= position or not found:
                await news.wait()


class TellsOfEventsBeforeTheyAreRecorded(MemoryStore):
    """To those who wait; a moment later they are."""

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.early: dict[int, RecordedEvent] = {}
        self.turn = anyio.Lock()

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        events = tuple(events)
        async with self.turn:
            await self._turn()
            known = any(event.event_id in self.log._by_id for event in events)
            plain = options.get("expected_version", -1) == -1 and options.get("checkpoint") is None
            if (
                len(events) == 1
                and plain
                and not known
                and stream.isascii()
                and 0 < len(stream) < 100
                and "\0" not in stream
            ):
                event = events[0]
                self.early[self.log.head() + 1] = record(
                    event,
                    stream=stream,
                    version=self.log.version(stream) + 1,
                    position=self.log.head() + 1,
                    recorded_at_ms=0,
                )
                self._wake()
                await anyio.lowlevel.cancel_shielded_checkpoint()
                await anyio.lowlevel.cancel_shielded_checkpoint()
            try:
                return self.log.append(stream, events, **options)
            finally:
                self.early.clear()

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        position = after_position
        while True:
            log, news = await self._turn(), self._news
            found = list(log.read_all(after_position=position, category=category))
            position = max(position, log.head())
            for event in found:
                yield event
            early = self.early.get(position + 1)
            if (
                early is not None
                and log.head() == position
                and (category is None or category_of(early.stream) == category)
            ):
                position += 1
                yield structs.replace(early, recorded_at_ms=1)
            elif log.head() <= position:
                await news.wait()


class GoesDeafWhenTheLastSubscriptionEnds(MemoryStore):
    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.following = 0
        self.deaf = False

    def _wake(self) -> None:
        if self._closed or not self.deaf:
            super()._wake()

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        self.following += 1
        try:
            async for event in super().subscribe(after_position=after_position, category=category):
                yield event
        finally:
            self.following -= 1
            self.deaf = self.deaf or not self.following


class RefusesToFollowFromTheLargestNumber(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        wrapped = 0 if after_position == 2**63 - 1 else after_position
        async for event in super().subscribe(after_position=wrapped, category=category):
            yield event


class FollowsAfterPositionsModuloAWord(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        wrapped = after_position if after_position >= 2**63 else after_position % 2**32
        async for event in super().subscribe(after_position=wrapped, category=category):
            yield event


class DropsLiveEventsOfAMebibyte(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        head = self.log.head()
        async for event in super().subscribe(after_position=after_position, category=category):
            if event.position <= head or len(event.data) < 2**20:
                yield event


class StampsLiveBatchesWithNoTime(MemoryStore):
    """Where more than 16 come together."""

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        seen = self.log.head()
        async for event in super().subscribe(after_position=after_position, category=category):
            many = self.log.head() - seen > 16 and event.position > seen
            if event.position == self.log.head():
                seen = event.position
            yield structs.replace(event, recorded_at_ms=0) if many else event


class RepeatsTheLastOfAFullPageWhenItGoesLive(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        due = self.log.head() - after_position
        count = 0
        async for event in super().subscribe(after_position=after_position, category=category):
            count += 1
            yield event
            if count == due and due % 512 == 0:
                yield event


class LosesTheNextAfterAFullPage(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        due = self.log.head() - after_position
        count = 0
        async for event in super().subscribe(after_position=after_position, category=category):
            count += 1
            if not (due == 64 and count == due + 1):
                yield event


class FollowsAtMostAHundredTimes(MemoryStore):
    """A subscription that was broken off keeps its place."""

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.room = anyio.Semaphore(100)

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        await self.room.acquire()
        async for event in super().subscribe(after_position=after_position, category=category):
            yield event


class SkipsWhatItsNewsNoLongerHold(MemoryStore):
    """Keeps the last appends for those who wait, and does not look whether they have missed some before these."""

    def __init__(self, *words: Any, **more: Any) -> None:
        super().__init__(*words, **more)
        self.heard: deque[int] = deque(maxlen=16)

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        answer = await super().append(stream, events, **options)
        if answer.last_position - answer.first_position > 15:
            self.heard.clear()
        elif not answer.repeated and answer.last_position == self.log.head():
            self.heard.append(answer.first_position)
        return answer

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        position, live = after_position, False
        async for event in super().subscribe(after_position=after_position, category=category):
            if live and self.heard and self.heard[0] > max(position + 1, event.position):
                continue
            position, live = event.position, event.position == self.log.head()
            yield event


class FollowsACategoryByPrefixOnceItWaits(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        caught_up = self.log.head()
        async for event in super().subscribe(after_position=after_position):
            exact = event.position <= caught_up
            if (
                category is None
                or category_of(event.stream) == category
                or (category and not exact and event.version > 1 and event.stream.startswith(category))
            ):
                yield event
