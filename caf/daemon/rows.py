"""Keeps the read models in step while the daemon works, so that whoever asks them need not fold first."""

import sqlite3
from collections.abc import Callable

import anyio

from caf.app import App
from eventstore import EventStoreError, RecordedEvent

__all__ = ["RowsInStep"]

PAUSE_S = 0.02
"""Between two folds, so that events that come together are folded together."""


class RowsInStep:
    """A listener that folds what comes. What cannot be folded now is left to the next event, or to who asks."""

    def __init__(
        self, app: App, *, failed: Callable[[str, Exception], None] = lambda what, fault: None
    ) -> None:
        """`failed` is told, once each time, why the rows are not in their file."""
        self._app = app
        self._failed = failed
        self._news = anyio.Event()

    def seen(self, recorded: RecordedEvent) -> None:
        """There is something to be folded."""
        self._news.set()

    def held_back(self) -> None:
        """No business of the rows."""

    def appended(self, took_s: float) -> None:
        """No business of the rows either: an event counts once it is seen."""

    async def serve(self) -> None:
        """Fold for ever."""
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            try:
                told = self._app.models.fault
                await self._app.models.catch_up(self._app.store)
                if (fault := self._app.models.fault) is not None and told is None:
                    self._failed(f"the file of the read models, {self._app.workspace.projections}", fault)
            except (EventStoreError, OSError, sqlite3.Error):
                continue  # whoever asks for the rows is told
            await anyio.sleep(PAUSE_S)
