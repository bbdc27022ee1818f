"""Stores in memory with one planted fault each, in how reading and what is appended meanwhile go together."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel

from eventstore import Appended, MemoryStore, NewEvent, RecordedEvent

PAGE = 256


async def by_offset(
    found: Callable[[int], AsyncIterator[RecordedEvent]], limit: int | None
) -> AsyncIterator[RecordedEvent]:
    """Page by page, each from as many events on as came before; `found` reads up to so many."""
    seen = 0
    while limit is None or seen < limit:
        size = PAGE if limit is None else min(PAGE, limit - seen)
        page = [event async for event in found(seen + size)][seen:]
        for event in page:
            yield event
        seen += len(page)
        if len(page) < size:
            return


class PagesBackwardByOffset(MemoryStore):
    async def read_all(
        self, *, limit: int | None = None, backward: bool = False, **options: Any
    ) -> AsyncIterator[RecordedEvent]:
        def found(limit: int | None) -> AsyncIterator[RecordedEvent]:
            return MemoryStore.read_all(self, limit=limit, backward=backward, **options)

        async for event in by_offset(found, limit) if backward else found(limit):
            yield event


class PagesStreamsBackwardByOffset(MemoryStore):
    async def read(
        self, stream: str, *, limit: int | None = None, backward: bool = False, **options: Any
    ) -> AsyncIterator[RecordedEvent]:
        def found(limit: int | None) -> AsyncIterator[RecordedEvent]:
            return MemoryStore.read(self, stream, limit=limit, backward=backward, **options)

        async for event in by_offset(found, limit) if backward else found(limit):
            yield event


class ShowsLaterEventsFirstButAnswersInOrder(MemoryStore):
    """As transactions do that take their positions before they commit."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: set[int] = set()
        self.answered = 0

    async def append(self, stream: str, events: Sequence[NewEvent], **options: Any) -> Appended:
        answer = await super().append(stream, events, **options)
        own = set(range(answer.first_position, answer.last_position + 1))
        self.hidden |= own
        with anyio.CancelScope(shield=True):
            for _ in range(4 if answer.first_position % 3 == 1 else 1):
                await anyio.lowlevel.checkpoint()
            self.hidden -= own
            while self.answered != answer.first_position - 1:
                await anyio.lowlevel.checkpoint()
            self.answered = answer.last_position
        return answer

    async def read_all(self, **options: Any) -> AsyncIterator[RecordedEvent]:
        hidden = set(self.hidden)
        async for event in super().read_all(**options):
            if event.position not in hidden:
                yield event
