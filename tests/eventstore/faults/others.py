"""Stores in a file with one planted fault each, in how they hear of what others append.

Each comes as the contract that opens it, as those in `files`.
"""

import asyncio
from typing import Any

from eventstore import RecordedEvent, SqliteStore
from eventstore._news import News
from eventstore._watch import Watch
from tests.eventstore.faults.files import WithoutAFault


class _AnyNews(News):
    """Takes whatever it hears for what follows what it heard before."""

    def hear(self, events: list[RecordedEvent] | None) -> None:
        if not events:
            super().hear(events)
            return
        self._batches.append(events)
        self.wake()


class _OfAnyNews(SqliteStore):
    def __init__(self, *words: Any) -> None:
        super().__init__(*words)
        self._news = _AnyNews()


class _FirstToStop(Watch):
    """Closes for all as soon as one stops."""

    def stop(self) -> None:
        self._users -= 1
        self.close()


class _DeafAfterTheFirst(SqliteStore):
    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        super().attach(loop)
        assert self._watch is not None
        self._watch.__class__ = _FirstToStop


class SkipsWhatItWasNotToldOf(WithoutAFault):
    kind = _OfAnyNews


class HearsNoOthersAfterASubscriptionEnded(WithoutAFault):
    kind = _DeafAfterTheFirst
