"""Keeps the projections' rows in one SQLite file in step with the log; the rows are disposable."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import anyio.to_thread

from caf.events.codec import UnreadableEvent, decode
from caf.log import CATEGORY, seen
from caf.projections import ALL, SqlValue
from eventstore import EventStore, RecordedEvent

__all__ = ["ReadModels"]

BATCH: Final = 500
META: Final = """
CREATE TABLE projections (name TEXT PRIMARY KEY, version INTEGER NOT NULL);
CREATE TABLE progress (id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL);
INSERT INTO progress VALUES (1, 0);
CREATE TABLE unreadable (
  position INTEGER PRIMARY KEY,
  stream   TEXT NOT NULL,
  version  INTEGER NOT NULL,
  type     TEXT NOT NULL,
  why      TEXT NOT NULL
);
"""


class ReadModels:
    """The rows of all projections. `path` None keeps them in memory, for a workspace that is read-only."""

    def __init__(self, path: Path | None, *, batch: int = BATCH) -> None:
        self.path = path
        self.batch = batch
        self._memory: sqlite3.Connection | None = None

    async def catch_up(self, store: EventStore) -> int:
        """Fold what the log has beyond the rows; the position reached. Several processes may do so at once."""
        position = await anyio.to_thread.run_sync(self._prepare)
        while True:
            batch = [
                recorded
                async for recorded in store.read_all(
                    after_position=position, limit=self.batch, category=CATEGORY
                )
            ]
            if not batch:
                return position
            position = await anyio.to_thread.run_sync(self._fold, position, batch)

    async def rebuild(self, store: EventStore) -> int:
        """Drop all rows and fold the whole log again; the position reached."""
        await anyio.to_thread.run_sync(self._drop)
        return await self.catch_up(store)

    async def rows(self, sql: str, values: Sequence[SqlValue] = ()) -> list[dict[str, Any]]:
        """The rows of a query as dictionaries, in the query's order. Raises `sqlite3.Error`."""
        return await anyio.to_thread.run_sync(self._rows, sql, tuple(values))

    async def select(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query that may only read. Raises `sqlite3.Error`, also for one that would write."""
        return await anyio.to_thread.run_sync(self._select, sql)

    async def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables in a fixed order, to compare two sets of read models."""
        return await anyio.to_thread.run_sync(self._dump)

    def close(self) -> None:
        """Let the rows in memory go."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def _connect(self) -> sqlite3.Connection:
        if self.path is None:
            if self._memory is None:
                self._memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            return self._memory
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=30)
        connection.execute("PRAGMA journal_mode = WAL")
        # Rows can be rebuilt from the log, so they need not survive a power cut.
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    def _release(self, connection: sqlite3.Connection) -> None:
        if connection is not self._memory:
            connection.close()

    def _prepare(self) -> int:
        connection = self._connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
            if _shape(connection) != {item.name: item.version for item in ALL}:
                _make(connection)
            position: int = connection.execute("SELECT position FROM progress").fetchone()[0]
            connection.execute("COMMIT")
            return position
        finally:
            self._release(connection)

    def _fold(self, after: int, batch: Sequence[RecordedEvent]) -> int:
        """Fold what was read after a position; the position reached.

        Nothing is folded when another process has begun a rebuild since: there would be a gap before it.
        """
        connection = self._connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
            reached: int = connection.execute("SELECT position FROM progress").fetchone()[0]
            for recorded in batch if reached >= after else ():
                if recorded.position > reached:
                    _fold_one(connection, recorded)
                    reached = recorded.position
            connection.execute("UPDATE progress SET position = ?", (reached,))
            connection.execute("COMMIT")
            return reached
        finally:
            self._release(connection)

    def _drop(self) -> None:
        connection = self._connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
            _make(connection)
            connection.execute("COMMIT")
        finally:
            self._release(connection)

    def _rows(self, sql: str, values: tuple[SqlValue, ...]) -> list[dict[str, Any]]:
        connection = self._connect()
        try:
            with closing(connection.execute(sql, values)) as cursor:
                names = [column[0] for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor]
        finally:
            self._release(connection)

    def _select(self, sql: str) -> list[dict[str, Any]]:
        connection = self._connect()
        try:
            connection.execute("PRAGMA query_only = ON")
            with closing(connection.execute(sql)) as cursor:
                names = [column[0] for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor]
        finally:
            connection.execute("PRAGMA query_only = OFF")
            self._release(connection)

    def _dump(self) -> dict[str, list[tuple[Any, ...]]]:
        connection = self._connect()
        try:
            return {
                table: sorted(connection.execute(f'SELECT * FROM "{table}"').fetchall(), key=repr)  # noqa: S608
                for table in _tables(connection)
            }
        finally:
            self._release(connection)


def _fold_one(connection: sqlite3.Connection, recorded: RecordedEvent) -> None:
    """One event into all projections; one that cannot be read is noted and stops nothing."""
    try:
        event = decode(recorded.type, recorded.type_version, recorded.data)
    except UnreadableEvent as fault:
        connection.execute(
            "INSERT OR REPLACE INTO unreadable VALUES (?, ?, ?, ?, ?)",
            (recorded.position, recorded.stream, recorded.version, recorded.type, str(fault)),
        )
        return
    place = seen(recorded)
    for projection in ALL:
        for sql, values in projection.apply(event, place):
            connection.execute(sql, values)


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in found if not name.startswith("sqlite_")]


def _shape(connection: sqlite3.Connection) -> dict[str, int] | None:
    if "projections" not in _tables(connection):
        return None
    return dict(connection.execute("SELECT name, version FROM projections").fetchall())


def _make(connection: sqlite3.Connection) -> None:
    """Empty tables of the current shape, in the transaction that is open."""
    for kind in ("view", "table"):
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = ?", (kind,)).fetchall()
        for (name,) in names:
            if not name.startswith("sqlite_"):
                connection.execute(f'DROP {kind} "{name}"')
    for script in (META, *(projection.schema for projection in ALL)):
        for statement in _statements(script):
            connection.execute(statement)
    connection.executemany(
        "INSERT INTO projections VALUES (?, ?)", [(item.name, item.version) for item in ALL]
    )


def _statements(script: str) -> list[str]:
    """A script's statements one by one: executescript would end the transaction."""
    found, current = [], ""
    for line in script.splitlines():
        current += line + "\n"
        if sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    return found
