"""Notices what other processes append: by a bell, and by looking from time to time."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from eventstore._bell import Bell, Ringer
from eventstore._reader import Reader
from eventstore.errors import EventStoreError
from eventstore.model import RecordedEvent

__all__ = ["Watch"]

_LOOK_S: Final = 0.005
"""How often to look where no bell can be hung."""
_LOOK_WITH_BELL_S: Final = 0.05
"""The same where a bell rings: for a lost ring, and for programs that do not ring."""
_LOOK_WHILE_IT_RINGS_S: Final = 0.2
"""The same while rings come: the next one shows by its positions whether one was lost."""
_KNOWN_S: Final = 0.1
"""By then every writer knows a new bell."""

Hear = Callable[[list[RecordedEvent] | None], None]
"""Given what was committed, or None where that is not known."""


class Watch:
    """Calls `hear` on the loop whenever somebody may have committed, from `start` to `stop`."""

    def __init__(
        self, path: Path, loop: asyncio.AbstractEventLoop, hear: Hear, ringer: Ringer | None
    ) -> None:
        self._path = path
        self._loop = loop
        self._hear = hear
        self._ringer = ringer
        self._users = 0
        self._timer: asyncio.TimerHandle | None = None
        self._bell: Bell | None = None
        self._reader: Reader | None = None
        self._seen: int | None = None
        self._known_at = 0.0
        self._rang = False
        """Since the last look; whoever was woken by that has read all there was."""

    def start(self) -> None:
        """One more who wants to be woken."""
        self._users += 1
        if self._users > 1:
            return
        try:
            self._bell = Bell(self._path)
        except OSError:
            self._bell = None
        else:
            self._loop.add_reader(self._bell.socket, self._rung)
            if self._ringer is not None:
                self._ringer.own = self._bell.name
        self._known_at = self._loop.time() + _KNOWN_S
        self._look()

    def stop(self) -> None:
        """One less."""
        self._users -= 1
        if not self._users:
            self.close()

    def close(self) -> None:
        """No more for anybody."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._bell is not None:
            self._loop.remove_reader(self._bell.socket)
            self._bell.close()
            self._bell = None
        self._drop_reader()

    def _rung(self) -> None:
        assert self._bell is not None
        events = self._bell.answer()
        self._rang = True
        self._hear(events)

    def _look(self) -> None:
        rang, self._rang = self._rang, False
        if not rang:
            self._wake_on_change()
        often = self._bell is None or self._loop.time() < self._known_at
        after_s = _LOOK_S if often else _LOOK_WHILE_IT_RINGS_S if rang else _LOOK_WITH_BELL_S
        self._timer = self._loop.call_later(after_s, self._look)

    def _wake_on_change(self) -> None:
        """A few microseconds, so done on the loop."""
        try:
            if self._reader is None or not self._reader.still_good():
                self._drop_reader()
                self._reader = Reader(self._path, 0.0)
            seen: int | None = self._reader.data_version()
        except (EventStoreError, sqlite3.Error):
            # What is wrong with the file, or only busy for a moment, the subscriptions find out themselves.
            self._drop_reader()
            seen = None
        if seen is None or seen != self._seen:
            self._seen = seen
            self._hear(None)

    def _drop_reader(self) -> None:
        self._seen = None
        if self._reader is not None:
            self._reader.close()
            self._reader = None
