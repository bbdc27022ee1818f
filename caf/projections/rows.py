"""Rows of jobs between the fold and the database: loaded when they are needed, changed in memory, written together."""

import sqlite3
from collections.abc import Iterable
from typing import Final

from caf.projections import ALL
from caf.projections.model import Handler, JobRows, Key, Row, Seen

__all__ = ["RowCache"]

_HANDLERS: Final[dict[type, tuple[Handler, ...]]] = {
    kind: tuple(item.handlers[kind] for item in ALL if kind in item.handlers)
    for kind in {kind for item in ALL for kind in item.handlers}
}
"""All projections' handlers by the type of event, so that one pass serves them all."""


class RowCache:
    """The rows of the jobs that a fold has touched; `write` takes them into the open transaction.

    `fresh`: the tables are known to be empty at first, so that a job's first event need not look there.
    """

    def __init__(self, connection: sqlite3.Connection, *, fresh: bool = False) -> None:
        self._db = connection
        self._fresh = fresh
        self._jobs: dict[str, JobRows] = {}
        self._written: set[str] = set()
        self._columns: dict[str, tuple[str, ...]] = {}
        self._keys: dict[str, tuple[str, ...]] = {}

    def apply(self, event: object, seen: Seen) -> None:
        """Fold one event into the rows of all projections."""
        handlers = _HANDLERS.get(type(event))
        if handlers is None:
            return
        rows = self._jobs.get(seen.job_id)
        if rows is None:
            rows = self._jobs[seen.job_id] = JobRows(seen.job_id, self._load)
        for handler in handlers:
            handler(event, seen, rows)

    def write(self) -> None:
        """Write what was changed, in the open transaction, and forget all rows."""
        changed: dict[str, list[Row]] = {}
        for rows in self._jobs.values():
            for table, key in rows.changed:
                changed.setdefault(table, []).append(rows.of(table)[key])
        for table, found in changed.items():
            self._insert(table, found)
        if self._fresh:
            self._written.update(self._jobs)
        self._jobs.clear()

    def _insert(self, table: str, rows: Iterable[Row]) -> None:
        columns = self._shape(table)
        marks = ", ".join("?" * len(columns))
        keys = ("job_id", *self._keys[table])
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in keys)
        # No REPLACE: a row that is changed keeps its place, so that live rows and rebuilt ones come in one order.
        self._db.executemany(
            f'INSERT INTO "{table}" VALUES ({marks})'  # noqa: S608 - names are ours
            f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {changes}",
            (tuple(map(row.get, columns)) for row in rows),
        )

    def _load(self, table: str, job_id: str) -> dict[Key, Row]:
        if self._fresh and job_id not in self._written:
            return {}
        columns, keys = self._shape(table), self._keys[table]
        found = self._db.execute(f'SELECT * FROM "{table}" WHERE job_id = ?', (job_id,))  # noqa: S608
        rows: list[Row] = [dict(zip(columns, values, strict=True)) for values in found]
        return {tuple(row[name] for name in keys): row for row in rows}

    def _shape(self, table: str) -> tuple[str, ...]:
        """A table's columns; its key is noted on the way."""
        columns = self._columns.get(table)
        if columns is None:
            info = self._db.execute(
                "SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", (table,)
            ).fetchall()
            columns = self._columns[table] = tuple(name for name, _ in info)
            places = sorted((place, name) for name, place in info if place)
            assert places[0][1] == "job_id", f"the key of {table} does not begin with the job"
            self._keys[table] = tuple(name for _, name in places[1:])
        return columns
