"""From a row of the events table to the event, with names for its keys."""

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from eventstore._archives import Archives
from eventstore._frames import Columns, Frames, highest
from eventstore._keys import First
from eventstore._scan import Ahead, Scan
from eventstore.chain import CAUSE_WINDOW, ITEMS, checksum_of
from eventstore.errors import StoreCorrupt
from eventstore.ids import id_text
from eventstore.model import RecordedEvent

__all__ = [
    "CATEGORY",
    "CHECKED",
    "CHUNK_BITS",
    "COLUMNS",
    "DATA",
    "MARK",
    "Firsts",
    "Known",
    "Names",
    "in_order",
    "to_event",
]

COLUMNS: Final = (
    "position, stream_key, version, type_key, recorded_at_ms, event_id, correlation_key, causation, metadata,"
    " data, mark"
)
"""The first ten are those of the event's frame."""
DATA: Final = 9
"""The place of `data` in `COLUMNS`; None where an archive has it."""
MARK: Final = 10
"""The place of `mark` in `COLUMNS`."""
CHECKED: Final = (0, 1, 2, 3, 6, 9, 10)
"""The places in `COLUMNS` of what has to be seen to check rows: places, keys, data, mark."""
CHUNK_BITS: Final = 12
"""A chunk is 4096 positions: those with the same `position >> 12`."""
CATEGORY: Final = "CASE instr(name, '-') WHEN 0 THEN name ELSE substr(name, 1, instr(name, '-') - 1) END"
"""A stream's category by its name, in SQL."""
_BEGINNINGS: Final = tuple(
    f"SELECT {key}, first_position FROM {table} WHERE {key} > ? AND {key} <= ?{more}"  # noqa: S608
    for table, key, more in (
        ("streams", "stream_key", f" AND category IS ({CATEGORY})"),
        ("types", "type_key", ""),
        ("correlations", "correlation_key", ""),
    )
)
_NAMED: Final = tuple(
    f"SELECT {key}, {name} FROM {table} WHERE {key} > ? AND {key} <= ?"  # noqa: S608
    for table, key, name in (
        ("streams", "stream_key", "name"),
        ("types", "type_key", "type, type_version"),
        ("correlations", "correlation_key", "correlation_id"),
    )
)
_CACHED: Final = 2048
"""Names of a kind that are remembered: a process that lives for months meets them all."""


def in_order(positions: Sequence[int], after: int, is_at: Callable[[int], bool]) -> list[int]:
    """The places of those rows after a position that lie in its order; `is_at` asks whether one is where it says.

    Rows come as they lie in the file: in a damaged one a row may say that it is any position.
    """
    ends: list[int] = []
    """The last of the longest series that ascend, one for each length; and where it lies."""
    places: list[int] = []
    before = [-1] * len(positions)
    for place, position in enumerate(positions):
        if position > after:
            length = bisect_left(ends, position)
            before[place] = places[length - 1] if length else -1
            ends[length : length + 1], places[length : length + 1] = [position], [place]
    found = places[-1:]
    while found and before[found[-1]] >= 0:
        found.append(before[found[-1]])
    # What is behind the last but one may be a stray as well.
    while found and positions[found[0]] != 1 + (positions[found[1]] if found[1:] else after):
        if is_at(found[0]):
            break
        del found[0]
    return found[::-1]


class Known:
    """Names that were read before; several connections may share them, also in several threads."""

    __slots__ = ("astray", "correlations", "ids", "streams", "types")

    def __init__(self) -> None:
        self.streams: dict[int, str] = {}
        self.types: dict[int, tuple[str, int]] = {}
        self.correlations: dict[int, str] = {}
        self.ids: dict[int, str] = {}
        """The ids of some positions."""
        self.astray: set[int] = set()
        """Positions behind which lies a row that says it is another, as in a damaged file."""


class Names:
    """What the keys of streams, types, correlations and causes stand for; none ever changes its meaning."""

    def __init__(self, connection: sqlite3.Connection, known: Known | None = None) -> None:
        self._db = connection
        known = known or Known()
        self.streams, self.types = known.streams, known.types
        self.correlations, self.ids = known.correlations, known.ids
        self.astray = known.astray
        self.archives = Archives(connection)

    def close(self) -> None:
        """Close the archives that were opened for it."""
        self.archives.close()

    def meet(self, after: tuple[int, ...], last: tuple[int, ...], most: int) -> None:
        """Remember the names of the keys beyond some, up to the last, if they are no more than `most` of a kind.

        What cannot be read now is told when it is asked for.
        """
        kinds: tuple[dict[int, Any], ...] = (self.streams, self.types, self.correlations)
        for known, sql, low, high in zip(kinds, _NAMED, after, last, strict=True):
            if 1 < high - low <= most:
                if len(known) + high - low > _CACHED and known is not self.types:
                    known.clear()
                with suppress(sqlite3.DatabaseError):
                    for key, *name in self._db.execute(sql, (low, high)):
                        known[key] = tuple(name) if known is self.types else name[0]

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

    def rows(self, sql: str, *values: int) -> dict[int, int]:
        """What a query for two columns finds."""
        return dict(self._db.execute(sql, values).fetchall())

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
    try:
        type_, type_version = names.types.get(kind) or names.type(kind)
        if correlation is not None:
            correlation = names.correlations.get(correlation) or names.correlation(correlation)
        if cause.__class__ is int:
            cause = names.ids.get(cause) or names.cause(cause)
        elif cause.__class__ is bytes:
            cause = id_text(cause)
        elif cause is not None and cause.__class__ is not str:
            raise TypeError(f"{cause!r} is no cause")
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
    except (AttributeError, TypeError, ValueError) as error:
        raise StoreCorrupt(
            f"What stands at position {position} is nothing that a store wrote ({error}).",
            remedy="Restore a backup, or export what verifies.",
        ) from error


class Firsts:
    """Tells the events that are the first of their stream, type or correlation, in rows that come in order."""

    def __init__(self, names: Names, *, strict: bool = False) -> None:
        """`strict`: what the names' tables say of these events must be so, too."""
        self.names = names
        self._strict = strict
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

    def frames(self, columns: Columns, scan: Scan) -> Frames:
        """The frames of the rows that were fetched last, given those of their columns that are `CHECKED`.

        Raises `StoreCorrupt` if a name is missing; then nothing is known to have been met.
        """
        firsts, last = self._met(columns)
        data = self._archived(columns) if scan.lacks(DATA) else None
        self._streams, self._types, self._correlations = last
        return scan.frames(ITEMS, firsts, data)

    def ahead(self, columns: Columns, scan: Scan, running: Any, left: int) -> Ahead:
        """The same, made by `Scan.ahead`, of rows with none in an archive."""
        firsts, last = self._met(columns)
        made = scan.ahead(ITEMS, firsts, running, left)
        self._streams, self._types, self._correlations = last
        return made

    def _met(self, columns: Columns) -> tuple[dict[int, First], tuple[int, ...]]:
        """The names that come with the first events of their kind, and the last keys that are known then."""
        names, known = self.names, (self._streams, self._types, self._correlations)
        keys = (columns[1], columns[3], columns[6])
        last = tuple(max(old, highest(column)) for old, column in zip(known, keys, strict=True))
        names.meet(known, last, len(columns[0]))
        new: dict[int, list[Any]] = {}
        _note(new, 0, keys[0], known[0], last[0], names.stream)
        _note(new, 1, keys[1], known[1], last[1], names.type)
        _note(new, 2, keys[2], known[2], last[2], names.correlation)
        if self._strict and new:
            self._check(new, columns[0], keys, known, last)
        return {index: tuple(kinds) for index, kinds in new.items()}, last

    def _check(
        self,
        new: dict[int, list[Any]],
        positions: list[Any],
        keys: tuple[list[Any], ...],
        known: tuple[int, ...],
        last: tuple[int, ...],
    ) -> None:
        for place, sql in enumerate(_BEGINNINGS):
            if last[place] == known[place]:
                continue
            begins = self.names.rows(sql, known[place], last[place])
            for index, kinds in new.items():
                if kinds[place] is not None and begins.get(keys[place][index]) != positions[index]:
                    raise StoreCorrupt(
                        f"The table of names is wrong about {kinds[place]!r}, which begins here.",
                        remedy="Restore a backup, or export what verifies.",
                    )

    def _archived(self, columns: Columns) -> list[Any]:
        """The data, also what lies in archives."""
        data = self.names.archives.data
        return [
            data(stream, version) if found is None else found
            for stream, version, found in zip(columns[1], columns[2], columns[DATA], strict=True)
        ]


def _note(
    new: dict[int, list[Any]], place: int, keys: list[Any], known: int, last: int, name: Callable[[int], Any]
) -> None:
    """Add the names of keys beyond `known` up to the last, where they come first."""
    start = 0
    for key in range(known + 1, last + 1) if last - known <= len(keys) else sorted({*keys} - {None}):
        if key > known:
            try:
                # In a log that nobody has changed they come in this order.
                start = keys.index(key, start)
            except ValueError:
                if key not in keys:
                    continue
                start = keys.index(key)
            new.setdefault(start, [None, None, None])[place] = name(key)
