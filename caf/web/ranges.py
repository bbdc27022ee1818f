"""Which bytes of a file a request wants, and whether it wants any: RFC 9110's conditions and single ranges."""

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["NOT_SATISFIABLE", "is_unchanged", "must_not", "wanted"]

NOT_SATISFIABLE: Final = range(0)
"""There is no such range in the file."""
_SINGLE: Final = re.compile(r"bytes=[ \t]*(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})[ \t]*", re.IGNORECASE)
_TAG: Final = re.compile(r'(?:W/)?"[^"]*"')


def must_not(headers: Mapping[str, str], etag: str) -> bool:
    """True when If-Match asks for other content than this."""
    given = headers.get("If-Match")
    return given is not None and given.strip() != "*" and etag not in _TAG.findall(given)


def is_unchanged(headers: Mapping[str, str], etag: str) -> bool:
    """True when If-None-Match says that the caller has this content."""
    given = headers.get("If-None-Match")
    if given is None:
        return False
    return given.strip() == "*" or etag in [tag.removeprefix("W/") for tag in _TAG.findall(given)]


def wanted(headers: Mapping[str, str], size: int, etag: str) -> range | None:
    """The bytes of a Range header; None when all are wanted: no range, one that cannot be read, or several."""
    found = _SINGLE.fullmatch(headers.get("Range", ""))
    if found is None or headers.get("If-Range", etag).strip() != etag:
        return None
    first, last = found["first"], found["last"]
    if not first:
        if not last:
            return None
        length = min(int(last), size)
        return range(size - length, size) if length else NOT_SATISFIABLE
    if last and int(last) < int(first):
        return None
    end = min(int(last) + 1, size) if last else size
    return range(int(first), end) if int(first) < size else NOT_SATISFIABLE
