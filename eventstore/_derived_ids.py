"""Checks where a log says that ids are recorded against its events: what it does not know is recorded twice."""

import sqlite3
from array import array
from collections.abc import Iterator
from itertools import islice, pairwise

from eventstore._filter import KEPT, PARTS, holds, part_of
from eventstore._older_ids import OLDER_TABLES
from eventstore._runs import ITEM, LEVELS, Row, Runs, hash_at, items_of, pairs_of
from eventstore.ids import fold_ids, hash_ids

__all__ = ["check_ids"]

_AT_A_TIME = 4_000_000
"""Positions, of 8 bytes each in memory; the runs are read once for so many."""


def check_ids(connection: sqlite3.Connection, version: int) -> Iterator[str]:
    """What is wrong, a sentence for each kind of it; reads all events."""
    if version in OLDER_TABLES:
        yield from _check_tables(connection, version)
        return
    (head,) = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
    progress = connection.execute("SELECT indexed FROM id_progress").fetchall()
    if len(progress) != 1 or not 0 <= progress[0][0] <= head:
        yield "id_progress says what is not so"
        return
    wrong = _unsound(connection)
    if wrong:
        yield wrong
        return
    yield from islice(_unlike(connection, progress[0][0]), 1)
    yield from islice(_denied(connection), 1)


def _unsound(connection: sqlite3.Connection) -> str:
    """What would keep ids from being found; nothing if there is no such thing."""
    last: Row | None = None
    runs = Runs(connection)
    for row in runs.rows():
        ids = row.ids
        sound = row.level < LEVELS and ids and len(ids) % ITEM == 0 and row.first <= hash_at(ids, 0)
        if not sound or hash_at(ids, -1) >= row.high:
            return f"id_runs holds what no store writes, in row {row.key}"
        if any(one >= other for one, other in pairwise(items_of(ids))):
            return f"id_runs is not sorted in row {row.key}"
        follows = last is not None and (last.level, last.run, last.low) == (row.level, row.run, row.low)
        if follows and last is not None and hash_at(last.ids, -1) >= row.first:
            return f"id_runs is not sorted before row {row.key}"
        if not follows and (row.first != row.low or not runs.follows(row)):
            return f"id_runs lacks what comes before row {row.key}"
        last = row
    return ""


def _unlike(connection: sqlite3.Connection, indexed: int) -> Iterator[str]:
    for start in range(0, max(indexed, 1), _AT_A_TIME):
        known = array("q", bytes(8 * min(_AT_A_TIME, indexed - start)))
        for row in Runs(connection).rows():
            for hashed, position in pairs_of(row.ids):
                if not 1 <= position <= indexed:
                    yield f"id_runs knows an id at position {position}, where it knows none"
                elif 0 < position - start <= len(known):
                    if known[position - start - 1]:
                        yield f"id_runs knows two ids at position {position}"
                    known[position - start - 1] = hashed + 1
        sql = "SELECT position, event_id FROM events WHERE position > ? AND position <= ?"
        for position, raw in connection.execute(sql, (start, start + len(known))):
            whole = isinstance(raw, bytes) and len(raw) == 16
            if not whole or known[position - start - 1] != hash_ids((raw,))[0] + 1:
                yield f"id_runs does not know the id at position {position}"


def _denied(connection: sqlite3.Connection) -> Iterator[str]:
    """An id that its part of the filter denies would be recorded twice."""
    parts = dict(connection.execute("SELECT part, bits FROM id_filters"))
    for part, bits in parts.items():
        if not 0 <= part < PARTS or not bits or len(bits) & len(bits) - 1:
            yield f"id_filters says nothing that can be understood in part {part}"
            return
    for row in Runs(connection).rows():
        for hashed, position in pairs_of(row.ids) if row.level in KEPT else ():
            bits = parts.get(part_of(hashed))
            if bits is not None and not holds(bits, hashed):
                yield f"id_filters denies the id at position {position}"


def _fold(event_id: object) -> int | None:
    return fold_ids((event_id,))[0] if isinstance(event_id, bytes) and len(event_id) == 16 else None


def _check_tables(connection: sqlite3.Connection, version: int) -> Iterator[str]:
    """The same of a log of schema 3 or 4; its filters are not looked at, as nothing uses them any more."""
    connection.create_function("eventstore_fold", 1, _fold, deterministic=True)
    for sql, what in _rules(version):
        row = connection.execute(sql + " LIMIT 1").fetchone()
        if row is not None:
            yield what.format(*row)


def _rules(version: int) -> Iterator[tuple[str, str]]:
    tables = OLDER_TABLES[version]
    unknown = " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {table} i"  # noqa: S608
        " WHERE i.fold = eventstore_fold(event_id) AND i.position = events.position)"
        for table in tables
    )
    every = " UNION ALL ".join(f"SELECT fold, position FROM {table}" for table in tables)  # noqa: S608
    names = ", ".join(tables)
    yield (
        "SELECT count(*) FROM id_index HAVING count(*) != 1 OR min(indexed) < 0 OR max(indexed) >"
        " (SELECT coalesce(max(position), 0) FROM events) OR max(recent) != (SELECT count(*) FROM recent_ids)",
        "id_index says what is not so in {} row",
    )
    yield (
        f"SELECT position FROM events WHERE position <= (SELECT indexed FROM id_index) AND {unknown}",  # noqa: S608
        f"{names} do not know the id at position {{}}",
    )
    yield (
        f"SELECT position FROM ({every}) WHERE position > (SELECT indexed FROM id_index)"  # noqa: S608
        " OR position NOT IN (SELECT position FROM events)",
        f"{names}: one knows an id at position {{}}, where it knows none",
    )
