"""Tells from memory that an id is new, as nearly all are that are appended: a Bloom filter of the ids in the tables.

It is cut by the first bits of the folds into parts, and each is made when it is first asked. Most of one is ready in
the table `id_filters`, which says the same of `older_ids`; a row that is missing there only costs time.

Bloom, "Space/time trade-offs in hash coding with allowable errors", CACM 13 (1970): with two bits set for an id, and 8
to 16 bits there for each, 5 to 1 % of new ids are taken for ones that may be known.
"""

import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

from eventstore._compiled import native
from eventstore._scan import new_scan
from eventstore.errors import StoreCorrupt
from eventstore.ids import fold_ids

__all__ = [
    "PARTS",
    "IdFilter",
    "fill_parts",
    "folds_of",
    "holds",
    "may_hold",
    "plain_fill_parts",
    "plain_may_hold",
]

_SHIFT: Final = 36
"""Of a fold's 47 bits: those above name the part, two halves of those below a bit in it."""
PARTS: Final = 1 << 47 - _SHIFT
_HALF: Final = _SHIFT // 2
_TOGETHER: Final = 64
"""Parts that are made at a time, in a few milliseconds; fewer at first, for whoever appends once and closes."""
_LEAST_BYTES, _MOST_BYTES = 256, 16 * 1024
"""Of a part. Half a megabyte in all, good for as many ids; and 32 MiB, beyond which more new ids are looked for."""


def plain_fill_parts(parts: list[bytearray | None], folds: Sequence[int]) -> None:
    """`fill_parts` in Python."""
    for fold in folds:
        bits = parts[fold >> _SHIFT]
        if bits is not None:
            mask = 8 * len(bits) - 1
            for bit in (fold & mask, fold >> _HALF & mask):
                bits[bit >> 3] |= 1 << (bit & 7)


def holds(bits: bytes | bytearray, fold: int) -> bool:
    """False if the fold is surely none of those of which the part's bits were made."""
    mask = 8 * len(bits) - 1
    one, other = fold & mask, fold >> _HALF & mask
    return bool(bits[one >> 3] >> (one & 7) & bits[other >> 3] >> (other & 7) & 1)


def folds_of(part: int) -> tuple[int, int]:
    """The first fold of a part, and the first one beyond it."""
    return part << _SHIFT, (part + 1) << _SHIFT


def plain_may_hold(parts: list[bytearray | None], ids: Sequence[bytes]) -> list[int]:
    """`may_hold` in Python."""
    found = []
    for fold in fold_ids(ids):
        bits = parts[fold >> _SHIFT]
        if bits is None or holds(bits, fold):
            found.append(fold)
    return found


fill_parts: Final[Callable[[list[bytearray | None], Sequence[int]], None]] = (
    plain_fill_parts if native is None else native.fill_parts
)
"""Set the bits of some folds, in those parts that are there; a part's size in bytes is a power of two."""
may_hold: Final[Callable[[list[bytearray | None], Sequence[bytes]], list[int]]] = (
    plain_may_hold if native is None else native.may_hold
)
"""The folds of those ids that may be known; what is in a part that is not there may be."""


def _size(ids: int) -> int:
    """Bytes of a part for so many ids in all."""
    wanted = max(_LEAST_BYTES, min(_MOST_BYTES, ids // PARTS + 1))
    return 1 << (wanted - 1).bit_length()


class IdFilter:
    """For whoever owns the connection; may know an id that no table knows, never the other way round."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._parts: list[bytearray | None] = []
        self._bytes = 0
        """Of each part."""
        self._together = 1

    def begin(self, indexed: int) -> None:
        """The tables hold so many ids; which ones is not known here."""
        self._parts = [None] * PARTS if indexed else []
        self._bytes = _size(indexed)

    def add(self, folds: Sequence[int], indexed: int) -> None:
        """The tables hold these as well, and `indexed` in all."""
        if folds and indexed == len(folds):
            # The first ones: what the parts are made of is known.
            self._bytes = _size(indexed)
            self._parts = [bytearray(self._bytes) for _ in range(PARTS)]
        elif _size(indexed) > self._bytes:
            self.begin(indexed)
        if self._parts:
            fill_parts(self._parts, folds)

    def suspects(self, ids: Sequence[bytes]) -> list[int]:
        """The folds of those of the ids that have to be looked for. Raises `sqlite3.Error`."""
        if not self._parts:
            return []
        found = may_hold(self._parts, ids)
        for fold in found:
            if self._parts[fold >> _SHIFT] is None:
                self._load(fold >> _SHIFT)
        return [fold for fold in found if (bits := self._parts[fold >> _SHIFT]) is None or holds(bits, fold)]

    def _load(self, part: int) -> None:
        """Make a part, and some that lie beside it, which takes hardly longer."""
        first = part // self._together * self._together
        last = first + self._together
        self._together = min(_TOGETHER, 2 * self._together)
        parts = self._older(first, last)
        for table in ("recent_ids", "middle_ids"):
            fill_parts(parts, self._folds(table, first, last))
        self._parts[first:last] = parts[first:last]

    def _older(self, first: int, last: int) -> list[bytearray | None]:
        """Of the parts from `first` on and below `last` what `older_ids` holds; the others are not there."""
        parts: list[bytearray | None] = [None] * PARTS
        sql = "SELECT part, bits FROM id_filters WHERE part >= ? AND part < ?"
        for part, bits in self._db.execute(sql, (first, last)):
            # The last bits of a half name the bit, so what a larger one says is what a smaller one says, repeated.
            if bits and self._bytes % len(bits) == 0:
                parts[part] = bytearray(bits * (self._bytes // len(bits)))
        for part in range(first, last):
            if parts[part] is None:
                parts[part] = bytearray(self._bytes)
                fill_parts(parts, self._folds("older_ids", part, part + 1))
        return parts

    def _folds(self, table: str, first: int, last: int) -> list[int]:
        sql = f"SELECT fold FROM {table} WHERE fold >= ? AND fold < ?"  # noqa: S608
        with closing(new_scan(self._db, sql)) as scan:
            (folds,), left = scan.fetch((first << _SHIFT, last << _SHIFT), sys.maxsize)
        if left:
            raise StoreCorrupt(f"{table} cannot be read to its end.", remedy="Restore a backup.")
        return folds

    def keep(self, folds: Sequence[int], older: int) -> None:
        """Write into `id_filters` that `older_ids` holds these as well, in order, and `older` in all."""
        wanted = dict.fromkeys(fold >> _SHIFT for fold in folds)
        parts: list[bytearray | None] = [None] * PARTS
        for part in wanted:
            row = self._db.execute("SELECT bits FROM id_filters WHERE part = ?", (part,)).fetchone()
            if row is not None and len(row[0]) == _size(older):
                parts[part] = bytearray(row[0])
        fill_parts(parts, folds)
        for part in wanted:
            if parts[part] is None:
                parts[part] = bytearray(_size(older))
                fill_parts(parts, self._folds("older_ids", part, part + 1))
        rows = [(part, parts[part]) for part in wanted]
        self._db.executemany("INSERT OR REPLACE INTO id_filters VALUES (?, ?)", rows)
