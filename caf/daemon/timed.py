"""A store whose appends are timed."""

import time
from collections.abc import Callable, Sequence
from typing import Any, cast

from eventstore import Appended, EventStore, NewEvent

__all__ = ["timed"]


def timed(store: EventStore, took: Callable[[float], None]) -> EventStore:
    """The same store; `took` is told the seconds from an append to its answer, also where that is an error."""
    return cast("EventStore", _Timed(store, took))


class _Timed:
    def __init__(self, store: EventStore, took: Callable[[float], None]) -> None:
        self._store = store
        self._took = took

    async def append(self, stream: str, events: Sequence[NewEvent], **how: Any) -> Appended:
        begun_s = time.perf_counter()
        try:
            return await self._store.append(stream, events, **how)
        finally:
            self._took(time.perf_counter() - begun_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
