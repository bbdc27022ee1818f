"""Keeps the projections' rows in one SQLite file in step with the log; the rows are disposable."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
from msgspec import Struct

from caf.events.codec import decoder
from caf.projections import SqlValue
from caf.projections.asking import ask, in_a_thread
from caf.projections.rebuild import Rebuild
from caf.projections.rows import COLUMNS, Changes, Item, RowCache
from caf.projections.tables import are_ours, dump, make
from eventstore import EventStore, StoreCorrupt

__all__ = ["Lag", "ReadModels", "is_damage"]

BATCH: Final = 500
AGAIN_S: Final = 10.0
"""How soon a file is tried again that was full or held by somebody else."""
BUSY_S: Final = 30.0
HELD: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})
"""Primary codes of what SQLite says where a new file would help no more than the one that is there."""


class Lag(Struct, frozen=True, kw_only=True):
    """How far rows are behind the log: from `position`, up to which it is folded, to `head`."""

    position: int
    head: int
    oldest_recorded_at_ms: int | None
    """When the first event was recorded that is not folded yet; None if there is none."""

    @property
    def events(self) -> int:
        return self.head - self.position


class ReadModels:
    """The rows of all projections. `path` None keeps them in memory, for a workspace that is read-only.

    Rows are disposable: a file that is damaged, or was folded from another log, is made again, and where
    none can be written they are kept in memory, until one can.
    """

    def __init__(self, path: Path | None, *, batch: int = BATCH) -> None:
        self.path = path
        """Where the rows are now; None: in memory."""
        self.fault: sqlite3.DatabaseError | None = None
        """Why they are not where they should be."""
        self._file = path
        self._again_s = 0.0
        self.batch = batch
        self._memory: sqlite3.Connection | None = None
        self._turn = anyio.Lock()

    async def catch_up(self, store: EventStore, *, until: int | None = None) -> int:
        """Fold what the log has beyond the rows, up to position `until`; the position reached.

        Several processes may do so at once; in this one, one after another.
        """
        async with self._turn:
            return await self._catch_up_somewhere(store, until)

    async def _catch_up_somewhere(self, store: EventStore, until: int | None) -> int:
        if self.path is None and self._file is not None and time.monotonic() >= self._again_s:
            self.path = self._file
        for _ in ("the file as it is", "a new file"):
            try:
                position = await self._catch_up(store, until)
                if self.path is not None:
                    self.fault = None
                    self.close()
                return position
            except sqlite3.DatabaseError as fault:
                if self.path is None:
                    raise
                self.fault = fault
                if _code(fault) in HELD:
                    break
                await anyio.to_thread.run_sync(self._discard)
        self.path, self._again_s = None, time.monotonic() + AGAIN_S
        return await self._catch_up(store, until)

    async def _catch_up(self, store: EventStore, until: int | None) -> int:
        position, event_id = await anyio.to_thread.run_sync(self._prepare)
        if position and await _id_at(store, position) != event_id:
            await anyio.to_thread.run_sync(self._drop)
            position = 0
        while True:
            async with aclosing(_pieces(store, position, self.batch, until)) as pieces:
                async for items in pieces:
                    position = await anyio.to_thread.run_sync(self._fold, position, items)
                    if position < items[-1][1]:
                        # Another process has put new rows there: what it had not seen yet comes again.
                        break
                else:
                    return position

    async def renew(self, store: EventStore) -> int:
        """Make the rows again in a new file, where the old one turned out to be damaged; the position reached."""
        await anyio.to_thread.run_sync(self._discard)
        return await self.catch_up(store)

    async def rebuild(self, store: EventStore) -> int:
        """Fold the whole log into new rows, and then put those in the place of the old ones; the position reached.

        Until then everybody reads the old rows, and other processes go on folding into them.
        """
        try:
            await self._rebuild(store)
        except sqlite3.DatabaseError as fault:
            # Where none can be written beside the old ones, or put in their place, `catch_up` knows what to do.
            if _code(fault) not in HELD:
                await anyio.to_thread.run_sync(self._discard)
        return await self.catch_up(store)

    async def _rebuild(self, store: EventStore) -> None:
        new = await anyio.to_thread.run_sync(Rebuild, self.path)
        try:
            await new.fold(store)
            await anyio.to_thread.run_sync(self._replace, new)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(new.close)

    async def lag(self, store: EventStore) -> Lag:
        """How far the rows are behind the log."""
        try:
            async with self._alone():
                position, _ = await anyio.to_thread.run_sync(self._prepare)
        except sqlite3.DatabaseError:
            position = 0  # whoever asks these rows next has them folded anew
        behind = [recorded async for recorded in store.read_all(after_position=position, limit=1)]
        head = await store.head()
        return Lag(
            position=position,
            head=head,
            oldest_recorded_at_ms=behind[0].recorded_at_ms if behind else None,
        )

    async def rows(self, sql: str, values: Sequence[SqlValue] = ()) -> list[dict[str, Any]]:
        """The rows of a query as dictionaries, in the query's order. Raises `sqlite3.Error`."""
        async with self._alone():
            return await anyio.to_thread.run_sync(self._rows, sql, tuple(values))

    async def select(self, sql: str) -> list[dict[str, Any]]:
        """The rows of a query that may only read; one that is cancelled ends at once.

        Raises `sqlite3.Error`, also for one that would write.
        """
        async with self._alone():
            return await in_a_thread(lambda stop: self._select(sql, stop))

    async def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of all tables in a fixed order, as of one moment, to compare two sets of read models."""
        async with self._alone():
            return await anyio.to_thread.run_sync(self._dump)

    def _alone(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Rows in memory have one connection, which nobody else may be in the middle of."""
        return self._turn if self.path is None else contextlib.nullcontext()

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
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=BUSY_S)
        try:
            # It answers with a row: whoever holds that cursor, a debugger say, would keep the commit from ending.
            connection.execute("PRAGMA journal_mode = WAL").close()
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

    def _fold(self, after: int, items: Sequence[Item]) -> int:
        """Fold what was read after a position; the position reached.

        Nothing is folded when another process has begun a rebuild since: there would be a gap before it.
        """
        connection = self._connect()
        try:
            connection.execute("BEGIN IMMEDIATE")
            (reached,) = connection.execute("SELECT position FROM progress").fetchone()
            items = [item for item in items if item[1] > reached] if reached >= after else []
            if items:
                changes = Changes()
                RowCache(connection).fold(items, changes)
                changes.write(connection)
                reached = items[-1][1]
            connection.execute("COMMIT")
            return int(reached)
        finally:
            self._release(connection)

    def _replace(self, new: Rebuild) -> None:
        """The new rows in the place of the old ones, in one transaction of the file that all have open."""
        connection = self._connect()
        try:
            new.connection.backup(connection)
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

    def _select(self, sql: str, stop: threading.Event) -> list[dict[str, Any]]:
        connection = self._connect()
        try:
            return ask(connection, sql, stop)
        finally:
            self._release(connection)

    def _dump(self) -> dict[str, list[tuple[Any, ...]]]:
        connection = self._connect()
        try:
            connection.execute("BEGIN")
            try:
                return dump(connection)
            finally:
                connection.rollback()
        finally:
            self._release(connection)


def is_damage(fault: sqlite3.Error) -> bool:
    """True when the file is to blame, and not the query."""
    return _code(fault) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(fault: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 where Python's own layer complained."""
    return getattr(fault, "sqlite_errorcode", 0) & 0xFF


async def _id_at(store: EventStore, position: int) -> str | None:
    """The id of the event at a position; None when the log is shorter, "" where the event is damaged."""
    try:
        found = [recorded async for recorded in store.read_all(after_position=position - 1, limit=1)]
    except StoreCorrupt:
        # Where only its archive is missing the event has its id still, and rows were folded with that.
        async with aclosing(_pieces(store, position - 1, 1, position)) as pieces:
            items = await anext(pieces, None)
        return (items and items[0][5]) or ""
    return found[0].event_id if found else None


async def _pieces(
    store: EventStore, after: int, size: int, until: int | None
) -> AsyncGenerator[list[Item], None]:
    """The events of the log after one position and up to another, decoded, so many at a time."""
    items: list[Item] = []
    async for batch in store.replay(decoder, columns=COLUMNS, after_position=after):
        items += batch if until is None else [item for item in batch if item[1] <= until]
        while len(items) >= size:
            yield items[:size]
            del items[:size]
    if items:
        yield items
