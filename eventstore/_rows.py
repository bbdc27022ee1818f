"""From a row of the events table to the event, with names for its keys."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, Final

from eventstore._archives import Archives
from eventstore.chain import CAUSE_WINDOW, Frame, checksum_of
from eventstore.checks import id_text
from eventstore.errors import StoreCorrupt
from eventstore.model import RecordedEvent

__all__ = ["CHUNK_BITS", "COLUMNS", "DATA", "MARK", "Firsts", "Known", "Names", "to_event"]

COLUMNS: Final = (
    "position, stream_key, version, type_key, recorded_at_ms, event_id, correlation_key, causation, metadata,"
    " data, mark"
)
"""The first ten are those of the event's frame."""
DATA: Final = 9
"""The place of `data` in `COLUMNS`; None where an archive has it."""
MARK: Final = 10
"""The place of `mark` in `COLUMNS`."""
CHUNK_BITS: Final = 12
"""A chunk is 4096 positions: those with the same `position >> 12`."""
_CACHED: Final = 2048
"""Names of a kind that are remembered: a process that lives for months meets them all."""


class Known:
    """Names that were read before; several connections may share them, also in several threads."""

    __slots__ = ("correlations", "ids", "streams", "types")

    def __init__(self) -> None:
        self.streams: dict[int, str] = {}
        self.types: dict[int, tuple[str, int]] = {}
        self.correlations: dict[int, str] = {}
        self.ids: dict[int, str] = {}
        """The ids of some positions."""


class Names:
    """What the keys of streams, types, correlations and causes stand for; none ever changes its meaning."""

    def __init__(self, connection: sqlite3.Connection, known: Known | None = None) -> None:
        self._db = connection
        known = known or Known()
        self.streams, self.types = known.streams, known.types
        self.correlations, self.ids = known.correlations, known.ids
        self.archives = Archives(connection)

    def close(self) -> None:
        """Close the archives that were opened for it."""
        self.archives.close()

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

    def cause(self, position: int) -> str:
        """The id of the event at that position."""
        event_id = self.ids.get(position)
        if event_id is None:
            (raw,) = self._row(
                "SELECT event_id FROM events WHERE position = ?", position, "the cause at position"
            )
            if len(self.ids) > 2 * CAUSE_WINDOW:
                self.ids.clear()
            event_id = self.ids[position] = id_text(raw)
        return event_id

    def _row(self, sql: str, key: int, what: str) -> Any:
        row = self._db.execute(sql, (key,)).fetchone()
        if row is None:
            raise StoreCorrupt(
                f"The log has no name for {what} {key}.", remedy="Restore a backup, or export what verifies."
            )
        return row


def to_event(row: tuple[Any, ...], names: Names) -> RecordedEvent:
    """The event in a row of `COLUMNS`; raises `StoreCorrupt` for a row that no store wrote."""
    position, stream, version, kind, recorded_at_ms, event_id, correlation, cause, metadata, data, mark = row
    type_, type_version = names.types.get(kind) or names.type(kind)
    if correlation is not None:
        correlation = names.correlations.get(correlation) or names.correlation(correlation)
    if cause.__class__ is int:
        cause = names.ids.get(cause) or names.cause(cause)
    elif cause.__class__ is bytes:
        cause = id_text(cause)
    if data is None:
        data = names.archives.data(stream, version)
    own_id = id_text(event_id)
    ids = names.ids
    if len(ids) > 2 * CAUSE_WINDOW:
        ids.clear()
    ids[position] = own_id
    return RecordedEvent(
        event_id=own_id,
        type=type_,
        type_version=type_version,
        data=data,
        correlation_id=correlation,
        causation_id=cause,
        metadata=metadata,
        stream=names.streams.get(stream) or names.stream(stream),
        version=version,
        position=position,
        recorded_at_ms=recorded_at_ms,
        checksum=mark if mark.__class__ is int else checksum_of(mark),
    )


class Firsts:
    """Tells the events that are the first of their stream, type or correlation, in rows that come in order."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self._streams = self._types = self._correlations = 0

    def resume(self, connection: sqlite3.Connection, position: int) -> None:
        """Begin after a position."""

        def last(key: str, table: str) -> int:
            # From the last one down, since keys are given in the order of positions.
            sql = f"SELECT {key} FROM {table} WHERE first_position <= ? ORDER BY {key} DESC LIMIT 1"  # noqa: S608
            row = connection.execute(sql, (position,)).fetchone()
            return row[0] if row else 0

        self._streams = last("stream_key", "streams")
        self._types = last("type_key", "types")
        self._correlations = last("correlation_key", "correlations")

    def frames(self, rows: Sequence[tuple[Any, ...]]) -> list[Frame]:
        """What the chain covers of the next rows of `COLUMNS`; raises `StoreCorrupt` if a name is missing."""
        frames: list[Frame] = [row[:MARK] for row in rows]
        names = self.names
        if rows:
            new: dict[int, list[Any]] = {}
            columns = list(zip(*frames, strict=True))
            if None in columns[DATA]:
                frames = [self._whole(frame) for frame in frames]
            threads = [key or 0 for key in columns[6]]
            last = (
                _note(new, 0, columns[1], self._streams, names.stream),
                _note(new, 1, columns[3], self._types, names.type),
                _note(new, 2, threads, self._correlations, names.correlation),
            )
            self._streams, self._types, self._correlations = last
            for index, kinds in new.items():
                frames[index] += tuple(kinds)
        return frames

    def _whole(self, frame: Frame) -> Frame:
        if frame[DATA] is not None:
            return frame
        return (*frame[:DATA], self.names.archives.data(frame[1], frame[2]))


def _note(
    new: dict[int, list[Any]], place: int, keys: Sequence[int], known: int, name: Callable[[int], Any]
) -> int:
    """Add the names of keys beyond `known`, where they come first; the last key that is known then."""
    last = max(keys)
    for key in range(known + 1, last + 1) if last - known <= len(keys) else sorted({*keys}):
        if key > known and key in keys:
            new.setdefault(keys.index(key), [None, None, None])[place] = name(key)
    return max(last, known)
