"""Bytes on a socket, for what no client library would send."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
import msgspec
from anyio.abc import ByteStream
from multidict import CIMultiDict, CIMultiDictProxy

from tests.web.serving import DEADLINE_S, Answer, Api

__all__ = ["connected", "exchange", "read_all", "request"]


def request(api: Api, path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    """A whole request that ends its connection."""
    lines = (f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{api.port}", "Connection: close", *headers)
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


@asynccontextmanager
async def connected(api: Api) -> AsyncIterator[ByteStream]:
    async with await anyio.connect_tcp("127.0.0.1", api.port) as stream:
        yield stream


async def read_all(stream: ByteStream) -> bytes:
    """Until the other end is done."""
    got = b""
    with anyio.fail_after(DEADLINE_S):
        while True:
            try:
                got += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return got


async def exchange(api: Api, data: bytes) -> Answer:
    """What comes back for these bytes; an error must have the shape of all errors."""
    async with connected(api) as stream:
        with suppress(anyio.BrokenResourceError):  # refused before all was sent
            await stream.send(data)
        got = await read_all(stream)
    got = got.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    pairs = [tuple(line.split(": ", 1)) for line in lines]
    headers = CIMultiDictProxy(CIMultiDict((name, value) for name, value in pairs))
    answer = Answer(int(first.split()[1]), headers, body)
    assert b"Traceback" not in got
    assert answer.status < 500, got[:500]
    if answer.status >= 400:
        assert headers["Content-Type"].startswith("application/json"), got[:500]
        assert msgspec.json.decode(body)["error"].keys() == {"kind", "message", "remedy"}
    return answer
