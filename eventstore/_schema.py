"""The tables of a log, how a connection to them is opened, and what SQLite's errors mean.

Stored shape: a change needs a new SCHEMA_VERSION and a step that leads the old one there; a new log takes all of them.
"""

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Final
from urllib.parse import quote

from eventstore._older_ids import OLDER_TABLES, gather
from eventstore.errors import (
    EventStoreError,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreIncompatible,
    StoreNotFound,
    StoreReadOnly,
)
from eventstore.sqlite_version import check_sqlite

__all__ = [
    "APPLICATION_ID",
    "PAGE_BYTES",
    "SCHEMA_VERSION",
    "connect_reader",
    "connect_writer",
    "explain",
    "is_busy",
    "refused",
    "result_code",
    "statements",
    "wal_path",
]

APPLICATION_ID: Final = 0x65767374
"""`evst` in ASCII."""
SCHEMA_VERSION: Final = 5
_STEPS: Final = {3: "schema.sql", 4: "schema-4.sql", 5: "schema-5.sql"}
"""What makes the tables of the oldest version, and what each later one adds."""

PAGE_BYTES: Final = 8192
"""Rows of half a kilobyte leave less of a page empty than with SQLite's own 4 KiB."""


def statements(version: int, after: int = 0) -> str:
    """The SQL that leads from one schema version to a later one; from 0, that makes all of its tables."""
    steps = [name for step, name in _STEPS.items() if after < step <= version]
    return "\n".join(Path(__file__).with_name(name).read_text() for name in steps)


def wal_path(path: Path) -> Path:
    """Where SQLite keeps the write-ahead log of `path`."""
    return path.with_name(path.name + "-wal")


def result_code(error: sqlite3.Error) -> int:
    """SQLite's extended result code; SQLITE_ERROR where Python itself finds that a text is none, and gives no code."""
    unknown = sqlite3.SQLITE_ERROR if isinstance(error, sqlite3.OperationalError) else 0
    return getattr(error, "sqlite_errorcode", unknown)


def explain(error: sqlite3.Error | UnicodeDecodeError, path: Path) -> EventStoreError:
    """The store's own error for one of SQLite's, chained by the caller.

    What SQLite says of tables that it cannot understand names them, and Python's sqlite3 fails where that is no text.
    """
    code = result_code(error) if isinstance(error, sqlite3.Error) else sqlite3.SQLITE_CORRUPT
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE):
        return StoreFull(
            f"The disk under {path} is full, or the file may not grow ({error}); nothing was recorded.",
            remedy="Free some space, then try again.",
        )
    match code & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreBusy(
                f"Another process keeps {path} locked; nothing was recorded.",
                remedy="End its transaction (an open sqlite3 shell?), then try again.",
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return StoreReadOnly(
                f"{path} cannot be written.", remedy="Give write access to it and its folder."
            )
        case sqlite3.SQLITE_CANTOPEN:
            return StoreReadOnly(
                f"{path} or its -wal or -shm file cannot be opened.",
                remedy="Give access to it and its folder.",
            )
        case sqlite3.SQLITE_NOTADB:
            return StoreIncompatible(f"{path} is not an event log.", remedy="Name the right file.")
        # SQLITE_ERROR: a table that is gone, or text that is not UTF-8; every statement here is sound.
        # SQLITE_CONSTRAINT: what writers do fits into every log that others left alone.
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_ERROR | sqlite3.SQLITE_CONSTRAINT:
            return StoreCorrupt(
                f"{path} is damaged ({error}).", remedy="Restore a backup, or export what verifies."
            )
    return EventStoreError(f"SQLite cannot go on with {path}: {error}.", remedy="Check the disk it lies on.")


def _connect(path: Path, parameters: str, busy_s: float) -> sqlite3.Connection:
    check_sqlite()
    if os.path.isdir(path):  # noqa: PTH112 - pathlib's raises where the folder may not be searched
        raise StoreIncompatible(f"{path} is a folder, not an event log.", remedy="Name the file.")
    try:
        return sqlite3.connect(
            f"file:{quote(os.fsencode(path.absolute()))}?{parameters}",
            uri=True,
            timeout=busy_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
    except sqlite3.Error as error:
        raise explain(error, path) from error


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _check_schema(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the log's schema; 0 if the file is still empty."""
    version = _pragma(connection, "user_version")
    if _pragma(connection, "application_id") != APPLICATION_ID:
        if version == 0 and connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
            return 0
        raise StoreIncompatible(f"{path} is a database, but no event log.", remedy="Name the right file.")
    if version < min(_STEPS):
        raise StoreIncompatible(
            f"{path} has schema {version}, which no released version wrote;"
            f" this one knows {min(_STEPS)} to {SCHEMA_VERSION}.",
            remedy="Begin a new log; what is in the old one can be read with sqlite3.",
        )
    if version > SCHEMA_VERSION:
        raise StoreIncompatible(
            f"{path} has schema {version}; this version knows {SCHEMA_VERSION}: a newer one wrote it.",
            remedy="Use the newer version; nothing was changed.",
        )
    return version


def _use_wal(connection: sqlite3.Connection, path: Path) -> None:
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise StoreIncompatible(
            f"{path} lies where SQLite cannot keep a write-ahead log (it stays in {mode!r} mode).",
            remedy="Put it on a local disk.",
        )


def connect_writer(path: Path, synchronous: str, busy_s: float) -> sqlite3.Connection:
    """A connection that may append; creates the log, for its owner's eyes only, if there is none.

    The caller holds the log's lock, so that two processes do not create it together.
    """
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreReadOnly(
            f"Cannot create {path}: {error.strerror}.", remedy="Name a folder that exists and can be written."
        ) from error
    connection = _connect(path, "mode=rw", busy_s)
    try:
        version = _check_schema(connection, path)
        if version == 0:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        if version < SCHEMA_VERSION:
            _use_wal(connection, path)
            ids = gather(connection, version) if version in OLDER_TABLES else ""
            connection.executescript(
                f"BEGIN IMMEDIATE; {statements(SCHEMA_VERSION, version)} {ids}"
                f" PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
            )
        _use_wal(connection, path)
        for pragma in (
            f"synchronous = {synchronous}",
            # The writer itself checkpoints, after it has answered; never inside of a commit.
            "wal_autocheckpoint = 0",
            # 64 MiB: a WAL that a slow reader let grow is cut back to this at the next checkpoint.
            "journal_size_limit = 67108864",
            # Small, so that a process is as large after a month as after an hour; the system caches the file too.
            "cache_size = -4096",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}")
        # From here on the writer itself waits for other processes, in shorter steps than SQLite's.
        connection.execute("PRAGMA busy_timeout = 0")
    except (sqlite3.Error, UnicodeDecodeError) as error:
        connection.close()
        raise explain(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path, busy_s: float, *, frozen: bool = False) -> tuple[sqlite3.Connection, bool]:
    """A read-only connection, and whether it is only good while nobody writes.

    The latter is the way into a log that was closed in a folder where nothing can be written: SQLite
    cannot create the shared-memory file that it would need to notice a writer. `frozen`: nobody ever writes.
    """
    if not os.path.exists(path):  # noqa: PTH110 - pathlib's raises where the folder may not be searched
        raise StoreNotFound(f"There is no event log at {path}.", remedy="Check the path.")
    connection = _connect(path, "mode=ro&immutable=1" if frozen else "mode=ro", busy_s)
    try:
        try:
            version = _check_schema(connection, path)
        except sqlite3.OperationalError as error:
            if result_code(error) & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            if wal_path(path).exists():
                raise
            connection.close()
            connection = _connect(path, "mode=ro&immutable=1", busy_s)
            frozen = True
            version = _check_schema(connection, path)
        if not version:
            raise StoreNotFound(f"{path} is empty: no log was created there yet.", remedy="Check the path.")
        connection.execute("PRAGMA cache_size = -2048")
    except (sqlite3.Error, UnicodeDecodeError) as error:
        connection.close()
        raise explain(error, path) from error
    except BaseException:
        connection.close()
        raise
    return connection, frozen


def is_busy(error: Exception) -> bool:
    """True if another process has the database locked."""
    return isinstance(error, sqlite3.Error) and result_code(error) & 0xFF == sqlite3.SQLITE_BUSY


def refused(error: Exception, path: Path, count: int) -> list[EventStoreError]:
    """The answer to so many requests that failed together, whatever failed."""
    if isinstance(error, EventStoreError):
        return [error] * count
    if isinstance(error, sqlite3.Error):
        fault = explain(error, path)
    else:
        fault = EventStoreError(f"The writer of {path} failed: {error!r}.", remedy="Report this.")
    fault.__cause__ = error
    return [fault] * count
