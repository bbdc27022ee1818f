"""The query of a URL as a struct: every field known, said once, and of its type."""

import re
from typing import Any, ClassVar, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct

__all__ = ["Query", "read_query"]

_NUMBER: Final = re.compile(r"^[0-9]{1,19}\Z")


class Query(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be asked in a query. Nothing there is null, and a number is one of `numbers`."""

    numbers: ClassVar[frozenset[str]] = frozenset()


Q = TypeVar("Q", bound=Query)


def read_query(request: web.Request, kind: type[Q]) -> Q:
    """The query as a struct. Raises `HTTPBadRequest` for a field that is unknown, twice, or not of its type."""
    given: dict[str, Any] = {}
    for name, value in request.query.items():
        if name in given:
            raise web.HTTPBadRequest(reason=_one_line(f"{name!r} is given twice"))
        given[name] = value
    for name in kind.numbers & given.keys():
        if _NUMBER.match(given[name]):  # anything else is refused as the text that it is
            given[name] = int(given[name])
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as fault:
        raise web.HTTPBadRequest(reason=_one_line(f"the query cannot be used: {fault}")) from fault


def _one_line(text: str) -> str:
    """A text that can stand in the status line of an answer."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:500]
