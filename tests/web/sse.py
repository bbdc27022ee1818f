"""A listener to the live stream, on a socket of its own: what it was told, byte by byte."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import anyio
import msgspec
from aiohttp import ClientResponse, ClientTimeout

from tests.web.serving import DEADLINE_S, Api

__all__ = ["Listener", "Told", "listening"]


class Told(NamedTuple):
    """One event of the stream."""

    id: int
    event: str
    data: dict[str, Any]


class Listener:
    """Reads blocks, as a browser's EventSource does."""

    def __init__(self, response: ClientResponse) -> None:
        self.response = response
        self.last_id: int | None = None
        self.comments = 0

    async def next(self) -> Told:
        """The next event; signs of life are counted on the way."""
        with anyio.fail_after(DEADLINE_S):
            while True:
                fields = await self.block()
                if "id" in fields:
                    self.last_id = int(fields["id"])
                if "data" in fields:
                    return Told(int(fields["id"]), fields["event"], msgspec.json.decode(fields["data"]))

    async def block(self) -> dict[str, str]:
        """The fields of the next block. Raises `EOFError` at the end."""
        fields: dict[str, str] = {}
        while line := (await self.response.content.readline()).decode():
            if line == "\n":
                return fields
            name, _, value = line.rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            else:
                self.comments += 1
        raise EOFError


@asynccontextmanager
async def listening(api: Api, query: str = "", **headers: str) -> AsyncIterator[Listener]:
    """A listener that was told its position."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    timeout = ClientTimeout(total=None)
    async with api.session.get(f"{api.url}/api/v1/stream{query}", headers=named, timeout=timeout) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        listener = Listener(response)
        first = await listener.block()
        listener.last_id = int(first["id"])
        with contextlib.suppress(EOFError):
            yield listener
