"""Reads the log for a replay: only the columns that are asked for, and the chain where it shall be checked."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from eventstore._ahead import ROWS, Parts
from eventstore._frames import Columns
from eventstore._reader import WINDOW, Reader, is_damage
from eventstore._rows import CHECKED, COLUMNS, Names, in_order
from eventstore._scan import SLICE_BYTES
from eventstore.errors import StoreCorrupt
from eventstore.ids import id_text
from eventstore.model import RecordedEvent, category_of
from eventstore.replay import Batch, Column, Decoders, broken, fails
from eventstore.verify import Verifier

__all__ = ["Replay"]

_IN_CATEGORY: Final = (
    " AND EXISTS (SELECT 1 FROM streams"
    " WHERE streams.stream_key = events.stream_key AND streams.category = ?)"
)
_PLACE: Final = "SELECT stream_key, version FROM events WHERE position = ?"
_SOURCES: Final[dict[str, str]] = {
    "position": "position",
    "stream": "stream_key",
    "version": "version",
    "recorded_at_ms": "recorded_at_ms",
    "event_id": "event_id",
    "type": "type_key",
    "type_version": "type_key",
    "correlation_id": "correlation_key",
    "causation_id": "causation",
    "metadata": "metadata",
}
_ROW: Final = [name.strip() for name in COLUMNS.split(",")]


def _cause(names: Names) -> Callable[[Any], str | None]:
    def name(cause: Any) -> str | None:
        if cause.__class__ is int:
            return names.cause(cause)
        return id_text(cause) if cause.__class__ is bytes else cause

    return name


_NAMED: Final[dict[str, Callable[[Names], Callable[[Any], Any]]]] = {
    "stream": lambda names: lambda key: names.streams.get(key) or names.stream(key),
    "event_id": lambda names: id_text,
    "type": lambda names: lambda key: names.type(key)[0],
    "type_version": lambda names: lambda key: names.type(key)[1],
    "correlation_id": lambda names: names.correlation,
    "causation_id": _cause,
}
"""How what the table holds becomes what is asked for."""


def _named(name: str, names: Names, found: Sequence[Any]) -> list[Any]:
    convert = _NAMED[name](names)
    try:
        return [None if value is None else convert(value) for value in found]
    except (StoreCorrupt, TypeError, ValueError, sqlite3.DatabaseError):
        # Some key stands for nothing, or is none: whose name cannot be told has none.
        return [_or_none(convert, value) for value in found]


def _or_none(convert: Callable[[Any], Any], value: Any) -> Any:
    try:
        return None if value is None else convert(value)
    except (StoreCorrupt, TypeError, ValueError):
        return None
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        return None


def _nothing_written(position: int) -> StoreCorrupt:
    what = f"What stands at position {position} is nothing that a store wrote."
    return StoreCorrupt(what, remedy="Restore a backup, or export what verifies.")


class Replay:
    """One pass over the log, a slice at a time; `position` is how far it has come."""

    def __init__(
        self,
        decoders: Decoders,
        columns: Sequence[Column],
        after: int,
        category: str | None,
        verifier: Verifier | None,
        describe: Callable[[int], RecordedEvent],
    ) -> None:
        self.position = after
        self.done = False
        self._decoders = decoders
        self._columns = columns
        self._category = category
        self._verifier = verifier
        self._parts: Parts | None = None
        self._describe = describe
        self._read = _ROW
        """The columns of the table that are read, in this order."""
        if verifier is None:
            self._read = ["type_key", "data", "position"]
            self._read += [_SOURCES[name] for name in columns if name != "position"]
        asked = {self._read.index(_SOURCES[name]) for name in columns}
        self._wanted = tuple(sorted({*CHECKED, *asked}))
        self._select = f"SELECT {', '.join(self._read)} FROM events WHERE position"  # noqa: S608

    def step(self, count: int) -> Callable[[Reader], Batch | None]:
        """`next` for `Readers.run`, which does it again where a writer came meanwhile: then from the same place on."""
        place = self.position, self.done
        found: list[Batch | None] = []

        def read(reader: Reader) -> Batch | None:
            if self._verifier is None:
                self.position, self.done = place
            elif found:
                # What was verified is what was recorded, whoever writes now.
                return found[0]
            found.append(self.next(reader, count))
            return found[-1]

        return read

    def next(self, reader: Reader, count: int) -> Batch | None:
        """The next events, up to so many; None if there are none among those that were looked at.

        Raises `StoreCorrupt` where the chain is broken: at the first bad position, once all before it were given.
        """
        if self._verifier is not None:
            return self._next_verified(self._verifier, reader, count)
        sql = f"{self._select} > ?"
        values: list[int | str] = [self.position]
        high = head = None
        if self._category is not None:
            # A rare category must not mean a long transaction.
            head = reader.head()
            high = min(head, self.position + WINDOW)
            sql += " AND position <= ?" + _IN_CATEGORY
            values += [high, self._category]
        try:
            scan = reader.scan(f"{sql} ORDER BY position LIMIT ?")
            found, cut = scan.fetch((*values, count), SLICE_BYTES)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return self._one_by_one(reader, count)
        more = cut or len(found[0]) == count
        if not more:
            self.done = high == head
        if not found[0]:
            self.position = high or self.position
            return None
        archived = scan.lacks(self._read.index("data"))
        if self._category is None:
            found = self._in_place(found, reader)
        elif (at := found[self._read.index("position")]) != sorted({self.position, *at})[1:]:
            return self._one_by_one(reader, count)
        columns = dict(zip(self._read, found, strict=True))
        positions = columns["position"]
        self.position = positions[-1] if more or high is None else high
        return self._batch(columns, positions, reader, archived)

    def _in_place(self, found: Columns, reader: Reader) -> Columns:
        """The rows, where they follow `position` without a gap; else those that are in order, and what is lost.

        How many are out of order tells nothing of how many that is: a search can miss some, and end at others again.
        """
        positions, due = found[self._read.index("position")], self.position + 1
        if positions == [*range(due, due + len(positions))]:
            return found
        given, rows = list(zip(*found, strict=True)), list[tuple[Any, ...]]()
        ordered = in_order(
            positions, self.position, lambda place: self._is_at(positions[place], given[place], reader)
        )
        for place in ordered:
            # What says that it is farther ahead than any page reaches is not to be filled up to.
            if positions[place] - due <= WINDOW:
                rows += map(self._lost, range(due, positions[place]))
            rows.append(given[place])
            due = positions[place] + 1
        behind = len(given) - (ordered[-1] + 1 if ordered else 0)
        rows += map(self._lost, range(due, due + behind))
        return tuple(map(list, zip(*rows, strict=True)))

    def _is_at(self, position: int, row: tuple[Any, ...], reader: Reader) -> bool:
        try:
            found = reader.connection.execute(f"{self._select} = ?", (position,)).fetchone()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            return False
        return bool(found == row)

    def _lost(self, position: int, why: Exception | None = None) -> tuple[Any, ...]:
        """What stands for a row that cannot be read, and tells of it when it is decoded."""
        # A key that stands for nothing but this.
        self._decoders.by_key[-position] = fails(why or _nothing_written(position))
        known = {"position": position, "type_key": -position, "data": b""}
        return tuple(known.get(name) for name in self._read)

    def _next_verified(self, verifier: Verifier, reader: Reader, count: int) -> Batch | None:
        if verifier.fault is not None:
            raise broken(verifier.fault)
        if self._parts is None:
            self._parts = Parts(verifier, reader.names, self._wanted)
        scan = reader.scan(ROWS)
        part = self._parts.read(scan, self.position, count)
        if not verifier.good:
            reader.look_before(verifier)
        try:
            found = self._parts.check(part, scan, reader.names, 0 if reader.frozen else count)
        except (StoreCorrupt, sqlite3.DatabaseError) as error:
            if not is_damage(error):
                raise
            return self._fewer(verifier, reader, count, error)
        # If there is a fault, the next call is the one that says it.
        self.done = not part.more and verifier.fault is None
        if not found[0]:
            return None
        columns = dict(zip(self._read, found, strict=True))
        self.position = found[0][-1]
        return self._batch(columns, found[0], reader, part.archived)

    def _fewer(self, verifier: Verifier, reader: Reader, count: int, damage: Exception) -> Batch | None:
        """The same with fewer events, since one of them brings a name that is damaged; that one alone is the fault."""
        self.done = False
        if count > 1:
            return self.next(reader, count // 2)
        verifier.unreadable(str(damage).rstrip("."))
        return None

    def _one_by_one(self, reader: Reader, count: int) -> Batch | None:
        """The same where the file is damaged: the next positions, whatever can be read of each."""
        sql = f"{self._select} = ?"
        head = reader.head()
        # What is last may say that it is any position.
        last = max(self.position + 1, min(self.position + count, head))
        rows: list[tuple[Any, ...]] = []
        gone: list[tuple[Any, ...]] = []
        for position in range(self.position + 1, last + 1):
            try:
                row = reader.connection.execute(sql, (position,)).fetchone()
                if row is None and self._category is None:
                    gone.append(self._lost(position))
                elif row is not None and (self._category is None or self._is_asked_for(position, reader)):
                    rows += [*gone, row]
                    gone = []
            except (sqlite3.DatabaseError, StoreCorrupt) as error:
                rows += [*gone, self._lost(position, error)]
                gone = []
        if last < head:
            rows += gone
        self.position = last
        self.done = last == head
        if not rows:
            return None
        found = dict(zip(self._read, map(list, zip(*rows, strict=True)), strict=True))
        return self._batch(found, found["position"], reader, None in found["data"])

    def _fetch(self, keys: list[Any], datas: list[Any], positions: Sequence[int], reader: Reader) -> None:
        """Fill in what lies in archives; where one is missing its events are told to be unreadable."""
        for index, position in enumerate(positions):
            if datas[index] is None:
                try:
                    place = reader.connection.execute(_PLACE, (position,)).fetchone()
                    if place is None:
                        raise _nothing_written(position)
                    datas[index] = reader.names.archives.data(*place)
                except (StoreCorrupt, sqlite3.DatabaseError) as error:
                    if not is_damage(error):
                        raise
                    keys[index], datas[index] = -position, b""
                    self._decoders.by_key[-position] = fails(error)

    def _is_asked_for(self, position: int, reader: Reader) -> bool:
        sql = "SELECT stream_key FROM events WHERE position = ?"
        (key,) = reader.connection.execute(sql, (position,)).fetchone()
        return category_of(reader.names.stream(key)) == self._category

    def _batch(
        self, columns: dict[str, list[Any]], positions: list[int], reader: Reader, archived: bool
    ) -> Batch:
        keys, datas, names = columns["type_key"], columns["data"], reader.names
        if archived:
            keys, datas = list(keys), list(datas)
            self._fetch(keys, datas, positions, reader)
        for key in set(keys) - self._decoders.by_key.keys():
            try:
                self._decoders.add(key, names.type(key))
            except (StoreCorrupt, sqlite3.DatabaseError) as error:
                if not is_damage(error):
                    raise
                self._decoders.by_key[key] = fails(error)
        asked: list[Iterable[Any]] = []
        for name in self._columns:
            found = columns[_SOURCES[name]]
            asked.append(_named(name, names, found) if name in _NAMED else found)
        return Batch(keys, datas, positions, asked, self._decoders, self._describe)
