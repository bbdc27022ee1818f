"""Finds the position of an event id, at a cost that does not grow with the log.

Ids come in no order: in a B-tree of their own each would change another page, and that would cost more than all
the rest of an append. So the ids of the last appends are only kept in memory (they are in the events too), and a
while longer there than they must be, for the events that name them as their cause. From time to time they go,
sorted, into the table `recent_ids`; once that is large, each time a part of it, a range of ids, goes on into
`older_ids`. Each step changes far fewer pages than it moves ids.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from struct import unpack
from typing import Final

from eventstore._statements import pieces
from eventstore.chain import CAUSE_WINDOW
from eventstore.errors import StoreCorrupt
from eventstore.ids import id_bytes, id_text

__all__ = ["STEP", "IdIndex", "fold_ids"]

STEP: Final = 4096
"""Ids that go from memory into a table at a time."""
_RECENT: Final = 128 * 1024
"""Ids that `recent_ids` holds before it passes some on."""
_WIDTHS: Final = (128, 32, 8, 1)
_FOLD: Final = 2**47 - 1
"""The most that SQLite keeps in 6 bytes."""


def _any_known(width: int, table: str) -> str:
    marks = ",".join("?" * width)
    return f"SELECT EXISTS (SELECT 1 FROM {table} WHERE fold IN ({marks}))"  # noqa: S608


_ANY_KNOWN: Final = {
    table: {width: _any_known(width, table) for width in _WIDTHS} for table in ("recent_ids", "older_ids")
}
_INSERTS: Final = {
    width: f"INSERT INTO recent_ids VALUES {','.join(['(?,?)'] * width)}"  # noqa: S608
    for width in (1024, 128, 16, 1)
}
_POSITIONS: Final = (
    "SELECT position FROM recent_ids WHERE fold = ? UNION ALL SELECT position FROM older_ids WHERE fold = ?"
)


def fold_ids(ids: Sequence[bytes]) -> list[int]:
    """One number of 47 bits for each id of 16 bytes; different ids may share one, but hardly do."""
    halves = unpack(f">{2 * len(ids)}Q", b"".join(ids))
    return [(first ^ last) & _FOLD for first, last in zip(halves[::2], halves[1::2], strict=True)]


class IdIndex:
    """Where event ids are recorded, up to what the last `load` saw and what `tail` was given since."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.tail: dict[str, int] = {}
        """The positions of the last ids: of all that are not in the tables, and of the last `CAUSE_WINDOW`."""
        self.fresh: list[bytes] = []
        """Ids that are not in the tables yet, in the order of their positions."""
        self.indexed = 0
        """The tables hold all ids up to this position."""
        self.tables: tuple[str, ...] = ()
        """Those that hold any."""

    def load(self, head: int) -> None:
        """Look into the log anew; it ends at `head`."""
        self._look()
        self.tail, self.fresh = {}, []
        self._add(min(self.indexed, max(0, head - CAUSE_WINDOW)))

    def follow(self, head: int) -> None:
        """See what others have recorded after `head`, up to which all was known."""
        known = self.indexed
        self._look()
        del self.fresh[: self.indexed - known]
        self._add(head)
        self._forget_old()

    def _look(self) -> None:
        row = self._db.execute("SELECT indexed FROM id_index").fetchone()
        if row is None:
            raise StoreCorrupt(
                "The log does not say which ids are in its tables.", remedy="Restore a backup."
            )
        (self.indexed,) = row
        self._choose_tables()

    def _add(self, after: int) -> None:
        sql = "SELECT event_id, position FROM events WHERE position > ? ORDER BY position"
        for raw, position in self._db.execute(sql, (after,)).fetchall():
            try:
                self.tail[id_text(raw)] = position
            except (TypeError, ValueError) as error:
                raise StoreCorrupt(
                    f"Position {position} has no id: {error}.", remedy="Restore a backup."
                ) from error
            if position > self.indexed:
                self.fresh.append(raw)

    def find(self, event_id: str) -> int | None:
        """The position of an id, in the tail or in the tables."""
        position = self.tail.get(event_id)
        if position is not None or not self.indexed:
            return position
        raw = id_bytes(event_id)
        assert raw is not None
        for (position,) in self._db.execute(_POSITIONS, 2 * fold_ids((raw,))).fetchall():
            sql = "SELECT event_id FROM events WHERE position = ?"
            if self._db.execute(sql, (position,)).fetchone() == (raw,):
                return int(position)
        return None

    def undo(self, ids: Sequence[str]) -> None:
        """Forget the last ones, which were not recorded."""
        del self.fresh[len(self.fresh) - len(ids) :]
        for event_id in ids:
            self.tail.pop(event_id, None)

    def any_known(self, folds: Sequence[int]) -> bool:
        """False if the tables surely know none of these; for any thread that owns the connection."""
        for width, part in pieces(len(folds), _WIDTHS):
            for table in self.tables:
                if self._db.execute(_ANY_KNOWN[table][width], folds[part]).fetchone()[0]:
                    return True
        return False

    def _choose_tables(self) -> None:
        if self.indexed <= _RECENT:
            # Nothing was passed on yet.
            self.tables = ("recent_ids",) if self.indexed else ()
        else:
            self.tables = ("recent_ids", "older_ids")

    def due(self, head: int) -> list[int] | None:
        """What `merge` is to be given, if it is time: folds and positions in turn, of a step up to `head`."""
        if len(self.fresh) < STEP or head < self.indexed + STEP:
            return None
        pairs = sorted(zip(fold_ids(self.fresh[:STEP]), range(self.indexed + 1, head + 1), strict=False))
        return list(chain.from_iterable(pairs))

    def merge(self, step: list[int]) -> int:
        """Take a step into the tables, in a transaction of its own; for any thread that owns the connection.

        Returns up to where they reach then, for `merged`. Nothing is done if another process has done so. Raises
        `sqlite3.Error`, and then nothing is changed.
        """
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            indexed, recent, moved = db.execute("SELECT indexed, recent, moved FROM id_index").fetchone()
            if indexed == self.indexed:
                for width, part in pieces(len(step) // 2, _INSERTS):
                    db.execute(_INSERTS[width], step[2 * part.start : 2 * part.stop])
                indexed += len(step) // 2
                recent += len(step) // 2
                # Twice where the first range was the last of the ring, and short.
                while recent > _RECENT:
                    moved, count = self._move(moved)
                    recent -= count
                sql = "UPDATE id_index SET indexed = ?, recent = ?, moved = ?"
                db.execute(sql, (indexed, recent, moved))
            db.execute("COMMIT")
            return int(indexed)
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def merged(self, indexed: int) -> None:
        """Forget what went into the tables."""
        del self.fresh[: indexed - self.indexed]
        self.indexed = indexed
        self._choose_tables()
        self._forget_old()

    def _forget_old(self) -> None:
        old = self.indexed - CAUSE_WINDOW
        self.tail = {event_id: n for event_id, n in self.tail.items() if n > old}

    def _move(self, start: int) -> tuple[int, int]:
        """Pass on a range of ids from `start` on; where the next one starts, and how many they were."""
        db = self._db
        # Up to a fold beyond the step's last one, so that a range is never empty, however many share a fold.
        row = db.execute(
            "SELECT fold FROM recent_ids WHERE fold >"
            " (SELECT fold FROM recent_ids WHERE fold >= ? ORDER BY fold LIMIT 1 OFFSET ?) ORDER BY fold LIMIT 1",
            (start, STEP - 1),
        ).fetchone()
        where, values, end = "fold >= ?", [start], 0
        if row is not None:
            end = row[0]
            where, values = "fold >= ? AND fold < ?", [start, end]
        moved = db.execute(
            f"INSERT INTO older_ids SELECT fold, position FROM recent_ids WHERE {where} ORDER BY fold",  # noqa: S608
            values,
        ).rowcount
        db.execute(f"DELETE FROM recent_ids WHERE {where}", values)  # noqa: S608
        return end, moved
