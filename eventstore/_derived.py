"""Checks what a log's other tables say against its events, from which all of it can be made again.

The chain proves the events and the names that they bring. What finds them (chunks, correlations, ids, categories) is
no part of it: a row too few there hides an event from some reader, or lets an id be recorded twice.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Final

from eventstore._filter import PARTS, folds_of, holds
from eventstore._ids import TABLES
from eventstore._rows import CATEGORY
from eventstore._schema import statements
from eventstore.ids import fold_ids

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
        "SELECT count(*) FROM id_index HAVING count(*) != 1 OR min(indexed) < 0 OR max(indexed) >"
        " (SELECT coalesce(max(position), 0) FROM events) OR max(recent) != (SELECT count(*) FROM recent_ids)",
        "id_index says what is not so in {} row",
    ),
    (
        "SELECT consumer FROM checkpoints WHERE position < 0"
        " OR position > (SELECT coalesce(max(position), 0) FROM events)",
        "checkpoints has {!r} beyond the head",
    ),
)
"""What finds a thing that is wrong, and what that is."""


def _rules_of_ids(tables: Sequence[str]) -> Iterator[tuple[str, str]]:
    unknown = " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {table} i"  # noqa: S608
        " WHERE i.fold = eventstore_fold(event_id) AND i.position = events.position)"
        for table in tables
    )
    every = " UNION ALL ".join(f"SELECT fold, position FROM {table}" for table in tables)  # noqa: S608
    names = ", ".join(tables)
    yield (
        f"SELECT position FROM events WHERE position <= (SELECT indexed FROM id_index) AND {unknown}",  # noqa: S608
        f"{names} do not know the id at position {{}}",
    )
    yield (
        f"SELECT position FROM ({every}) WHERE position > (SELECT indexed FROM id_index)"  # noqa: S608
        " OR position NOT IN (SELECT position FROM events)",
        f"{names}: one knows an id at position {{}}, where it knows none",
    )
    if "middle_ids" in tables:
        yield (
            "SELECT count(*) FROM middle_index HAVING count(*) != 1"
            " OR max(middle) != (SELECT count(*) FROM middle_ids)",
            "middle_index says what is not so in {} row",
        )


def _plain(sql: str) -> str:
    """A statement without its comments, and with one blank where there are some."""
    return re.sub(r"\s+", " ", re.sub(r"--[^\n]*", "", sql)).strip()


def _parts(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    sql = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
    return {(kind, name): _plain(text) for kind, name, text in connection.execute(sql)}


def _fold(event_id: object) -> int | None:
    return fold_ids((event_id,))[0] if isinstance(event_id, bytes) and len(event_id) == 16 else None


def _filters_lack(connection: sqlite3.Connection) -> Iterator[str]:
    """An id in `older_ids` that its part of the filter denies would be recorded twice."""
    for part, bits in connection.execute("SELECT part, bits FROM id_filters"):
        sql = "SELECT fold, position FROM older_ids WHERE fold >= ? AND fold < ?"
        size = len(bits)
        if not 0 <= part < PARTS or size & (size - 1) or not size:
            yield f"id_filters says nothing that can be understood in part {part}"
            return
        for fold, position in connection.execute(sql, folds_of(part)):
            if not holds(bits, fold):
                yield f"id_filters denies the id at position {position}"
                return


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
    connection.create_function("eventstore_fold", 1, _fold, deterministic=True)
    tables = [name for name in TABLES if ("table", name) in due]
    for sql, what in (*_RULES, *_rules_of_ids(tables)):
        row = connection.execute(sql + " LIMIT 1").fetchone()
        if row is not None:
            wrong.append(what.format(*row))
    if ("table", "id_filters") in due:
        wrong += _filters_lack(connection)
    return tuple(wrong)
