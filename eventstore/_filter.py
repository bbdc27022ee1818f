"""Tells from memory that an id is new, as nearly all are that are appended: a Bloom filter of the ids in the runs.

It is cut by the first bits of the hashes into parts, and each is made when it is first asked. Most of one is ready in
the table `id_filters`, which says the same of all runs but the youngest; a row that is missing there only costs time.

Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 13 (1970); which bits are set for an id is
told by two halves of its hash: Kirsch and Mitzenmacher, "Less hashing, same performance", ESA 2006. With four of them,
and 16 to 32 bits there for each id, 0.24 to 0.02 % of new ids are taken for ones that may be known.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from eventstore._compiled import native
from eventstore._runs import LEVELS, Runs, hash_at, items_of
from eventstore.ids import HASH_BITS, hash_ids

__all__ = [
    "KEPT",
    "PARTS",
    "IdFilter",
    "fill_parts",
    "holds",
    "may_hold",
    "part_of",
    "plain_fill_parts",
    "plain_may_hold",
]

KEPT: Final = range(2, LEVELS)
"""The levels of which `id_filters` says what they hold: what is in those above changes too many parts at a time."""
_YOUNG: Final = range(KEPT.start)
_SHIFT: Final = 36
"""Of a hash's 47 bits: those above name the part, two halves of those below the bits in it."""
PARTS: Final = 1 << HASH_BITS - _SHIFT
_HALF: Final = _SHIFT // 2
_BITS: Final = 4
_TOGETHER: Final = 64
"""Parts that are made at a time, in a few milliseconds; fewer at first, for whoever appends once and closes."""
_LEAST_BYTES, _MOST_BYTES = 256, 64 * 1024
"""Of a part. Half a megabyte in all, good for a quarter of a million ids; and 128 MiB, from 33 million on: at 67
million these are 16 bits for each, and at 130 million 2.4 % of the new ids are looked for."""


def _bits(hashed: int, mask: int) -> Iterator[int]:
    return (hashed + index * (hashed >> _HALF) & mask for index in range(_BITS))


def plain_fill_parts(parts: list[bytearray | None], run: bytes) -> None:
    """`fill_parts` in Python."""
    for item in items_of(run):
        hashed = hash_at(item, 0)
        bits = parts[hashed >> _SHIFT]
        if bits is not None:
            for bit in _bits(hashed, 8 * len(bits) - 1):
                bits[bit >> 3] |= 1 << (bit & 7)


def holds(bits: bytes | bytearray, hashed: int) -> bool:
    """False if the hash is surely none of those of which the part's bits were made."""
    return all(bits[bit >> 3] >> (bit & 7) & 1 for bit in _bits(hashed, 8 * len(bits) - 1))


def part_of(hashed: int) -> int:
    """The number of the part that a hash belongs to."""
    return hashed >> _SHIFT


def plain_may_hold(parts: list[bytearray | None], ids: Sequence[bytes]) -> list[int]:
    """`may_hold` in Python."""
    found = []
    for hashed in hash_ids(ids):
        bits = parts[hashed >> _SHIFT]
        if bits is None or holds(bits, hashed):
            found.append(hashed)
    return found


fill_parts: Final[Callable[[list[bytearray | None], bytes], None]] = (
    plain_fill_parts if native is None else native.fill_parts
)
"""Set the bits of a run, in those parts that are there; a part's size in bytes is a power of two."""
may_hold: Final[Callable[[list[bytearray | None], Sequence[bytes]], list[int]]] = (
    plain_may_hold if native is None else native.may_hold
)
"""The hashes of those ids that may be known; what is in a part that is not there may be."""


def _size(ids: int) -> int:
    """Bytes of a part for so many ids in all."""
    wanted = max(_LEAST_BYTES, min(_MOST_BYTES, 2 * ids // PARTS + 1))
    return 1 << (wanted - 1).bit_length()


class IdFilter:
    """For whoever owns the connection; may know an id that no run knows, never the other way round."""

    def __init__(self, connection: sqlite3.Connection, runs: Runs) -> None:
        self._db = connection
        self._runs = runs
        self._parts: list[bytearray | None] = []
        self._bytes = 0
        """Of each part."""
        self._together = 1

    def begin(self, indexed: int) -> None:
        """The runs hold so many ids; which ones is not known here."""
        self._parts = [None] * PARTS if indexed else []
        self._bytes = _size(indexed)

    def add(self, run: bytes, indexed: int, *, first: bool = False) -> None:
        """The log holds this run as well, and `indexed` ids in all; `first`: it holds no other."""
        if first:
            # What the parts are made of is known.
            self._bytes = _size(indexed)
            self._parts = [bytearray(self._bytes) for _ in range(PARTS)]
        elif _size(indexed) > self._bytes:
            self.begin(indexed)
        if self._parts:
            fill_parts(self._parts, run)

    def suspects(self, ids: Sequence[bytes]) -> list[int]:
        """The hashes of those of the ids that may be known, as far as the parts that are there tell."""
        return may_hold(self._parts, ids) if self._parts else []

    def reconsidered(self, suspects: Sequence[int]) -> list[int]:
        """Those of the hashes that have to be looked for, now that all their parts are there.

        Raises `sqlite3.Error`.
        """
        for hashed in suspects:
            if self._parts[hashed >> _SHIFT] is None:
                self._load(hashed >> _SHIFT)
        return [one for one in suspects if (bits := self._parts[one >> _SHIFT]) is None or holds(bits, one)]

    def _load(self, part: int) -> None:
        """Make a part, and some that lie beside it, which takes hardly longer."""
        first = part // self._together * self._together
        last = first + self._together
        self._together = min(_TOGETHER, 2 * self._together)
        parts = self._kept(first, last, self._bytes)
        self._fill(parts, first, last, _YOUNG)
        self._parts[first:last] = parts[first:last]

    def _fill(self, parts: list[bytearray | None], first: int, last: int, levels: range) -> None:
        for ids in self._runs.within(first << _SHIFT, last << _SHIFT, levels):
            fill_parts(parts, ids)

    def _kept(self, first: int, last: int, size: int, least: int = 1) -> list[bytearray | None]:
        """What the levels `KEPT` hold in the parts from `first` on and below `last`; the others are not there.

        What is kept in less than `least` bytes is made again: made larger it says no more than it did.
        """
        parts: list[bytearray | None] = [None] * PARTS
        sql = "SELECT part, bits FROM id_filters WHERE part >= ? AND part < ?"
        for part, bits in self._db.execute(sql, (first, last)):
            # The last bits of a half name the bit, so what a larger one says is what a smaller one says, repeated.
            if len(bits) >= least and size % len(bits) == 0:
                parts[part] = bytearray(bits * (size // len(bits)))
        lacking = [part for part in range(first, last) if parts[part] is None]
        if lacking:
            for part in lacking:
                parts[part] = bytearray(size)
            self._fill(parts, lacking[0], lacking[-1] + 1, KEPT)
        return parts

    def keep(self, low: int, high: int, run: bytes, indexed: int) -> None:
        """Write into `id_filters` that the levels `KEPT` hold a run, of hashes from `low` on and below `high`.

        The runs hold `indexed` ids in all, these among them.
        """
        first, last = low >> _SHIFT, (high - 1 >> _SHIFT) + 1
        size = _size(indexed)
        parts = self._kept(first, last, size, least=size)
        fill_parts(parts, run)
        rows = [(part, parts[part]) for part in range(first, last)]
        self._db.executemany("INSERT OR REPLACE INTO id_filters VALUES (?, ?)", rows)
