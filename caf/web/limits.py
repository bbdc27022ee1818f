"""What one caller may take of the daemon, so that no caller keeps others from it."""

import resource
from typing import Final

from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

__all__ = ["LIMITS", "Limits", "affordable"]


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds of the HTTP server; the defaults suit a render box."""

    body_bytes: int = 1 << 20
    """Of a request's body, once it is unpacked."""
    header_bytes: int = 8190
    """Of the request line, and of each header."""
    body_s: float = 30.0
    """Until the whole body is there."""
    idle_s: float = 30.0
    """Until a request is whole on a connection that has none under way."""
    unread_s: float = 60.0
    """That what was sent may lie unread at the other end."""
    keep_alive_s: float = 15.0
    """Between two signs of life on a live stream."""
    page_bytes: int = 4 << 20
    """Of payloads in one page of events; at least one event is always in it."""
    connections: int = 256
    streams: int = 64
    """Live streams at once."""


def affordable(limits: Limits) -> Limits:
    """The limits, lowered to what this process may have open: the log and the children need files too."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most == resource.RLIM_INFINITY:
        return limits
    connections = min(limits.connections, max(8, most // 4))
    return replace(limits, connections=connections, streams=min(limits.streams, max(1, connections // 2)))


LIMITS: Final = web.AppKey("LIMITS", Limits)
"""Where handlers find them in their application."""
