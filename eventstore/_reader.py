"""Reads the log in slices, each in its own short read transaction, so that no reader holds up the WAL."""

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from eventstore._ahead import ROWS, Part, Parts
from eventstore._derived import check_derived
from eventstore._frames import Columns
from eventstore._rows import CHECKED, CHUNK_BITS, COLUMNS, DATA, Known, Names, in_order, to_event
from eventstore._scan import SLICE_BYTES, Scan, new_scan
from eventstore._schema import connect_reader, explain, result_code, wal_path
from eventstore.checks import MAX_INTEGER
from eventstore.errors import StoreClosed, StoreCorrupt
from eventstore.model import RecordedEvent, VerifyReport, Witness
from eventstore.verify import Verifier

__all__ = ["WINDOW", "Reader", "Readers", "Slice", "is_damage"]

_T = TypeVar("_T")

WINDOW: Final = 50_000
"""Positions that one filtered slice looks at, at most: a rare category must not mean a long transaction."""
_CORRELATION_WINDOW: Final = 1_000_000
"""The same where the streams to look at are known."""
_E_COLUMNS: Final = ", ".join(f"e.{column.strip()}" for column in COLUMNS.split(","))
_VERIFIED: Final = 1024
"""Rows that are verified at a time: few enough to be in the processor's cache still when they are hashed."""
_FIRST: Final = "SELECT min(position) FROM events"
_ALONE: Final = f"SELECT {COLUMNS} FROM events WHERE position = ?"  # noqa: S608
_SCANS: Final = 32
"""SELECTs that are kept ready."""
_STREAM_KEY: Final = "(SELECT stream_key FROM streams WHERE name = ?)"
_VERSION: Final = (
    f"SELECT max(version) FROM events WHERE stream_key = {_STREAM_KEY}"  # noqa: S608
    f" AND chunk = (SELECT max(chunk) FROM chunks WHERE stream_key = {_STREAM_KEY})"
)
_DAMAGE: Final = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""SQLITE_ERROR: text that is not UTF-8."""


def is_damage(error: Exception) -> bool:
    """True if what is in the file is to blame, and not what is around it."""
    if isinstance(error, sqlite3.OperationalError):
        return result_code(error) & 0xFF in _DAMAGE
    return isinstance(error, StoreCorrupt | sqlite3.DatabaseError)


def _state(path: Path) -> tuple[int, int, int] | None:
    """What is another once somebody has written into the file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - as in connect_reader
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class Slice:
    """Some events, and where to go on: at `next_after` (forward) or before it (backward), unless `done`."""

    __slots__ = ("done", "events", "next_after")

    def __init__(self, events: list[RecordedEvent], next_after: int, done: bool) -> None:
        self.events = events
        self.next_after = next_after
        self.done = done


class Reader:
    """One read-only connection; used by one thread at a time."""

    def __init__(self, path: Path, busy_s: float, known: Known | None = None) -> None:
        before = _state(path)
        self.connection, self.frozen = connect_reader(path, busy_s)
        self.path = path
        self._state = before
        self.names = Names(self.connection, known)
        self._scans: dict[str, Scan] = {}
        self._cut = False

    def close(self) -> None:
        """Close it, and the archives that it opened."""
        self.names.close()
        self._close_scans()
        self.connection.close()

    def still_good(self) -> bool:
        """False if this connection cannot see what a writer may have begun to write, or has written and gone."""
        return not self.frozen or (not wal_path(self.path).exists() and _state(self.path) == self._state)

    def data_version(self) -> int:
        """Changes when another connection has committed."""
        return int(self.connection.execute("PRAGMA data_version").fetchone()[0])

    def head(self) -> int:
        return self.connection.execute("SELECT max(position) FROM events").fetchone()[0] or 0

    def version(self, stream: str) -> int:
        return self.connection.execute(_VERSION, (stream, stream)).fetchone()[0] or 0

    def archived(self) -> frozenset[str]:
        rows = self.connection.execute("SELECT name FROM archived JOIN streams USING (stream_key)")
        return frozenset(name for (name,) in rows)

    def checkpoint(self, consumer: str) -> int:
        sql = "SELECT position FROM checkpoints WHERE consumer = ?"
        row = self.connection.execute(sql, (consumer,)).fetchone()
        return row[0] if row else 0

    def stream(self, name: str, after: int, before: int | None, count: int, backward: bool) -> Slice:
        """Events of one stream with after < version < before."""
        direction = "DESC" if backward else "ASC"
        values: list[str | int] = [name, name, min(after + 1, MAX_INTEGER), after]
        where = "e.version > ?"
        if before is not None:
            where += " AND e.version < ?"
            values.append(before)
        # In this order of the tables the events come in the order of their versions, with nothing to sort.
        sql = (
            f"SELECT {_E_COLUMNS} FROM chunks c CROSS JOIN events e"  # noqa: S608
            f" ON e.chunk = c.chunk AND e.stream_key = c.stream_key"
            f" WHERE c.stream_key = {_STREAM_KEY} AND c.chunk >= coalesce((SELECT max(chunk) FROM chunks"
            f" WHERE stream_key = {_STREAM_KEY} AND first_version <= ?), 0) AND {where}"
            f" ORDER BY c.chunk {direction}, e.version {direction} LIMIT ?"
        )
        events = self._fetch(sql, values, count)
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
        if before is None and category is None and correlation_id is None and not backward:
            return self._onward(after, count)
        head = self.head()
        low, high = after, head if before is None else min(before - 1, head)
        if correlation_id is not None or category is not None:
            window = WINDOW if correlation_id is None else _CORRELATION_WINDOW
            low, high = (max(low, high - window), high) if backward else (low, min(high, low + window))
        source, where = "events e", "e.position > ? AND e.position <= ?"
        values: list[str | int] = [low, high]
        if correlation_id is not None:
            source = (
                "correlated r CROSS JOIN chunks c ON c.stream_key = r.stream_key"
                " CROSS JOIN events e ON e.chunk = c.chunk AND e.stream_key = c.stream_key"
            )
            where += (
                " AND c.chunk >= ? AND c.chunk <= ? AND e.correlation_key = r.correlation_key"
                " AND r.correlation_key = (SELECT correlation_key FROM correlations WHERE correlation_id = ?)"
            )
            values += [low >> CHUNK_BITS, high >> CHUNK_BITS, correlation_id]
        if category is not None:
            where += (
                " AND EXISTS (SELECT 1 FROM streams"
                " WHERE streams.stream_key = e.stream_key AND streams.category = ?)"
            )
            values.append(category)
        direction = "DESC" if backward else "ASC"
        sql = f"SELECT {_E_COLUMNS} FROM {source} WHERE {where} ORDER BY e.position {direction} LIMIT ?"  # noqa: S608
        try:
            events = self._fetch(sql, values, count)
        except (StoreCorrupt, sqlite3.DatabaseError) as error:
            if not is_damage(error) or backward or correlation_id is not None or category is not None:
                raise
            events = self._next(after, error)
        if len(events) == count or (events and self._cut):
            return Slice(events, events[-1].position, False)
        if backward:
            return Slice(events, low + 1, low <= after)
        return Slice(events, max(after, high), high >= head)

    def _onward(self, after: int, count: int) -> Slice:
        """All events after a position: what a follower asks for at every ring."""
        try:
            events = self._in_order(self._fetch(ROWS, [after], count), after)
        except (StoreCorrupt, sqlite3.DatabaseError) as error:
            if not is_damage(error):
                raise
            events = self._next(after, error)
        more = len(events) == count or (bool(events) and self._cut)
        return Slice(events, events[-1].position if events else after, not more)

    def _in_order(self, events: list[RecordedEvent], after: int) -> list[RecordedEvent]:
        """Those before the first that is out of its place; raises `StoreCorrupt` if that is the next one.

        Who went on from what a damaged row says would leave events out, or meet the same ones for ever.
        """
        positions = [event.position for event in events]
        if positions == [*range(after + 1, after + 1 + len(events))]:
            return events
        cut = self._cut
        ordered = [
            events[place] for place in in_order(positions, after, lambda place: self._is_at(events[place]))
        ]
        if len(ordered) == len(events) and after not in self.names.astray:
            self._cut = cut  # some are missing, which only verifying tells
            return events
        good = [event for due, event in enumerate(ordered, after + 1) if event.position == due]
        # A search for what comes behind can pass by the one that is astray: then it seems to be missing.
        self.names.astray.add(good[-1].position if good else after)
        if not good:
            raise StoreCorrupt(f"position {after + 1} is out of its place.", remedy="Restore a backup.")
        self._cut = True
        return good

    def _is_at(self, event: RecordedEvent) -> bool:
        try:
            return self._at(event.position) == [event]
        except StoreCorrupt:
            return False

    def _next(self, after: int, damage: Exception) -> list[RecordedEvent]:
        """The next event alone, where those from it on cannot be read. Raises `StoreCorrupt`, also if it is gone."""
        # Python has taken the step to the next row before it hands out one: this one may be good.
        events = self._at(after + 1)
        if not events:
            raise _unreadable(after + 1, damage) from damage
        self._cut = True
        return events

    def event(self, position: int) -> RecordedEvent:
        """The event there. Raises `StoreCorrupt` with the position, also if it is gone."""
        events = self._at(position)
        if not events:
            raise _unreadable(position, ValueError("it is gone"))
        return events[0]

    def _at(self, position: int) -> list[RecordedEvent]:
        """The event there, if there is one. Raises `StoreCorrupt` with the position."""
        try:
            return self._fetch(f"SELECT {COLUMNS} FROM events WHERE position = ? LIMIT ?", [position], 1)  # noqa: S608
        except (StoreCorrupt, sqlite3.DatabaseError) as error:
            if not is_damage(error):
                raise
            raise _unreadable(position, error) from error

    def _fetch(self, sql: str, values: list[Any], count: int) -> list[RecordedEvent]:
        columns, self._cut = self.scan(sql).fetch((*values, count), SLICE_BYTES)
        events: list[RecordedEvent] = []
        size, names = 0, self.names
        try:
            for row in zip(*columns, strict=True):
                event = to_event(row, names)
                events.append(event)
                size += len(event.data)
                if size >= SLICE_BYTES:
                    # Some of it may lie in archives.
                    self._cut = True
                    break
        except (StoreCorrupt, sqlite3.DatabaseError) as error:
            if not is_damage(error) or not events:
                raise
            # Those before it are good; the next slice begins with it, and says so.
            self._cut = True
        return events

    def scan(self, sql: str) -> Scan:
        """That SELECT, ready to be asked."""
        scan = self._scans.get(sql)
        if scan is None:
            if len(self._scans) >= _SCANS:
                self._close_scans()
            scan = self._scans[sql] = new_scan(self.connection, sql)
        return scan

    def _close_scans(self) -> None:
        for scan in self._scans.values():
            scan.close()
        self._scans.clear()

    def verify(self, witness: Witness | None) -> VerifyReport:
        """Walk the whole log, slice by slice; what cannot be read is a fault, not an error."""
        verifier = Verifier(witness)
        parts = Parts(verifier, self.names)
        self.look_before(verifier)
        while verifier.fault is None:
            columns: Columns = ([],)
            scan = self.scan(ROWS)
            try:
                part = parts.read(scan, verifier.good, _VERIFIED)
                columns = part.columns
                parts.check(part, scan, self.names, _VERIFIED)
            except (StoreCorrupt, sqlite3.DatabaseError) as error:
                if not is_damage(error):
                    raise
                self._verify_next(verifier, parts, error)
            if not columns[0]:
                break
        return verifier.report()

    def look_before(self, verifier: Verifier) -> None:
        """Have it know what stands before the first position, which no other reader looks at."""
        try:
            first = self.connection.execute(_FIRST).fetchone()[0]
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return
        if first is not None and first < 1:
            verifier.misplaced(first)

    def _verify_next(self, verifier: Verifier, parts: Parts, damage: Exception) -> None:
        """Check the next rows one by one, up to the one that something is wrong with."""
        scan = self.scan(_ALONE)
        while verifier.fault is None:
            try:
                columns, _ = scan.fetch((verifier.good + 1,), SLICE_BYTES, CHECKED)
                if not columns[0]:
                    raise damage
                parts.check(Part(columns, scan.lacks(DATA), False), scan, self.names, 0)
            except (StoreCorrupt, sqlite3.DatabaseError) as error:
                if not is_damage(error):
                    raise
                verifier.unreadable(str(error).rstrip("."))

    def check_file(self) -> tuple[str, ...]:
        """What SQLite finds wrong with the file, else what its tables say that its events do not; empty if nothing."""
        found = (row[0] for row in self.connection.execute("PRAGMA integrity_check"))
        return tuple(what for what in found if what != "ok") or check_derived(self.connection)

    def copy(self, target: Path) -> None:
        """The log as it is at one moment, to a new file; writers are not held up."""
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        copy = sqlite3.connect(target)
        try:
            self.connection.backup(copy)
        finally:
            copy.close()


def _unreadable(position: int, error: Exception) -> StoreCorrupt:
    why = (error.message if isinstance(error, StoreCorrupt) else str(error)).rstrip(".")
    return StoreCorrupt(
        f"Position {position} cannot be read: {why}.",
        remedy=f"Restore a backup; what lies behind it can be read after position {position}.",
    )


class Readers:
    """The store's read-only connections: as many as are used at the same time."""

    def __init__(self, path: Path, busy_s: float) -> None:
        self._path = path
        self._busy_s = busy_s
        self._known = Known()
        self._idle: list[Reader] = []
        self._lock = threading.Lock()
        self._closed = False
        self._give_back(Reader(path, busy_s, self._known))

    def run(self, work: Callable[[Reader], _T]) -> _T:
        """`work` done with a reader of its own; in the calling thread."""
        while True:
            reader = self._take()
            try:
                result = work(reader)
            except sqlite3.Error as error:
                reader.close()
                raise explain(error, self._path) from error
            except BaseException:
                reader.close()
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
            reader.close()

    def _take(self) -> Reader:
        with self._lock:
            if self._closed:
                raise StoreClosed
            reader = self._idle.pop() if self._idle else None
        return reader or Reader(self._path, self._busy_s, self._known)

    def _give_back(self, reader: Reader) -> None:
        with self._lock:
            # A frozen reader has seen one moment; the next one has to look whether somebody writes now.
            if not self._closed and not reader.frozen:
                self._idle.append(reader)
                return
        reader.close()
