"""Who may ask: the right Host, no foreign Origin, the token where one is set; and errors as JSON."""

import ipaddress
import re
import traceback
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import ClientError, web
from aiohttp.typedefs import Middleware

from caf.app import told_as_caf_errors
from caf.errors import CafError, InputError, RefusedError, TryAgainError, UnavailableError
from caf.web.routes import BadBody
from caf.web.token import matches
from eventstore import EventStoreError

__all__ = [
    "HEADERS",
    "Handler",
    "answered_in_json",
    "ask_again",
    "error",
    "guards",
    "is_loopback",
    "status_of",
]

Handler = Callable[[Any], Awaitable[web.StreamResponse]]
OPEN: Final = frozenset({"/health", "/", "/live.js", "/live.css"})
"""Paths that say nothing of the workspace: for whoever watches the process, and the page, which asks for the token."""
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_NOT_FOUND_KINDS: Final = frozenset({"unknown_job", "no_such_version", "artifact_missing", "no_preview"})
_HOST: Final = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[0-9A-Za-z.-]+)(?::[0-9]{1,5})?")
_WORDS: Final = {
    404: ("not_found", "There is nothing under this path.", "See what there is: /api/v1/openapi.json"),
    405: ("wrong_method", "This path does not take that method.", "See: /api/v1/openapi.json"),
    408: ("too_slow", "The body did not come in time.", "Send it again, at once."),
    413: ("too_large", "The body is too large.", "Name files by their path; documents are small."),
    415: ("not_json", "The body is not said to be JSON.", "Send it with Content-Type: application/json."),
}


def is_loopback(host: str) -> bool:
    """True for an address that only this machine can reach."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def guards(*, token: str | None, host: str) -> list[Middleware]:
    """The middlewares, the outermost first."""
    return [_from_here(loopback=is_loopback(host)), _with_token(token)]


async def answered_in_json(request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
    """What the handler answers; every error as JSON, with what browsers are told about every answer."""
    try:
        response = await handler(request)
    except web.HTTPException as fault:
        response = _of_http(fault)
    except (CafError, EventStoreError) as fault:
        response = _of_caf(fault)
    except (ConnectionError, ClientError):
        raise  # whoever asked is gone
    except Exception:  # noqa: BLE001
        # One request's trouble is not another's; whoever runs the daemon sees where it was.
        traceback.print_exc()
        response = error(
            500, "defect", "This is a defect of caf.", "Please report it with the daemon's output."
        )
    if response.prepared:
        return response
    if request.writer.output_size > 0:
        # Half an answer is out; an error behind it would be taken for the rest of it.
        raise ConnectionAbortedError("the answer cannot be completed")
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _from_here(*, loopback: bool) -> Middleware:
    """Against pages of other sites that a browser on this machine has open."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        headers = request.headers
        if loopback and not is_loopback(_host_of(headers.get("Host", ""))):
            # A name that another site's DNS points to 127.0.0.1 comes with that site's Host.
            return error(403, "wrong_host", "This address is asked under another name.", "Ask 127.0.0.1.")
        origin = headers.get("Origin")
        foreign = origin is not None and _place_of(origin) != headers.get("Host")
        other = headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        if foreign or (other and not _follows_a_link(request)):
            return error(403, "wrong_origin", "Pages of other sites may not ask.", "Ask from a program.")
        return await handler(request)

    return guard


def _follows_a_link(request: web.Request) -> bool:
    """True for a person who comes to the page from elsewhere; it says nothing by itself, and stands in no frame."""
    headers = request.headers
    opens = headers.get("Sec-Fetch-Mode") == "navigate" and headers.get("Sec-Fetch-Dest") == "document"
    return opens and request.method == "GET" and request.path == "/"


def _with_token(token: str | None) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked = token is not None and request.path not in OPEN
        if asked and not matches(request.headers.get("Authorization"), token or ""):
            refused = error(
                401, "no_token", "This needs the daemon's token.", "Send Authorization: Bearer TOKEN."
            )
            refused.headers["WWW-Authenticate"] = 'Bearer realm="caf"'
            return refused
        return await handler(request)

    return guard


def error(status: int, kind: str, message: str, remedy: str = "") -> web.Response:
    """An error as every other answer: JSON, with what to do."""
    told = {"kind": kind, "message": _unicode(message), "remedy": _unicode(remedy)}
    body = msgspec.json.encode({"error": told})
    return web.Response(status=status, body=body, content_type="application/json")


def status_of(fault: CafError) -> int:
    """The HTTP status for an error of caf."""
    if fault.kind in _NOT_FOUND_KINDS:
        return 404
    match fault:
        case BadBody():
            return 422
        case InputError() | RefusedError():
            return 409  # well said, and not possible as things stand: a file that is not there, say
        case UnavailableError() | TryAgainError():
            return 503
        case _:
            return 500


def _of_caf(fault: CafError | EventStoreError) -> web.Response:
    if isinstance(fault, EventStoreError):
        try:
            with told_as_caf_errors():
                raise fault
        except CafError as told:
            fault = told
    response = error(status_of(fault), fault.kind, fault.message, fault.remedy)
    if isinstance(fault, TryAgainError):
        response.headers["Retry-After"] = "5"
    return response


def ask_again(message: str) -> TryAgainError:
    """The error for what cannot be taken just now."""
    return TryAgainError(message, remedy="Ask again in a moment.", kind="stopping")


def _host_of(header: str) -> str:
    """The host of a Host header, without its port; empty for one that is none."""
    found = _HOST.fullmatch(header)
    return found["host"] if found else ""


def _place_of(origin: str) -> str | None:
    """Host and port of an Origin header; None for one that is no origin of the web."""
    try:
        return urlsplit(origin).netloc or None
    except ValueError:
        return None


def _of_http(fault: web.HTTPException) -> web.Response:
    told = "bad_request", f"{fault.reason}.", "See: /api/v1/openapi.json"
    response = error(fault.status, *_WORDS.get(fault.status, told))
    if "Allow" in fault.headers:
        response.headers["Allow"] = fault.headers["Allow"]
    return response


def _unicode(text: str) -> str:
    """A text that JSON can hold: a request's may have bytes that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()
