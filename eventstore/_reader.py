"""Reads the log in slices, each in its own short read transaction, so that no reader holds up the WAL."""

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from eventstore._rows import COLUMNS, Names, to_event
from eventstore._schema import connect_reader, explain, wal_path
from eventstore.errors import StoreClosed, StoreCorrupt
from eventstore.model import RecordedEvent, VerifyReport, Witness
from eventstore.verify import Verifier

__all__ = ["Reader", "Readers", "Slice"]

_T = TypeVar("_T")

_SLICE_BYTES: Final = 4 * 1024 * 1024
_WINDOW: Final = 50_000
"""Positions that one filtered slice looks at, at most: a rare category must not mean a long transaction."""


_DAMAGE: Final = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""SQLITE_ERROR: text that is not UTF-8."""


class Slice:
    """Some events, and where to go on: at `next_after` (forward) or before it (backward), unless `done`."""

    __slots__ = ("done", "events", "next_after")

    def __init__(self, events: list[RecordedEvent], next_after: int, done: bool) -> None:
        self.events = events
        self.next_after = next_after
        self.done = done


class Reader:
    """One read-only connection; used by one thread at a time."""

    def __init__(self, path: Path, busy_s: float) -> None:
        self.connection, self.frozen = connect_reader(path, busy_s)
        self._path = path
        self._names = Names(self.connection)

    def still_good(self) -> bool:
        """False if this connection cannot see what a writer may have begun to write."""
        return not self.frozen or not wal_path(self._path).exists()

    def data_version(self) -> int:
        """Changes when another connection has committed."""
        return int(self.connection.execute("PRAGMA data_version").fetchone()[0])

    def head(self) -> int:
        return self.connection.execute("SELECT max(position) FROM events").fetchone()[0] or 0

    def version(self, stream: str) -> int:
        sql = (
            "SELECT max(version) FROM events"
            " WHERE stream_key = (SELECT stream_key FROM streams WHERE name = ?)"
        )
        return self.connection.execute(sql, (stream,)).fetchone()[0] or 0

    def checkpoint(self, consumer: str) -> int:
        sql = "SELECT position FROM checkpoints WHERE consumer = ?"
        row = self.connection.execute(sql, (consumer,)).fetchone()
        return row[0] if row else 0

    def stream(self, name: str, after: int, before: int | None, count: int, backward: bool) -> Slice:
        """Events of one stream with after < version < before."""
        key = "(SELECT stream_key FROM streams WHERE name = ?)"
        where = f"stream_key = {key} AND version > ?"
        values: list[str | int] = [name, after]
        if before is not None:
            where += " AND version < ?"
            values.append(before)
        events = self._fetch(where, values, "version", count, backward)
        next_after = events[-1].version if events else after
        return Slice(events, next_after, not events)

    def log(
        self,
        after: int,
        before: int | None,
        count: int,
        backward: bool = False,
        category: str | None = None,
        correlation_id: str | None = None,
    ) -> Slice:
        """Events of the whole log with after < position < before."""
        head = self.head()
        low, high = after, head if before is None else min(before - 1, head)
        if correlation_id is None and category is not None:
            low, high = (max(low, high - _WINDOW), high) if backward else (low, min(high, low + _WINDOW))
        where = "position > ? AND position <= ?"
        values: list[str | int] = [low, high]
        if category is not None:
            where += (
                " AND EXISTS (SELECT 1 FROM streams"
                " WHERE streams.stream_key = events.stream_key AND streams.category = ?)"
            )
            values.append(category)
        if correlation_id is not None:
            where += (
                " AND correlation_key = (SELECT correlation_key FROM correlations WHERE correlation_id = ?)"
            )
            values.append(correlation_id)
        events = self._fetch(where, values, "position", count, backward)
        if len(events) == count or (events and self._cut):
            return Slice(events, events[-1].position, False)
        if backward:
            return Slice(events, low + 1, low <= after)
        return Slice(events, max(after, high), high >= head)

    def _fetch(
        self, where: str, values: list[Any], order: str, count: int, backward: bool
    ) -> list[RecordedEvent]:
        direction = "DESC" if backward else "ASC"
        cursor = self.connection.execute(
            f"SELECT {COLUMNS} FROM events WHERE {where} ORDER BY {order} {direction} LIMIT ?",  # noqa: S608
            [*values, count],
        )
        events: list[RecordedEvent] = []
        size, names = 0, self._names
        self._cut = False
        try:
            for row in cursor:
                event = to_event(row, names)
                events.append(event)
                size += len(event.data)
                if size >= _SLICE_BYTES:
                    self._cut = True
                    break
        finally:
            cursor.close()
        return events

    def verify(self, witness: Witness | None) -> VerifyReport:
        """Walk the whole log, slice by slice; what cannot be read is a fault, not an error."""
        verifier, position = Verifier(witness), 0
        sql = f"SELECT {COLUMNS} FROM events WHERE position > ? ORDER BY position LIMIT 1000"  # noqa: S608
        try:
            while True:
                start = position
                for row in self.connection.execute(sql, (start,)):
                    event = to_event(row, self._names)
                    position = event.position
                    if not verifier.feed(event):
                        return verifier.report()
                if position == start:
                    return verifier.report()
        except (StoreCorrupt, sqlite3.DatabaseError) as error:
            if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF not in _DAMAGE:
                raise
            verifier.unreadable(str(error).rstrip("."))
            return verifier.report()

    def check_file(self) -> tuple[str, ...]:
        """What SQLite finds wrong with the file; empty if nothing."""
        found = (row[0] for row in self.connection.execute("PRAGMA integrity_check"))
        return tuple(what for what in found if what != "ok")

    def copy(self, target: Path) -> None:
        """The log as it is at one moment, to a new file; writers are not held up."""
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        copy = sqlite3.connect(target)
        try:
            self.connection.backup(copy)
        finally:
            copy.close()


class Readers:
    """The store's read-only connections: as many as are used at the same time."""

    def __init__(self, path: Path, busy_s: float) -> None:
        self._path = path
        self._busy_s = busy_s
        self._idle: list[Reader] = []
        self._lock = threading.Lock()
        self._closed = False
        self._give_back(Reader(path, busy_s))

    def run(self, work: Callable[[Reader], _T]) -> _T:
        """`work` done with a reader of its own; in the calling thread."""
        while True:
            reader = self._take()
            try:
                result = work(reader)
            except sqlite3.Error as error:
                reader.connection.close()
                raise explain(error, self._path) from error
            except BaseException:
                reader.connection.close()
                raise
            good = reader.still_good()
            self._give_back(reader)
            if good:
                return result

    def close(self) -> None:
        """Close what is idle; what is in use closes when it is given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for reader in idle:
            reader.connection.close()

    def _take(self) -> Reader:
        with self._lock:
            if self._closed:
                raise StoreClosed
            reader = self._idle.pop() if self._idle else None
        return reader or Reader(self._path, self._busy_s)

    def _give_back(self, reader: Reader) -> None:
        with self._lock:
            # A frozen reader has seen one moment; the next one has to look whether somebody writes now.
            if not self._closed and not reader.frozen:
                self._idle.append(reader)
                return
        reader.connection.close()
