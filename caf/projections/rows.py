"""Rows of jobs between the fold and the database: loaded when they are needed, changed in memory, written together."""

import sqlite3
from collections.abc import Iterable
from functools import cache
from typing import Any, Final, get_args

from caf.contracts.times import timestamp
from caf.events import Event
from caf.log import CATEGORY
from caf.projections import ALL
from caf.projections.model import Ending, Handler, JobRows, Key, Row, Seen
from caf.projections.tables import layouts
from eventstore import Column, Unreadable, new_bulk

__all__ = ["COLUMNS", "Changes", "Item", "RowCache"]

COLUMNS: Final[tuple[Column, ...]] = ("position", "stream", "version", "recorded_at_ms", "event_id")
Item = tuple[Any, int, str, int, int, str]
"""An event and `COLUMNS` of it; None for those, but the position, that lie in a damaged part of the log."""
_JOBS: Final = f"{CATEGORY}-"
_HANDLERS: Final[dict[type, tuple[Handler, ...]]] = {
    kind: tuple(item.handlers[kind] for item in ALL if kind in item.handlers) for kind in get_args(Event)
}
"""All projections' handlers by the type of event, so that one pass serves them all."""
UNFIT: Final = (ArithmeticError, LookupError, TypeError, ValueError)
"""What a handler raises on an event that can be read and was not written by caf: nobody can take it out of the log."""
_ENDINGS: Final[tuple[Ending, ...]] = tuple(item.ending for item in ALL if item.ending)


class Changes:
    """Rows of all tables as they were when they were taken, to be written by whoever has the database."""

    def __init__(self) -> None:
        self._rows = new_bulk()
        self._last: Item | None = None

    def take(self, rows: dict[str, list[Row]], last: Item) -> None:
        """Rows by their table, and the last event that they come of."""
        for table, found in rows.items():
            self._rows.add(_insert(table), layouts()[table].columns, found)
        self._last = last

    def write(self, connection: sqlite3.Connection) -> None:
        """Write them, and how far they reach, in the open transaction. Raises `sqlite3.Error`."""
        self._rows.write(connection)
        if self._last is not None:
            place = (self._last[1], self._last[5] or "")
            connection.execute("UPDATE progress SET position = ?, event_id = ?", place)


class RowCache:
    """The rows of the jobs that a fold has touched lately."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._jobs: dict[str, JobRows] = {}
        """By stream; those that were folded since the cache was turned over."""
        self._before: dict[str, JobRows] = {}
        """Those of the time before that: most of the jobs that go on are there."""
        self._changed: list[JobRows] = []
        self._unreadable: list[Row] = []

    def fold(self, items: Iterable[Item], changes: Changes) -> None:
        """The jobs' events into the rows of all projections; one that cannot be read is noted and stops nothing."""
        jobs, item, at_ms, at = self._jobs, None, None, ""
        for item in items:
            event, position, stream, version, recorded_at_ms, event_id = item
            rows = jobs.get(stream)
            if rows is None:
                if not stream:
                    self._note(event)
                    continue
                if not stream.startswith(_JOBS):
                    continue
                rows = jobs[stream] = self._rows(stream, version)
            handlers = _HANDLERS.get(event.__class__)
            if handlers is None:
                self._note(event)
                continue
            if recorded_at_ms != at_ms:
                # Events of one append have one time.
                at_ms, at = recorded_at_ms, timestamp(recorded_at_ms)
            place = Seen(rows.job_id, version, position, at, recorded_at_ms, event_id)
            if rows.last is None:
                self._changed.append(rows)
            rows.last = place
            for handler in handlers:
                try:
                    handler(event, place, rows)
                except UNFIT as fault:
                    self._note_unfit(event, place, stream, fault)
        if item is not None:
            changes.take(self._changes(), item)

    def turn_over(self) -> None:
        """Forget the rows that were not touched since this was done last; all changes before that must be written."""
        self._before, self._jobs = self._jobs, {}

    def _changes(self) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {}
        if self._unreadable:
            found["unreadable"], self._unreadable = self._unreadable, []
        for rows in self._changed:
            assert rows.last is not None
            for ending in _ENDINGS:
                ending(rows.last, rows)
            for (table, _), row in rows.changed.items():
                found.setdefault(table, []).append(row)
            rows.changed, rows.last = {}, None
        self._changed = []
        return found

    def _rows(self, stream: str, version: int) -> JobRows:
        found = self._before.pop(stream, None)
        if found is not None:
            return found
        # What begins here has no rows yet.
        return JobRows(stream[len(_JOBS) :], self._load if version > 1 else _nothing)

    def _load(self, table: str, job_id: str) -> dict[Key, Row]:
        layout = layouts()[table]
        assert layout.key[0] == "job_id", f"the key of {table} does not begin with the job"
        found = self._db.execute(f'SELECT * FROM "{table}" WHERE job_id = ?', (job_id,))  # noqa: S608
        rows: list[Row] = [dict(zip(layout.columns, values, strict=True)) for values in found]
        return {tuple(row[name] for name in layout.key[1:]): row for row in rows}

    def _note_unfit(self, event: object, place: Seen, stream: str, fault: Exception) -> None:
        kind = event.__class__.__name__
        row: Row = {"position": place.position, "stream": stream, "version": place.version, "type": kind}
        self._unreadable.append({**row, "why": f"event of type {kind!r} says what no row can hold: {fault}"})

    def _note(self, event: object) -> None:
        if isinstance(event, Unreadable):
            row: Row = {"position": event.position, "stream": event.stream, "version": event.version}
            self._unreadable.append({**row, "type": event.type, "why": event.why})


def _nothing(table: str, job_id: str) -> dict[Key, Row]:
    return {}


@cache
def _insert(table: str) -> str:
    columns, key = layouts()[table].columns, layouts()[table].key
    marks = ", ".join("?" * len(columns))
    changes = ", ".join(f'"{name}" = excluded."{name}"' for name in columns if name not in key)
    # No REPLACE: a row that is changed keeps its place, so that live rows and rebuilt ones come in one order.
    return (
        f'INSERT INTO "{table}" VALUES ({marks})'  # noqa: S608 - names are ours
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}"
    )
