"""Servers that end as if killed, and leave nothing open."""

import asyncio
import socket
from typing import Final

from aiohttp import web

__all__ = ["SHUTDOWN_S", "break_off", "listen"]

SHUTDOWN_S: Final = 0.001
"""For `AppRunner(shutdown_timeout=…)`: to aiohttp nought is for ever."""
_TURNS: Final = 6
"""Of the loop, until a connection that was just accepted is known to its server and, broken off, is closed."""


async def listen(runner: web.AppRunner, port: int = 0) -> socket.socket:
    """Serve at a port of the loopback; what it listens with is for `break_off`."""
    listening = socket.create_server(("127.0.0.1", port))
    await web.SockSite(runner, listening).start()
    return listening


async def break_off(runner: web.AppRunner, listening: socket.socket) -> None:
    """Connections break, nothing is said, nobody else comes in; then `runner.cleanup()` has nothing to wait for.

    Whom asyncio accepts just while it closes a server it never closes, so accepting has to end well before.
    """
    asyncio.get_running_loop().remove_reader(listening)
    assert runner.server is not None
    for _ in range(_TURNS):
        for connection in list(runner.server.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)
