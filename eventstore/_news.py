"""What a store has heard of lately, for its subscriptions: the last events themselves, or that somebody has to look."""

import asyncio
from collections import deque
from typing import Final

from eventstore.model import RecordedEvent

__all__ = ["News"]

_BATCHES: Final = 16
"""What was heard last is kept for subscriptions, which need not read it then."""


class News:
    """Belongs to the loop's thread."""

    def __init__(self) -> None:
        self._batches: deque[list[RecordedEvent]] = deque(maxlen=_BATCHES)
        self._waiting: list[asyncio.Future[None]] = []
        self.count = 0
        """How often there was any."""
        self.unknown = 0
        """How often it was not told what had happened, so that all who follow have to look."""

    def hear(self, events: list[RecordedEvent] | None) -> None:
        """Somebody has recorded these; None if that is not known, or if nobody has."""
        if not events:
            self._batches.clear()
            self.unknown += 1
        else:
            if self._batches and self._batches[-1][-1].position + 1 != events[0].position:
                self._batches.clear()
                self.unknown += 1
            self._batches.append(events)
        self.wake()

    def wake(self) -> None:
        """Have everybody go on who waits."""
        self.count += 1
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def after(self, position: int) -> list[RecordedEvent] | None:
        """All that is known to follow a position; None if something else may have followed it."""
        batches = self._batches
        if not batches or batches[-1][-1].position <= position:
            return []
        if batches[0][0].position > position + 1:
            return None
        return [event for batch in batches if batch[-1].position > position for event in batch]

    async def wait(self, count: int) -> None:
        """Until there is news, unless there was some since `count`."""
        if self.count == count:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
