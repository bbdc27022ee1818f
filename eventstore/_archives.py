"""Finds the data of events that were moved to an archive: a log of its own beside the log that they come from."""

import sqlite3
from pathlib import Path

from eventstore._schema import connect_reader
from eventstore.errors import EventStoreError, StoreCorrupt

__all__ = ["Archives", "archive_files"]

_DATA = (
    "SELECT data FROM events WHERE stream_key = ? AND version = ?"
    " AND chunk = (SELECT max(chunk) FROM chunks WHERE stream_key = ? AND first_version <= ?)"
)


def archive_files(connection: sqlite3.Connection) -> list[str]:
    """The names of a log's archives, oldest first."""
    return [file for (file,) in connection.execute("SELECT file FROM archives ORDER BY archive_key")]


class Archives:
    """The archives of the log that a connection has open; each is opened when it is first needed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._open: dict[str, sqlite3.Connection] = {}
        self._streams: dict[int, tuple[sqlite3.Connection, int]] = {}

    def data(self, stream_key: int, version: int) -> bytes:
        """What an event held. Raises `StoreCorrupt` if its archive is not there, or has it not."""
        try:
            connection, key = self._streams.get(stream_key) or self._find(stream_key)
            row = connection.execute(_DATA, (key, version, key, version)).fetchone()
        except sqlite3.DatabaseError as error:
            raise StoreCorrupt(f"An archive is damaged ({error}).", remedy="Restore the archive.") from error
        if row is None or not isinstance(row[0], bytes):
            raise StoreCorrupt(
                f"Version {version} of stream {stream_key} is not in its archive.",
                remedy="Restore the archive.",
            )
        return row[0]

    def close(self) -> None:
        """Close those that were opened."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()
        self._streams.clear()

    def _find(self, stream_key: int) -> tuple[sqlite3.Connection, int]:
        sql = "SELECT name, file FROM streams JOIN archived USING (stream_key) JOIN archives USING (archive_key)"
        row = self._db.execute(f"{sql} WHERE stream_key = ?", (stream_key,)).fetchone()
        if row is None:
            raise StoreCorrupt(
                f"Events of stream {stream_key} hold nothing, and no archive has them.",
                remedy="Restore a backup.",
            )
        name, file = row
        connection = self._connection(file)
        found = connection.execute("SELECT stream_key FROM streams WHERE name = ?", (name,)).fetchone()
        if found is None:
            raise StoreCorrupt(f"The archive {file} has no stream {name!r}.", remedy="Restore the archive.")
        self._streams[stream_key] = connection, found[0]
        return self._streams[stream_key]

    def _connection(self, file: str) -> sqlite3.Connection:
        connection = self._open.get(file)
        if connection is None:
            (log,) = self._db.execute("SELECT file FROM pragma_database_list WHERE name = 'main'").fetchone()
            path = Path(log).with_name(file)
            try:
                connection, _ = connect_reader(path, 0.0, frozen=True)
            except EventStoreError as error:
                raise StoreCorrupt(
                    f"The archive {path} cannot be read: {error.message.rstrip('.')}.",
                    remedy="Put it back beside the log.",
                ) from error
            self._open[file] = connection
        return connection
