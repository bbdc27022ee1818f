"""One thing that was looked at, and what came of it."""

from typing import Literal

from msgspec import Struct

__all__ = ["Finding", "bad", "good", "warning"]


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    verdict: Literal["good", "warning", "bad"]
    """Bad: caf cannot work so. Warning: it can, until that matters."""
    what: str
    remedy: str = ""
    """What to do; empty where all is well."""


def good(name: str, what: str) -> Finding:
    return Finding(name=name, verdict="good", what=what)


def warning(name: str, what: str, remedy: str) -> Finding:
    return Finding(name=name, verdict="warning", what=what, remedy=remedy)


def bad(name: str, what: str, remedy: str) -> Finding:
    return Finding(name=name, verdict="bad", what=what, remedy=remedy)
