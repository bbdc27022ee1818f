"""The keys that stand for names in the log's tables, and where each stream ends."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from eventstore.model import NewEvent

__all__ = ["First", "Keys", "Stream"]

_CACHED: Final = 1024
"""Streams and correlations that are remembered, some 500 bytes each: a process of months meets them all."""
_NEW_STREAM: Final = "INSERT INTO streams (name, first_position) VALUES (?, ?)"
_NEW_TYPE: Final = "INSERT INTO types (type, type_version, first_position) VALUES (?, ?, ?)"
_NEW_CORRELATION: Final = "INSERT INTO correlations (correlation_id, first_position) VALUES (?, ?)"
First = tuple[str | None, tuple[str, int] | None, str | None]
"""The stream, the type with its version, and the correlation that an event is the first of."""


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

    def forget(self) -> None:
        """Know nothing any more but what the database says."""
        self.streams.clear()
        self.types.clear()
        self.correlations = {None: None}

    def forget_if_many(self) -> None:
        """Keep the memory bounded; only while no transaction has made new ones."""
        if len(self.streams) + len(self.correlations) > _CACHED:
            self.forget()

    def record(self, stream: str, events: Sequence[NewEvent], head: int) -> tuple[Stream, dict[int, First]]:
        """Give keys, in the open transaction, to a stream and to the types and correlations of its events.

        These will come after the position `head`. Also says which of them are the first of their kind.
        """
        firsts: dict[int, First] = {}
        known = self.stream(stream)
        new_stream = None if known.key else stream
        if not known.key:
            known.key = self._new_key(_NEW_STREAM, (stream, head + 1))
            self.streams[stream] = known
        for position, event in enumerate(events, head + 1):
            kind, correlation_id = (event.type, event.type_version), event.correlation_id
            new_type = new_correlation = False
            if kind not in self.types:
                self.types[kind], new_type = self._type_key(kind, position)
            if correlation_id is not None and correlation_id not in self.correlations:
                self.correlations[correlation_id], new_correlation = self._correlation_key(
                    correlation_id, position
                )
            correlation = self.correlations[correlation_id]
            if correlation not in known.correlations:
                self._correlate(correlation, known)
            if new_stream or new_type or new_correlation:
                firsts[position] = (
                    new_stream,
                    kind if new_type else None,
                    correlation_id if new_correlation else None,
                )
                new_stream = None
        return known, firsts

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

    def _correlate(self, correlation: int | None, stream: Stream) -> None:
        """Note that the stream holds an event of it."""
        values = (correlation, stream.key)
        sql = "SELECT 1 FROM correlated WHERE correlation_key = ? AND stream_key = ?"
        if self._db.execute(sql, values).fetchone() is None:
            self._db.execute("INSERT INTO correlated VALUES (?, ?)", values)
        stream.correlations.add(correlation)

    def _type_key(self, kind: tuple[str, int], position: int) -> tuple[int, bool]:
        """Its key, and whether it is new."""
        sql = "SELECT type_key FROM types WHERE type = ? AND type_version = ?"
        row = self._db.execute(sql, kind).fetchone()
        return (int(row[0]), False) if row else (self._new_key(_NEW_TYPE, (*kind, position)), True)

    def _correlation_key(self, name: str, position: int) -> tuple[int, bool]:
        sql = "SELECT correlation_key FROM correlations WHERE correlation_id = ?"
        row = self._db.execute(sql, (name,)).fetchone()
        return (int(row[0]), False) if row else (self._new_key(_NEW_CORRELATION, (name, position)), True)

    def _new_key(self, sql: str, values: tuple[str | int, ...]) -> int:
        key = self._db.execute(sql, values).lastrowid
        assert key is not None
        return key
