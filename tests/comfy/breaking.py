"""Servers that end as if killed, and leave nothing open."""

import asyncio

from aiohttp import web

__all__ = ["break_off", "clean_up"]

_TURNS = 5
"""Of the loop, until a connection that was just accepted is known to its server."""


def break_off(server: web.Server) -> None:
    """Connections break, nothing is said."""
    for connection in list(server.connections):
        if connection.transport is not None:
            connection.transport.abort()


async def clean_up(runner: web.AppRunner) -> None:
    """Stop listening; who came in at that very moment is broken off too, or nobody ever closes that connection."""
    server = runner.server
    await runner.cleanup()
    for _ in range(_TURNS):
        await asyncio.sleep(0)
        if server is not None:
            break_off(server)
