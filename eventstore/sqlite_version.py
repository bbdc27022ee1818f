"""Which versions of SQLite a log can be trusted to, and what is known against the one at hand."""

import sqlite3
from typing import Final, Literal

from msgspec import Struct

from eventstore.errors import StoreIncompatible

__all__ = ["SqliteNote", "check_sqlite", "sqlite_note"]

Version = tuple[int, int, int]

OLDEST: Final[Version] = (3, 37, 0)
"""The first with STRICT tables (https://sqlite.org/stricttables.html)."""
_FIXED: Final[tuple[Version, ...]] = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""The WAL-reset bug is fixed in these, in later patches of the same line, and in all after the last one."""


class SqliteNote(Struct, frozen=True, kw_only=True):
    """What is to be said of a version; `remedy` is empty where nothing need be done."""

    version: str
    verdict: Literal["good", "guarded", "refused"]
    """guarded: it has a bug that a log's own lock keeps from happening, among programs that take that lock."""
    what: str
    remedy: str


def sqlite_note(version: Version | None = None) -> SqliteNote:
    """What is known of a version of SQLite, that of this Python unless told."""
    at = version or sqlite3.sqlite_version_info[:3]
    name = ".".join(map(str, at))
    if at < OLDEST:
        return SqliteNote(
            version=name,
            verdict="refused",
            what=f"SQLite {name} is too old for a log, which needs 3.37.0 or newer.",
            remedy="Use a Python that was built with a newer SQLite.",
        )
    if any(at[:2] == fixed[:2] and at >= fixed for fixed in _FIXED) or at > _FIXED[-1]:
        return SqliteNote(version=name, verdict="good", what=f"SQLite {name} is safe for a log.", remedy="")
    return SqliteNote(
        version=name,
        verdict="guarded",
        what=(
            f"SQLite {name} can lose committed pages where two programs write or checkpoint a database at the"
            " same moment (sqlite.org/wal.html#walresetbug); logs are opened so that only one does."
        ),
        remedy=(
            "Open a log with other programs for reading only (sqlite3 -readonly), or use 3.44.6, 3.50.7, 3.51.3"
            " or newer."
        ),
    )


def check_sqlite(version: Version | None = None) -> None:
    """Raise `StoreIncompatible` for a version that cannot hold a log."""
    note = sqlite_note(version)
    if note.verdict == "refused":
        raise StoreIncompatible(note.what, remedy=note.remedy)
