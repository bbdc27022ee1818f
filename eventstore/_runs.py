"""Where ids are recorded, in sorted runs: a log-structured merge tree whose levels are cut into ever smaller slots.

A run comes into level 0, whose one slot is all hashes. Once a slot has sixteen runs they are merged, and cut by the
next four bits of the hashes into a run for each of sixteen slots of the next level. So every run is about as long as
the first ones, an id is written once for each sixteenfold of the log, and no merge takes more than a few milliseconds.

O'Neil et al., "The log-structured merge-tree", Acta Informatica 33 (1996); slots without a merge into what they hold as
in Raju et al., "PebblesDB: building key-value stores using fragmented log-structured merge trees", SOSP 2017.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Final, NamedTuple

from eventstore._compiled import native
from eventstore.errors import StoreCorrupt
from eventstore.ids import HASH_BITS, hash_ids

__all__ = [
    "ITEM",
    "LEVELS",
    "Merged",
    "Row",
    "Runs",
    "first_of",
    "hash_at",
    "items_of",
    "merge_runs",
    "pack",
    "pack_ids",
    "pairs_of",
    "plain_first_of",
    "plain_merge_runs",
    "plain_pack_ids",
    "position_at",
]

ITEM: Final = 11
"""Bytes of an id in a run: 6 of its hash, 5 of its position."""
_HASH: Final = 6
_BITS = 4
"""By so many bits of the hash a slot is cut into those of the next level; it holds as many runs as it has of these."""
LEVELS: Final = 8
"""2 ** 28 first runs."""
_RUNS: Final = 64
"""That may be numbered in a slot. As only one slot is merged with each new run a few may come before it is its turn."""
_ROW_IDS: Final = 720
"""One page for a row; of a longer one each part would begin with a search for the next page."""
_LEVEL_SHIFT: Final = HASH_BITS + 6
_AT: Final = "SELECT 1 FROM id_runs WHERE key = ?"
_UP_TO: Final = "SELECT key, ids FROM id_runs WHERE key <= ? ORDER BY key DESC LIMIT 1"
_LAST: Final = "SELECT max(key) FROM id_runs WHERE key <= ?"
_NEXT: Final = "SELECT min(key) FROM id_runs WHERE key >= ?"
_RANGE: Final = "SELECT key, ids FROM id_runs WHERE key >= ? AND key < ? ORDER BY key"
_DELETE: Final = "DELETE FROM id_runs WHERE key >= ? AND key < ?"
_INSERT: Final = "INSERT INTO id_runs VALUES (?, ?)"


class Row(NamedTuple):
    """`ids` of a run, with hashes from `first` on; its slot has those from `low` on and below `high`."""

    key: int
    level: int
    run: int
    first: int
    low: int
    high: int
    ids: bytes


class Merged(NamedTuple):
    """`ids`, with hashes from `low` on and below `high`, that went into `level`."""

    level: int
    low: int
    high: int
    ids: bytes


def pack(hashed: Sequence[tuple[int, int]]) -> bytes:
    """The run of some pairs of a hash and a position."""
    return b"".join(sorted(one.to_bytes(_HASH) + at.to_bytes(ITEM - _HASH) for one, at in hashed))


def plain_pack_ids(ids: Sequence[bytes], first: int) -> bytes:
    """`pack_ids` in Python."""
    return pack(list(zip(hash_ids(ids), count(first), strict=False)))


def items_of(run: bytes) -> Iterator[bytes]:
    """The ids of a run, `ITEM` bytes each."""
    return (run[at : at + ITEM] for at in range(0, len(run), ITEM))


def plain_merge_runs(runs: Sequence[bytes]) -> bytes:
    """`merge_runs` in Python."""
    return b"".join(sorted(item for run in runs for item in items_of(run)))


def plain_first_of(run: bytes, hashed: int) -> int:
    """`first_of` in Python."""
    low, high, wanted = 0, len(run) // ITEM, hashed.to_bytes(_HASH)
    while low < high:
        middle = (low + high) // 2
        if run[middle * ITEM : middle * ITEM + _HASH] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


pack_ids: Final[Callable[[Sequence[bytes], int], bytes]] = (
    plain_pack_ids if native is None else native.pack_ids
)
"""The run of up to 131,072 ids, recorded one after the other from a position on."""
merge_runs: Final[Callable[[Sequence[bytes]], bytes]] = (
    plain_merge_runs if native is None else native.merge_runs
)
"""One run of all that some hold."""
first_of: Final[Callable[[bytes, int], int]] = plain_first_of if native is None else native.first_of
"""The place in a run of the first id whose hash is so large, or larger."""


def hash_at(run: bytes, place: int) -> int:
    """The hash of the id at a place in a run; -1: the last."""
    return int.from_bytes(run[place * ITEM : place * ITEM + _HASH])


def position_at(run: bytes, place: int) -> int:
    """The position of the id at a place in a run."""
    return int.from_bytes(run[place * ITEM + _HASH : (place + 1) * ITEM])


def pairs_of(run: bytes) -> Iterator[tuple[int, int]]:
    """The hash and the position of each id of a run."""
    return ((hash_at(run, place), position_at(run, place)) for place in range(len(run) // ITEM))


def _key(level: int, run: int, first: int) -> int:
    return level << _LEVEL_SHIFT | run << HASH_BITS | first


def _span(level: int) -> int:
    """How many hashes a slot of the level has."""
    return 1 << HASH_BITS - level * _BITS


def _rows(run: bytes, low: int) -> Iterator[tuple[int, bytes]]:
    """A run cut into rows, and from which hash on each is; ids that share one stay together."""
    ids = len(run) // ITEM
    rows = -(-ids // _ROW_IDS)
    start = 0
    for row in range(1, rows + 1):
        end = row * ids // rows
        if row < rows:
            end = first_of(run, hash_at(run, end))
        if end > start:
            yield low if not start else hash_at(run, start), run[start * ITEM : end * ITEM]
            start = end


class Runs:
    """The tables `id_runs` and `id_merges`, for whoever owns the connection; all but `find` and `within` write.

    Any of it raises `sqlite3.Error`; `add` and `merge` `StoreCorrupt` too.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def find(self, hashed: int) -> Iterator[int]:
        """The positions of the ids that have this hash."""
        last = self._db.execute("SELECT max(key) FROM id_runs").fetchone()[0]
        for level in range(0 if last is None else (last >> _LEVEL_SHIFT) + 1):
            low = hashed & -_span(level)
            for run in range(_RUNS):
                row = self._db.execute(_UP_TO, (_key(level, run, hashed),)).fetchone()
                # The first row of a run begins where its slot does, so that one that is missing is told.
                if row is None or row[0] < _key(level, run, low):
                    break
                ids = row[1]
                for place in range(first_of(ids, hashed), len(ids) // ITEM):
                    if hash_at(ids, place) != hashed:
                        break
                    yield position_at(ids, place)

    def within(self, low: int, high: int, levels: range) -> Iterator[bytes]:
        """All ids of these levels whose hashes are at least `low` and below `high`, and some beside them."""
        at, end = levels.start << _LEVEL_SHIFT, levels.stop << _LEVEL_SHIFT
        while (found := self._db.execute(_NEXT, (at,)).fetchone()[0]) is not None and found < end:
            run = found >> HASH_BITS << HASH_BITS
            # The row before may reach into it.
            begin = self._db.execute(_LAST, (run | low,)).fetchone()[0]
            start = run if begin is None else max(run, begin)
            for _, ids in self._db.execute(_RANGE, (start, run + high)):
                yield ids
            at = run + (1 << HASH_BITS)

    def rows(self) -> Iterator[Row]:
        """All of it."""
        for key, ids in self._db.execute("SELECT key, ids FROM id_runs ORDER BY key"):
            level, first = key >> _LEVEL_SHIFT, key & (1 << HASH_BITS) - 1
            low = first & -_span(level) if level < LEVELS else first
            yield Row(key, level, key >> HASH_BITS & _RUNS - 1, first, low, low + _span(level), ids)

    def follows(self, row: Row) -> bool:
        """Whether the row's slot has the run before; `find` looks for none behind one that is missing."""
        at = _key(row.level, row.run - 1, row.low)
        return not row.run or self._db.execute(_AT, (at,)).fetchone() is not None

    def add(self, run: bytes) -> None:
        """Take a run into level 0."""
        self._put(0, 0, run)

    def merge(self) -> Merged | None:
        """Merge what is due next, if anything is: the least level first, or its slot would get too many runs."""
        due = self._db.execute("SELECT level, low FROM id_merges ORDER BY level, low LIMIT 1").fetchone()
        if due is None:
            return None
        level, low = due
        high = low + _span(level)
        runs = []
        for run in range(_RUNS):
            span = _key(level, run, low), _key(level, run, 0) + high
            rows = self._db.execute(_RANGE, span).fetchall()
            if not rows:
                break
            runs.append(b"".join([ids for _, ids in rows]))
            self._db.execute(_DELETE, span)
        self._db.execute("DELETE FROM id_merges WHERE level = ? AND low = ?", due)
        ids = merge_runs(runs)
        start = 0
        for slot in range(low, high, _span(level + 1)):
            end = first_of(ids, slot + _span(level + 1))
            if end > start:
                self._put(level + 1, slot, ids[start * ITEM : end * ITEM])
            start = end
        return Merged(level + 1, low, high, ids)

    def _put(self, level: int, low: int, run: bytes) -> None:
        number = 0
        while self._db.execute(_AT, (_key(level, number, low),)).fetchone():
            number += 1
        if number == _RUNS:
            raise StoreCorrupt("The log holds too many runs of ids.", remedy="Restore a backup.")
        self._db.executemany(_INSERT, [(_key(level, number, first), ids) for first, ids in _rows(run, low)])
        if number + 1 >= 1 << _BITS and level + 1 < LEVELS:
            self._db.execute("INSERT OR IGNORE INTO id_merges VALUES (?, ?)", (level, low))
