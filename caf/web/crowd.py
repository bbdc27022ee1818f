"""All connections of a server: a newcomer too many takes the place of the one that was idle longest."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web

__all__ = ["CROWD", "Crowd"]


class Crowd:
    """Who is connected, and who of them lets us wait for a request or its body."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._all: set[web.RequestHandler] = set()
        self._idle: dict[web.RequestHandler, None] = {}
        """The one that was idle longest first."""

    def enter(self, connection: web.RequestHandler) -> None:
        """Take a newcomer in."""
        self._all.add(connection)
        self._idle[connection] = None
        if len(self._all) > self.most:
            idle_longest = next(iter(self._idle))  # the newcomer itself, when all others are at work
            self.leave(idle_longest)
            idle_longest.force_close()

    def leave(self, connection: web.RequestHandler) -> None:
        """Forget one that is gone."""
        self._all.discard(connection)
        self._idle.pop(connection, None)

    @contextmanager
    def at_work(self, connection: web.RequestHandler) -> Iterator[None]:
        """Not to be given up meanwhile."""
        self._idle.pop(connection, None)
        try:
            yield
        finally:
            if connection in self._all:
                self._idle[connection] = None

    @contextmanager
    def waiting(self, connection: web.RequestHandler) -> Iterator[None]:
        """In the midst of work something is waited for that the other end is to send."""
        if connection in self._all:
            self._idle[connection] = None
        try:
            yield
        finally:
            self._idle.pop(connection, None)


CROWD: Final = web.AppKey("CROWD", Crowd)
"""Where handlers find it in their application."""
