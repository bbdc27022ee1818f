"""Checks what a log's other tables say against its events, from which all of it can be made again.

The chain proves the events and the names that they bring. What finds them (chunks, correlations, ids, categories) is
no part of it: a row too few there hides an event from some reader, or lets an id be recorded twice.
"""

import re
import sqlite3
from contextlib import closing
from typing import Final

from eventstore._derived_ids import check_ids
from eventstore._rows import CATEGORY
from eventstore._schema import statements

__all__ = ["check_derived"]

_RULES: Final[tuple[tuple[str, str], ...]] = (
    (
        "SELECT position FROM events WHERE position < 1",
        "events holds position {}, before the first",
    ),
    (
        f"SELECT stream_key FROM streams WHERE category IS NOT ({CATEGORY})",  # noqa: S608
        "streams has another category for stream {} than its name says",
    ),
    *(
        (
            f"SELECT {key} FROM {table} LEFT JOIN (SELECT {key}, min(position) AS first FROM events GROUP BY {key})"  # noqa: S608
            f" USING ({key}) WHERE first_position IS NOT first",
            f"{table} says of key {{}} that it begins elsewhere than it does",
        )
        for table, key in (
            ("streams", "stream_key"),
            ("types", "type_key"),
            ("correlations", "correlation_key"),
        )
    ),
    (
        "SELECT stream_key FROM (SELECT stream_key, chunk, min(version) FROM events GROUP BY stream_key, chunk"
        " EXCEPT SELECT stream_key, chunk, first_version FROM chunks)",
        "chunks does not find all events of stream {}",
    ),
    (
        "SELECT stream_key FROM (SELECT stream_key, chunk, first_version FROM chunks"
        " EXCEPT SELECT stream_key, chunk, min(version) FROM events GROUP BY stream_key, chunk)",
        "chunks knows events of stream {} that are not there",
    ),
    (
        "SELECT stream_key FROM (SELECT correlation_key, stream_key FROM events WHERE correlation_key IS NOT NULL"
        " EXCEPT SELECT correlation_key, stream_key FROM correlated)",
        "correlated does not find all events of stream {}",
    ),
    (
        "SELECT stream_key FROM (SELECT correlation_key, stream_key FROM correlated"
        " EXCEPT SELECT correlation_key, stream_key FROM events)",
        "correlated knows events of stream {} that are not there",
    ),
    (
        "SELECT consumer FROM checkpoints WHERE position < 0"
        " OR position > (SELECT coalesce(max(position), 0) FROM events)",
        "checkpoints has {!r} beyond the head",
    ),
)
"""What finds a thing that is wrong, and what that is."""


def _plain(sql: str) -> str:
    """A statement without its comments, and with one blank where there are some."""
    return re.sub(r"\s+", " ", re.sub(r"--[^\n]*", "", sql)).strip()


def _parts(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    sql = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
    return {(kind, name): _plain(text) for kind, name, text in connection.execute(sql)}


def check_derived(connection: sqlite3.Connection) -> tuple[str, ...]:
    """What is wrong, a sentence for each kind of it; reads the whole log.

    A log that lacks a table of its schema is told only that.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(statements(version))
        due = _parts(model)
    found = _parts(connection)
    wrong = [f"{kind} {name} is missing" for kind, name in due.keys() - found.keys()]
    wrong += [
        f"{kind} {name} is not the log's own"
        for kind, name in found.keys() & due.keys()
        if due[kind, name] != found[kind, name]
    ]
    wrong += [
        f"trigger {name} is not the log's own"
        for kind, name in found.keys() - due.keys()
        if kind == "trigger"
    ]
    wrong.sort()
    if any(kind == "table" for kind, _ in due.keys() - found.keys()):
        return tuple(wrong)
    for sql, what in _RULES:
        row = connection.execute(sql + " LIMIT 1").fetchone()
        if row is not None:
            wrong.append(what.format(*row))
    # Of one moment: a writer passes ids on from one place to another.
    connection.execute("BEGIN")
    try:
        return (*wrong, *check_ids(connection, version))
    finally:
        connection.execute("COMMIT")
