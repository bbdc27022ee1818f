"""A cache of folds: what a stream's first events came to, so that a long one need not be folded from its beginning.

Never the truth: a snapshot names the event it ends with and the version of the fold that made it, and one that does
not fit is not used. Deleting the file changes nothing but the time that a fold takes.
"""

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from anyio.to_thread import run_sync
from msgspec import Struct

from eventstore.model import RecordedEvent
from eventstore.store import EventStore

__all__ = ["Fold", "Snapshots"]

S = TypeVar("S")

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS snapshots (stream TEXT NOT NULL, fold TEXT NOT NULL, fold_version INTEGER NOT NULL,"
    " version INTEGER NOT NULL, event_id TEXT NOT NULL, state BLOB NOT NULL, PRIMARY KEY (stream, fold)) WITHOUT ROWID"
)
_EVERY: Final = 100


class Fold(Struct, frozen=True, kw_only=True):
    """A fold whose state can be kept: raise `version` whenever it would come to another state."""

    name: str
    version: int
    initial: Any
    evolve: Callable[[Any, RecordedEvent], Any]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


class Snapshots:
    """Snapshots in one SQLite file, which may be deleted at any time; `None` keeps them in memory."""

    def __init__(self, path: Path | None, *, every: int = _EVERY) -> None:
        """A snapshot is taken when `every` events or more were folded since the last one."""
        self._path = path
        self._every = every
        self._db: sqlite3.Connection | None = None

    async def fold(self, store: EventStore, stream: str, fold: Fold) -> tuple[Any, int]:
        """The state of a stream, and the version up to which it is folded."""
        found = await run_sync(self._load, stream, fold)
        state, version = fold.initial, 0
        if found is not None:
            at, event_id, data = found
            last = [event async for event in store.read(stream, after_version=at - 1, limit=1)]
            if last and last[0].event_id == event_id:
                with contextlib.suppress(Exception):
                    # Whatever cannot be decoded was not made by this fold.
                    state, version = fold.decode(data), at
        begun, end = version, ""
        async for event in store.read(stream, after_version=version):
            state = fold.evolve(state, event)
            version, end = event.version, event.event_id
        if version - begun >= self._every:
            await run_sync(self._keep, stream, fold, version, end, fold.encode(state))
        return state, version

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            place = ":memory:" if self._path is None else self._path
            self._db = sqlite3.connect(place, isolation_level=None, check_same_thread=False, timeout=5)
            self._db.execute("PRAGMA synchronous = OFF")
            self._db.execute(_TABLE)
        return self._db

    def _load(self, stream: str, fold: Fold) -> tuple[int, str, bytes] | None:
        sql = "SELECT version, event_id, state FROM snapshots WHERE stream = ? AND fold = ? AND fold_version = ?"
        try:
            row = self._connection().execute(sql, (stream, fold.name, fold.version)).fetchone()
        except sqlite3.Error:
            self._discard()
            return None
        return row if row is None else (row[0], row[1], row[2])

    def _keep(self, stream: str, fold: Fold, version: int, event_id: str, state: bytes) -> None:
        # A cache that cannot be written is one that is not there.
        with contextlib.suppress(sqlite3.Error):
            self._connection().execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?)",
                (stream, fold.name, fold.version, version, event_id, state),
            )

    def _discard(self) -> None:
        """Remove a file that is damaged, or no file of ours."""
        self.close()
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
