"""Stores in memory with one planted fault each, in what becomes of others when they close."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel

from eventstore import Batch, MemoryStore, RecordedEvent, StoreClosed
from eventstore.replay import Decoders, batch_of


class EndsAReadQuietlyWhenClosed(MemoryStore):
    async def read_all(self, **options: Any) -> AsyncIterator[RecordedEvent]:
        async for event in super().read_all(**options):
            yield event
            if self._closed:
                return


class EndsAReplayQuietlyWhenClosed(MemoryStore):
    async def replay(
        self, decoder: Any, *, columns: Any = ("position",), after_position: int = 0, **options: Any
    ) -> AsyncIterator[Batch]:
        while not self._closed:
            events = list(self.log.read_all(after_position=after_position, limit=200))
            if not events:
                return
            yield batch_of(events, columns, Decoders(decoder))
            after_position = events[-1].position


class EndsASubscriptionQuietlyWhenClosed(MemoryStore):
    """While it catches up."""

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async for event in super().subscribe(after_position=after_position, category=category):
            yield event
            if self._closed:
                return


class _TellsNotAllThatItClosed(MemoryStore):
    def is_told(self, category: str | None) -> bool:
        raise NotImplementedError

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        try:
            async for event in super().subscribe(after_position=after_position, category=category):
                yield event
        except StoreClosed:
            if not self.is_told(category):
                await anyio.sleep_forever()
            raise


class TellsOneSubscriberThatItClosed(_TellsNotAllThatItClosed):
    told = False

    def is_told(self, category: str | None) -> bool:
        first, self.told = not self.told, True
        return first


class TellsNoSubscriberOfACategoryThatItClosed(_TellsNotAllThatItClosed):
    def is_told(self, category: str | None) -> bool:
        return category is None


class CannotBeClosedTwiceAtOnce(MemoryStore):
    closing = False

    async def aclose(self) -> None:
        if self.closing and not self._closed:
            raise RuntimeError("It is being closed.")
        self.closing = True
        await anyio.lowlevel.checkpoint()
        await super().aclose()
