"""One HTTP request to a ComfyUI server, and its answer or a typed error; never two requests for one.

Whether a request may be made again is for the caller to know, so nothing here repeats anything.
"""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from msgspec import Struct
from yarl import URL

from caf.comfy.addresses import shown
from caf.comfy.failures import (
    ComfyError,
    ComfyRefusedError,
    DamagedAnswerError,
    NotThereError,
    UnreachableError,
)
from caf.errors import InputError

__all__ = ["MAX_ANSWER_BYTES", "Http", "Timeouts"]

MAX_ANSWER_BYTES: Final = 256 * 2**20
"""A longer answer that is not a file is not believed."""

_TRANSIENT: Final = frozenset({408, 425, 429, 502, 503, 504})
_SHOWN: Final = 200


class Timeouts(Struct, frozen=True, kw_only=True):
    """How long one request may be silent. Transfers have no limit in all: a slow line is no fault."""

    connect_s: float = 5.0
    read_s: float = 30.0
    """Between two pieces of an answer."""
    answer_s: float = 60.0
    """For all of an answer that is no file: one that drips would keep who waits for it for ever."""
    heartbeat_s: float = 10.0
    """A WebSocket that leaves a ping unanswered for half as long is dead."""


class Http:
    """A session with one server. Enter it before use."""

    def __init__(self, base_url: str, timeouts: Timeouts) -> None:
        try:
            self.base = URL(base_url.rstrip("/"))
            (self.base.raw_host or "").encode("idna")  # as it is looked up; `a..b` is no name
        except (ValueError, TypeError) as fault:
            raise _bad_address(base_url) from fault
        if self.base.scheme not in ("http", "https") or not self.base.host:
            raise _bad_address(base_url)
        self.timeouts = timeouts
        self.shown = str(self.base.with_user(None))
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Http":
        self._session = aiohttp.ClientSession(
            timeout=self._timeout(None),
            connector=aiohttp.TCPConnector(limit=16, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _timeout(self, total_s: float | None) -> aiohttp.ClientTimeout:
        return aiohttp.ClientTimeout(
            total=total_s,
            connect=None,
            sock_connect=self.timeouts.connect_s,
            sock_read=self.timeouts.read_s,
        )

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None, "the session is used before it was entered"
        return self._session

    def url(self, path: str, query: Mapping[str, str] | None = None) -> URL:
        """`path`: as it goes over the line, with names in it quoted."""
        # A path of its own keeps the base's: a server may stand behind a prefix.
        whole = self.base.with_path(self.base.raw_path.rstrip("/") + path, encoded=True)
        return whole.with_query(query) if query else whole

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """Raises `ComfyError`. Not for files: the whole answer must come within `answer_s`."""
        async with self.open("GET", path, query, timeout=self._timeout(self.timeouts.answer_s)) as answer:
            return await self.body(answer, path)

    async def post(self, path: str, body: Mapping[str, Any] | aiohttp.FormData) -> bytes:
        """Raises `ComfyError`; a refusal carries the status and, in `answer`, the body."""
        given: dict[str, Any] = (
            {"data": body}
            if isinstance(body, aiohttp.FormData)
            else {"json": body, "timeout": self._timeout(self.timeouts.answer_s)}
        )
        async with self.open("POST", path, None, **given) as answer:
            return await self.body(answer, path)

    @asynccontextmanager
    async def open(
        self, method: str, path: str, query: Mapping[str, str] | None = None, **given: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A request whose answer is read by the caller; a status that is no success raises.

        Raises:
            UnreachableError: nothing answered, or what answered is not the server.
            ComfyRefusedError: the server said no. NotThereError: 404.
        """
        where = f"{method} {self.shown}{path}"
        try:
            async with self.session.request(
                method, self.url(path, query), allow_redirects=False, **given
            ) as answer:
                if not answer.ok or answer.status >= 300:
                    raise await _unwelcome(answer, where)
                yield answer
        except aiohttp.ClientConnectorError as fault:
            raise UnreachableError(f"{where}: nothing answers there ({_why(fault)}).", sent=False) from fault
        except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError) as fault:
            raise UnreachableError(f"{where}: the connection broke ({fault}).") from fault
        except TimeoutError as fault:
            sent = not isinstance(fault, aiohttp.ConnectionTimeoutError)
            raise UnreachableError(f"{where}: no answer in time.", sent=sent) from fault
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError) as fault:
            raise UnreachableError(f"{where}: {type(fault).__name__}: {fault}.") from fault

    async def body(self, answer: aiohttp.ClientResponse, path: str) -> bytes:
        """The whole body. aiohttp raises if it is shorter than its Content-Length."""
        pieces = bytearray()
        async for piece in answer.content.iter_any():
            pieces += piece
            if len(pieces) > MAX_ANSWER_BYTES:
                raise DamagedAnswerError(f"{self.shown}{path} answers without end.")
        return bytes(pieces)


def _why(fault: aiohttp.ClientConnectorError) -> str:
    """Why there is no connection, in the system's words; aiohttp's speak of ssl where there is none."""
    cause = fault.os_error
    if isinstance(cause, ssl.SSLError) or not cause.errno or cause.errno < 0:
        return str(cause.strerror or cause)
    return os.strerror(cause.errno)


async def _unwelcome(answer: aiohttp.ClientResponse, where: str) -> ComfyError:
    """What a status other than 2xx means. 500 is the server's word for a malformed call: not to be repeated."""
    body = bytearray()
    async for piece in answer.content.iter_chunked(65536):
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            break
    told = bytes(body[:_SHOWN]).decode("utf-8", "replace").strip()
    said = f"{where} answered {answer.status}{f': {told}' if told else ''}."
    if answer.status in _TRANSIENT:
        return UnreachableError(said, remedy="Something before the server is busy or does not reach it.")
    fault: ComfyRefusedError
    if answer.status == 404:
        fault = NotThereError(said, remedy="The server has no such thing; it may be older.", status=404)
    elif answer.status == 413:
        fault = ComfyRefusedError(
            said,
            remedy="Start the server with a higher --max-upload-size, or send a smaller file.",
            kind="comfy_too_large",
            status=413,
        )
    else:
        fault = ComfyRefusedError(
            said, remedy="The same call gets the same answer; see the server's log.", status=answer.status
        )
    fault.answer = bytes(body)
    return fault


def _bad_address(base_url: str) -> InputError:
    return InputError(
        f"{shown(base_url)!r} is not the address of a ComfyUI server.",
        remedy="Give it as http://127.0.0.1:8188.",
        kind="bad_comfy_url",
    )
