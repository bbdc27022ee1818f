"""Moves the data of finished streams to a log of their own, whole or not at all.

The archive is an ordinary log: it opens, replays and verifies by itself. In the log that they come from the events
keep their places, ids and checksums, so that positions stay gapless and the chain can be proved with the archive
beside it.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from eventstore._archives import archive_files
from eventstore._backup import new_log, proved
from eventstore._lock import FileLock
from eventstore._place import clash
from eventstore._reader import Reader
from eventstore._refill import Place, refill
from eventstore._rows import COLUMNS, to_event
from eventstore._schema import connect_writer, explain
from eventstore.chain import new_of
from eventstore.checks import check_text
from eventstore.errors import EventStoreError, InvalidArgument
from eventstore.model import Archived, RecordedEvent

__all__ = ["archive"]

_WINDOW: Final = 10_000


def archive(path: Path, streams: Sequence[str], name: str, busy_s: float) -> Archived:
    """See `SqliteStore.archive`; blocks."""
    _check_name(name, path)
    target = path.with_name(name)
    reader = Reader(path, busy_s)
    try:
        if name in archive_files(reader.connection):
            raise InvalidArgument(f"The log has an archive {name} already.", remedy="Name another one.")
        keys = _keys(reader, streams)
        with new_log(target) as work:
            versions = _fill(_events(reader, keys), work)
            report = proved(work, "The archive")
    except sqlite3.Error as error:
        raise explain(error, path) from error
    finally:
        reader.close()
    before, after = _take_out(target, path, {keys[stream]: last for stream, last in versions.items()}, busy_s)
    return Archived(
        path=str(target), streams=len(keys), events=report.events, bytes_before=before, bytes_after=after
    )


def _check_name(name: str, path: Path) -> None:
    """Raise `InvalidArgument` for what is no file's name, or that of one that SQLite or a store has beside the log."""
    check_text(name, "Name of an archive")
    if not name or "\0" in name or name in (".", "..") or Path(name).name != name or clash(name, path.name):
        raise InvalidArgument(
            f"{name!r} is no name for an archive.",
            remedy="Give a file name; the archive lies beside the log, whose own files begin with its name.",
        )


def _keys(reader: Reader, streams: Sequence[str]) -> dict[str, int]:
    keys: dict[str, int] = {}
    if isinstance(streams, str) or not isinstance(streams, Sequence):
        raise InvalidArgument(f"{streams!r} is no list of streams.", remedy="Give a list of names.")
    sql = "SELECT stream_key, EXISTS (SELECT 1 FROM archived a WHERE a.stream_key = s.stream_key) FROM streams s"
    for stream in streams:
        check_text(stream, "Stream name")
        row = reader.connection.execute(f"{sql} WHERE name = ?", (stream,)).fetchone()
        if row is None:
            raise InvalidArgument(f"There is no stream {stream!r}.", remedy="Name streams of this log.")
        if row[1]:
            raise InvalidArgument(f"Stream {stream!r} is in an archive already.", remedy="Leave it out.")
        keys[stream] = row[0]
    if not keys:
        raise InvalidArgument("No stream was named.", remedy="Name the streams that are finished.")
    return keys


def _events(reader: Reader, keys: dict[str, int]) -> Iterator[RecordedEvent]:
    """Those of the streams, in the order of the log; in windows, so that no reader holds up the WAL."""
    wanted, position, head = set(keys.values()), 0, reader.head()
    sql = f"SELECT {COLUMNS} FROM events WHERE position > ? AND position <= ? ORDER BY position"  # noqa: S608
    while position < head:
        end = min(position + _WINDOW, head)
        rows = [row for row in reader.connection.execute(sql, (position, end)) if row[1] in wanted]
        yield from (to_event(row, reader.names) for row in rows)
        position = end


def _placed(event: RecordedEvent) -> Place:
    return Place(new_of(event), event.stream, event.version, event.recorded_at_ms)


def _fill(events: Iterator[RecordedEvent], path: Path) -> dict[str, int]:
    """The last version of each stream."""
    versions: dict[str, int] = {}
    with contextlib.closing(refill(path, events, _placed)) as batches:
        for batch, answers, _ in batches:
            for answer in answers:
                if isinstance(answer, EventStoreError):
                    raise answer
            versions.update((event.stream, event.version) for event in batch)
    return versions


def _take_out(archive: Path, path: Path, versions: dict[int, int], busy_s: float) -> tuple[int, int]:
    """Note the archive, and let go of the data; how large the log was, and how large it is.

    Once that is committed the archive is the only place of the data: it is removed only where nothing was noted.
    """
    noted = False
    try:
        lock = FileLock(path, busy_s)
        with (
            contextlib.closing(lock),
            lock.held_for_long(),
            contextlib.closing(connect_writer(path, "FULL", busy_s)) as connection,
        ):
            before = _size(connection)
            connection.execute("BEGIN IMMEDIATE")
            _note(connection, archive.name, versions)
            # Whether a commit that fails has come through, nobody can say.
            noted = True
            connection.execute("COMMIT")
            _shrink(connection)
            return before, _size(connection)
    except sqlite3.Error as error:
        raise explain(error, path) from error
    finally:
        if not noted:
            with contextlib.suppress(OSError):
                archive.unlink()


def _note(connection: sqlite3.Connection, name: str, versions: dict[int, int]) -> None:
    connection.create_function("eventstore_archives", 0, lambda: 1)
    connection.execute("PRAGMA trusted_schema = ON")
    try:
        key = connection.execute("INSERT INTO archives (file) VALUES (?)", (name,)).lastrowid
        rows = [(stream_key, key, last) for stream_key, last in versions.items()]
        connection.executemany("INSERT INTO archived VALUES (?, ?, ?)", rows)
    except sqlite3.IntegrityError as error:
        # The triggers say so.
        raise InvalidArgument(
            "Somebody has just moved one of these streams to an archive, or named one so.",
            remedy="Look at what is archived, and name what is not.",
        ) from error
    for stream_key, last in versions.items():
        connection.execute(
            "UPDATE events SET data = NULL WHERE stream_key = ? AND version <= ?"
            " AND chunk IN (SELECT chunk FROM chunks WHERE stream_key = ?)",
            (stream_key, last, stream_key),
        )


def _shrink(connection: sqlite3.Connection) -> None:
    """Give back what is free inside of the file: appends go to its end, and do not use it.

    Where that cannot be done, for want of space, the file stays as large as it is.
    """
    with contextlib.suppress(sqlite3.Error):
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _size(connection: sqlite3.Connection) -> int:
    def pragma(what: str) -> Any:
        return connection.execute(f"PRAGMA {what}").fetchone()[0]

    return int(pragma("page_count") * pragma("page_size"))
