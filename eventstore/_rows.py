"""From a row of the events table to the event, with names for its keys."""

import sqlite3
from typing import Any, Final

from eventstore.chain import MARK_BYTES, Frame
from eventstore.checks import id_text
from eventstore.errors import StoreCorrupt
from eventstore.model import RecordedEvent

__all__ = ["CHUNK_BITS", "COLUMNS", "DIGEST", "Names", "to_event", "to_frame"]

COLUMNS: Final = (
    "position, stream_key, version, type_key, recorded_at_ms, event_id, correlation_key, causation_id,"
    " metadata, digest, data"
)
DIGEST: Final = 9
"""The place of `digest` in `COLUMNS`."""
CHUNK_BITS: Final = 12
"""A chunk is 4096 positions: those with the same `position >> 12`."""
_CACHED: Final = 100_000


class Names:
    """What the keys of streams, types and correlations stand for; a key never changes its meaning."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.streams: dict[int, str] = {}
        self.types: dict[int, tuple[str, int]] = {}
        self.correlations: dict[int, str] = {}

    def stream(self, key: int) -> str:
        name = self.streams.get(key)
        if name is None:
            (name,) = self._row("SELECT name FROM streams WHERE stream_key = ?", key, "stream")
            if len(self.streams) >= _CACHED:
                self.streams.clear()
            self.streams[key] = name
        return name

    def type(self, key: int) -> tuple[str, int]:
        name = self.types.get(key)
        if name is None:
            name = self._row("SELECT type, type_version FROM types WHERE type_key = ?", key, "type")
            self.types[key] = name
        return name

    def correlation(self, key: int) -> str:
        name = self.correlations.get(key)
        if name is None:
            sql = "SELECT correlation_id FROM correlations WHERE correlation_key = ?"
            (name,) = self._row(sql, key, "correlation")
            if len(self.correlations) >= _CACHED:
                self.correlations.clear()
            self.correlations[key] = name
        return name

    def _row(self, sql: str, key: int, what: str) -> Any:
        row = self._db.execute(sql, (key,)).fetchone()
        if row is None:
            raise StoreCorrupt(
                f"The log has no name for {what} {key}.", remedy="Restore a backup, or export what verifies."
            )
        return row


def to_event(row: tuple[Any, ...], names: Names) -> RecordedEvent:
    """The event in a row of `COLUMNS`; raises `StoreCorrupt` for a row that no store wrote."""
    position, stream, version, kind, recorded_at_ms, event_id, correlation, cause, metadata, digest, data = (
        row
    )
    type_, type_version = names.types.get(kind) or names.type(kind)
    if correlation is not None:
        correlation = names.correlations.get(correlation) or names.correlation(correlation)
    return RecordedEvent(
        event_id=id_text(event_id),
        type=type_,
        type_version=type_version,
        data=data,
        correlation_id=correlation,
        causation_id=id_text(cause) if cause.__class__ is bytes else cause,
        metadata=metadata,
        stream=names.streams.get(stream) or names.stream(stream),
        version=version,
        position=position,
        recorded_at_ms=recorded_at_ms,
        digest=digest[:MARK_BYTES],
    )


def to_frame(row: tuple[Any, ...], names: Names) -> Frame:
    """What the digest of a row of `COLUMNS` covers; raises `StoreCorrupt` for a row that no store wrote."""
    position, stream, version, kind, recorded_at_ms, event_id, correlation, cause, metadata, _, data = row
    type_, type_version = names.types.get(kind) or names.type(kind)
    if correlation is not None:
        correlation = names.correlations.get(correlation) or names.correlation(correlation)
    return (
        position,
        names.streams.get(stream) or names.stream(stream),
        version,
        event_id,
        type_,
        type_version,
        correlation,
        cause,
        recorded_at_ms,
        metadata,
        data,
    )
