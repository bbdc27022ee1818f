"""The keys that stand for names in the log's tables, and where each stream ends."""

import sqlite3
from typing import Final

from eventstore.checks import id_bytes

__all__ = ["Keys", "Stream"]

_CACHED: Final = 100_000
_NEW_STREAM: Final = "INSERT INTO streams (name) VALUES (?)"


class Stream:
    """What is known of a stream: its key, its last version and chunk, and the correlations seen in it."""

    __slots__ = ("chunk", "correlations", "key", "version")

    def __init__(self, key: int, version: int, chunk: int) -> None:
        self.key = key
        self.version = version
        self.chunk = chunk
        self.correlations: set[int | None] = {None}


class Keys:
    """What is known of names, as long as nobody else appends; and how to make them known."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.streams: dict[str, Stream] = {}
        self.types: dict[tuple[str, int], int] = {}
        self.correlations: dict[str | None, int | None] = {None: None}
        self.causes: dict[str, bytes | str] = {}

    def forget(self) -> None:
        """Know nothing any more but what the database says."""
        self.streams.clear()
        self.causes.clear()
        self.types.clear()
        self.correlations = {None: None}

    def forget_if_many(self) -> None:
        """Keep the memory bounded; only while no transaction has made new ones."""
        if len(self.streams) + len(self.correlations) + len(self.causes) > _CACHED:
            self.forget()

    def record(self, stream: str, kinds: list[tuple[tuple[str, int], str | None]]) -> Stream:
        """Give keys, in the open transaction, to a stream and to the types and correlations of its events."""
        known = self.stream(stream)
        if not known.key:
            known.key = self._new_key(_NEW_STREAM, (stream,))
            self.streams[stream] = known
        for kind, correlation_id in kinds:
            if kind not in self.types:
                self.types[kind] = self._type_key(kind)
            if correlation_id not in self.correlations:
                self.correlations[correlation_id] = self._correlation_key(correlation_id)
            correlation = self.correlations[correlation_id]
            if correlation not in known.correlations:
                self._correlate(correlation, known)
        return known

    def stream(self, name: str) -> Stream:
        """Key and version; both are 0 for a stream that has no event."""
        known = self.streams.get(name)
        if known is None:
            known = Stream(0, 0, -1)
            row = self._db.execute("SELECT stream_key FROM streams WHERE name = ?", (name,)).fetchone()
            if row is not None:
                (key,) = row
                sql = "SELECT max(chunk) FROM chunks WHERE stream_key = ?"
                (chunk,) = self._db.execute(sql, row).fetchone()
                sql = "SELECT max(version) FROM events WHERE chunk = ? AND stream_key = ?"
                (version,) = self._db.execute(sql, (chunk, key)).fetchone()
                known = self.streams[name] = Stream(key, version or 0, -1 if chunk is None else chunk)
        return known

    def cause(self, name: str) -> bytes | str:
        """How it is stored: 16 bytes for a UUID."""
        if len(self.causes) > _CACHED:
            self.causes.clear()
        raw = self.causes[name] = id_bytes(name) or name
        return raw

    def _correlate(self, correlation: int | None, stream: Stream) -> None:
        """Note that the stream holds an event of it."""
        values = (correlation, stream.key)
        sql = "SELECT 1 FROM correlated WHERE correlation_key = ? AND stream_key = ?"
        if self._db.execute(sql, values).fetchone() is None:
            self._db.execute("INSERT INTO correlated VALUES (?, ?)", values)
        stream.correlations.add(correlation)

    def _type_key(self, kind: tuple[str, int]) -> int:
        sql = "SELECT type_key FROM types WHERE type = ? AND type_version = ?"
        row = self._db.execute(sql, kind).fetchone()
        insert = "INSERT INTO types (type, type_version) VALUES (?, ?)"
        return int(row[0]) if row else self._new_key(insert, kind)

    def _correlation_key(self, name: str | None) -> int:
        sql = "SELECT correlation_key FROM correlations WHERE correlation_id = ?"
        row = self._db.execute(sql, (name,)).fetchone()
        insert = "INSERT INTO correlations (correlation_id) VALUES (?)"
        return int(row[0]) if row else self._new_key(insert, (name,))

    def _new_key(self, sql: str, values: tuple[str | int | None, ...]) -> int:
        key = self._db.execute(sql, values).lastrowid
        assert key is not None
        return key
