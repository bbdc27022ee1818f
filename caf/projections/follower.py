"""Keeps the projections' rows in one SQLite file in step with the log; the rows are disposable."""

import contextlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import anyio.to_thread

from caf.events.codec import UnreadableEvent, decode
from caf.log import CATEGORY, seen
from caf.projections import ALL, SqlValue
from caf.projections.tables import are_ours, dump, make
from eventstore import EventStore, RecordedEvent

__all__ = ["ReadModels", "is_damage"]

BATCH: Final = 500
HELD: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})
"""Primary codes of what SQLite says where a new file would help no more than the one that is there."""


class ReadModels:
    """The rows of all projections. `path` None keeps them in memory, for a workspace that is read-only.

    Rows are disposable: a file that is damaged, or was folded from another log, is made again, and where
    none can be written they are kept in memory.
    """

    def __init__(self, path: Path | None, *, batch: int = BATCH) -> None:
        self.path = path
        self.batch = batch
        self._memory: sqlite3.Connection | None = None

    async def catch_up(self, store: EventStore) -> int:
        """Fold what the log has beyond the rows; the position reached. Several processes may do so at once."""
        for _ in ("the file as it is", "a new file"):
            try:
                return await self._catch_up(store)
            except sqlite3.DatabaseError as fault:
                if self.path is None:
                    raise
                if _code(fault) in HELD:
                    break
                await anyio.to_thread.run_sync(self._discard)
        self.path = None
        return await self._catch_up(store)

    async def _catch_up(self, store: EventStore) -> int:
        position, event_id = await anyio.to_thread.run_sync(self._prepare)
        if position and await _id_at(store, position) != event_id:
            await anyio.to_thread.run_sync(self._drop)
            position = 0
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

    async def renew(self, store: EventStore) -> int:
        """Make the rows again in a new file, where the old one turned out to be damaged; the position reached."""
        await anyio.to_thread.run_sync(self._discard)
        return await self.catch_up(store)

    async def rebuild(self, store: EventStore) -> int:
        """Drop all rows and fold the whole log again; the position reached."""
        try:
            await anyio.to_thread.run_sync(self._drop)
        except sqlite3.DatabaseError:
            await anyio.to_thread.run_sync(self._discard)
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
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # Rows can be rebuilt from the log, so they need not survive a power cut.
            connection.execute("PRAGMA synchronous = OFF")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _release(self, connection: sqlite3.Connection) -> None:
        if connection is not self._memory:
            connection.close()

    def _discard(self) -> None:
        """Remove the file; whoever has it open goes on with the old one."""
        if self.path is None:
            return
        for end in ("", "-wal", "-shm", "-journal"):
            with contextlib.suppress(OSError):
                self.path.with_name(self.path.name + end).unlink()

    def _prepare(self) -> tuple[int, str]:
        """The position that was folded last and the event's id there, in tables that are surely ours."""
        connection = self._connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
            if not are_ours(connection):
                make(connection)
            position, event_id = connection.execute("SELECT position, event_id FROM progress").fetchone()
            connection.execute("COMMIT")
            return position, event_id
        finally:
            self._release(connection)

    def _fold(self, after: int, batch: Sequence[RecordedEvent]) -> int:
        """Fold what was read after a position; the position reached.

        Nothing is folded when another process has begun a rebuild since: there would be a gap before it.
        """
        connection = self._connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
            reached, event_id = connection.execute("SELECT position, event_id FROM progress").fetchone()
            for recorded in batch if reached >= after else ():
                if recorded.position > reached:
                    _fold_one(connection, recorded)
                    reached, event_id = recorded.position, recorded.event_id
            connection.execute("UPDATE progress SET position = ?, event_id = ?", (reached, event_id))
            connection.execute("COMMIT")
            return int(reached)
        finally:
            self._release(connection)

    def _drop(self) -> None:
        connection = self._connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
            make(connection)
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
            connection.set_authorizer(_no_other_files)
            with closing(connection.execute(sql)) as cursor:
                names = [column[0] for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor]
        finally:
            connection.set_authorizer(None)
            connection.execute("PRAGMA query_only = OFF")
            self._release(connection)

    def _dump(self) -> dict[str, list[tuple[Any, ...]]]:
        connection = self._connect()
        try:
            return dump(connection)
        finally:
            self._release(connection)


def _no_other_files(action: int, *what: str | None) -> int:
    """An authorizer: `ATTACH`, and `VACUUM INTO` by way of it, would create files in spite of `query_only`."""
    return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_ATTACH else sqlite3.SQLITE_OK


def is_damage(fault: sqlite3.Error) -> bool:
    """True when the file is to blame, and not the query."""
    return _code(fault) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(fault: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where Python's own layer complained."""
    return getattr(fault, "sqlite_errorcode", 0) & 0xFF


async def _id_at(store: EventStore, position: int) -> str | None:
    """The id of the event at a position; None when the log is shorter."""
    found = [recorded async for recorded in store.read_all(after_position=position - 1, limit=1)]
    return found[0].event_id if found else None


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
