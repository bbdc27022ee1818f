"""A route of the HTTP API: its path, what it takes and gives, and who answers it."""

import re
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeVar

import anyio
import msgspec
from aiohttp import ClientError, web
from msgspec import Struct

from caf.contracts.depth import MOST_DEPTH, MOST_VALUES, has_too_many, is_too_deep
from caf.contracts.whole import with_whole_numbers
from caf.errors import DocumentError
from caf.job import in_json
from caf.web.crowd import CROWD
from caf.web.limits import LIMITS
from caf.web.query import Query

__all__ = ["PATTERNS", "BadBody", "Route", "json_response", "path_of", "read_body"]

T = TypeVar("T", bound=Struct)
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
_REMEDY: Final = "See /api/v1/openapi.json."


class BadBody(DocumentError):  # noqa: N818 - it is told as an answer
    """A body that is not what the description of the API says."""


class Route(Struct, frozen=True, kw_only=True):
    """One method of one path; a GET is answered for HEAD too."""

    method: Literal["GET", "POST"]
    path: str
    """With parameters in braces: `{job_id}`, `{sha256}`."""
    name: str
    """camelCase, for generated clients."""
    summary: str
    answer: Answer
    gives: type[Struct] | str
    """A struct as JSON, or a media type."""
    query: type[Query] | None = None
    body: type[Struct] | None = None
    status: int = 200
    also: dict[int, str] = {}
    """Other statuses of success, and what they say."""
    faults: tuple[int, ...] = ()
    headers: dict[str, str] = {}
    """Request headers it looks at, and what for."""


PATTERNS: Final = {"job_id": r"[a-z0-9-]{6,200}", "sha256": r"[0-9a-f]{64}"}
"""What a parameter of a path may be; anything else is a path that does not exist."""


def path_of(route: Route) -> str:
    """The route's path as aiohttp takes it, parameters with their patterns."""
    return re.sub(r"\{(\w+)\}", lambda found: f"{{{found[1]}:{PATTERNS[found[1]]}}}", route.path)


def json_response(value: Struct, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A struct as JSON."""
    return web.Response(
        status=status,
        body=msgspec.json.encode(value, enc_hook=in_json),
        content_type="application/json",
        headers=headers,
    )


async def read_body(request: web.Request, kind: type[T]) -> T:
    """The body as a struct; an empty one is an empty object. Raises `BadBody`, `HTTPException`."""
    limits = request.app[LIMITS]
    if request.can_read_body and request.content_type != "application/json":
        # A page of another site may send a form or plain text without being asked first, but no JSON.
        raise web.HTTPUnsupportedMediaType
    data = await _read(request, limits.body_s) or b"{}"
    if has_too_many(data):
        raise BadBody(f"The body has more than {MOST_VALUES} values.", remedy=_REMEDY)
    try:
        value = msgspec.json.decode(data)
        if is_too_deep(value):
            raise BadBody(f"The body is nested more than {MOST_DEPTH} levels deep.", remedy=_REMEDY)
        return msgspec.convert(with_whole_numbers(value, kind), kind)
    except msgspec.ValidationError as fault:
        raise BadBody(f"The body cannot be used: {fault}.", remedy=_REMEDY) from fault
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise web.HTTPBadRequest(reason="The body is no JSON in UTF-8") from fault


async def _read(request: web.Request, within_s: float) -> bytes:
    try:
        with anyio.fail_after(within_s):
            with request.app[CROWD].waiting(request.protocol):
                return await request.read()
    except TimeoutError as fault:
        raise web.HTTPRequestTimeout from fault
    except (web.RequestPayloadError, ClientError) as fault:  # cut off, or not packed as its headers say
        raise web.HTTPBadRequest(reason="The body is not what its headers say") from fault
