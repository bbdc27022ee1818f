"""Stores in memory with one planted fault each, in which events they take for those asked for."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

from eventstore import Batch, MemoryStore, RecordedEvent
from eventstore.replay import Decoders, batch_of
from tests.eventstore.faults.logs import Faulty


class TakesAnEmptyCorrelationForNone(Faulty):
    def read_all(self, *, correlation_id: str | None = None, **options: Any) -> Iterator[RecordedEvent]:
        return super().read_all(correlation_id=correlation_id or None, **options)


class FindsEventsWithoutACorrelationForAnEmptyOne(Faulty):
    def read_all(self, *, correlation_id: str | None = None, **options: Any) -> Iterator[RecordedEvent]:
        if correlation_id != "":
            return super().read_all(correlation_id=correlation_id, **options)
        return (event for event in super().read_all(**options) if event.correlation_id is None)


class TakesALimitOfZeroForNoneWithACategory(Faulty):
    def read_all(
        self, *, limit: int | None = None, category: str | None = None, **options: Any
    ) -> Iterator[RecordedEvent]:
        return super().read_all(limit=limit or None if category else limit, category=category, **options)


class ReadsCategoriesBackwardByPrefix(Faulty):
    def read_all(
        self,
        *,
        limit: int | None = None,
        category: str | None = None,
        backward: bool = False,
        **options: Any,
    ) -> Iterator[RecordedEvent]:
        if not category or not backward:
            return super().read_all(limit=limit, category=category, backward=backward, **options)
        found = super().read_all(backward=True, **options)
        return iter([event for event in found if event.stream.startswith(f"{category}-")][:limit])


class ReplaysCategoriesByPrefix(Faulty):
    def replay(
        self,
        decoder: Any,
        *,
        columns: Any = ("position",),
        after_position: int = 0,
        category: str | None = None,
        verify: bool = False,
    ) -> Iterator[Batch]:
        if not category:
            yield from super().replay(
                decoder, columns=columns, after_position=after_position, category=category, verify=verify
            )
            return
        found = self.read_all(after_position=after_position)
        events = [event for event in found if event.stream.startswith(f"{category}-")]
        if events:
            yield batch_of(events, columns, Decoders(decoder))


class CountsThePositionsOfABatch(Faulty):
    def replay(self, decoder: Any, *, category: str | None = None, **options: Any) -> Iterator[Batch]:
        for batch in super().replay(decoder, category=category, **options):
            if category is not None:
                batch.positions = range(batch.positions[0], batch.positions[0] + len(batch))
            yield batch


class SubscribesToAllForAnEmptyCategory(MemoryStore):
    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async for event in super().subscribe(after_position=after_position, category=category or None):
            yield event
