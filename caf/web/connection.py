"""The connections of the HTTP server: not too many, none for ever idle or unread, every answer of one shape."""

import asyncio
import socket
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from caf.web.crowd import Crowd
from caf.web.guard import Handler, answered_in_json, error
from caf.web.limits import Limits

__all__ = ["Connection", "at_work"]

_UNREAD: Final[int | None] = getattr(socket, "TCP_USER_TIMEOUT", None)


def at_work(crowd: Crowd, answer: Handler) -> Handler:
    """The same, its errors told as JSON, and its connection not given up meanwhile."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        with crowd.at_work(request.protocol):
            return await answered_in_json(request, answer)

    return handle


class Connection(web.RequestHandler):
    """One connection of a crowd."""

    __slots__ = ("_crowd", "_limits")

    def __init__(self, crowd: Crowd, limits: Limits, server: web.Server, **options: Any) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.idle_s,
            lingering_time=limits.body_s,
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes,
            **options,
        )
        self._crowd = crowd
        self._limits = limits

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if _UNREAD is not None:
            # The kernel ends a connection whose other end takes nothing: no writer waits for it for ever.
            unread_ms = round(self._limits.unread_s * 1000)
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, _UNREAD, unread_ms)
        self._crowd.enter(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._crowd.leave(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no HTTP, told as every other error."""
        if request.writer.output_size > 0:
            raise ConnectionAbortedError("the answer cannot be completed")
        if isinstance(exc, LineTooLong):
            most = self._limits.header_bytes
            response = error(431, "headers_too_large", f"A header has more than {most} bytes.", "Shorten it.")
        elif status == 400:
            response = error(400, "no_http", "The request is no HTTP/1.1 that can be answered.", "Mend it.")
        else:
            response = error(status, "defect", "This is a defect of caf.", "Please report it.")
        response.force_close()
        return response
