"""Finds the position of an event id, at a cost that does not grow with the log.

Ids come in no order: in a B-tree of their own each would change another page, and that would cost more than all
the rest of an append. So the ids of the last appends are only kept in memory (they are in the events too), and a
while longer there than they must be, for the events that name them as their cause. From time to time they go,
sorted, into the table `recent_ids`; once that is large, each time a part of it, a range of ids, goes on into
`middle_ids`, and from there into `older_ids`. Each step changes far fewer pages than it moves ids.

New ids are hardly ever looked for in the tables: see `eventstore._filter`.
"""

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Final

from eventstore._filter import IdFilter
from eventstore._statements import pieces
from eventstore.chain import CAUSE_WINDOW
from eventstore.errors import StoreCorrupt
from eventstore.ids import fold_ids, id_bytes, id_text

__all__ = ["STEP", "TABLES", "IdIndex"]

TABLES: Final = ("recent_ids", "middle_ids", "older_ids")
"""The way of an id."""

STEP: Final = 4096
"""Ids that go from memory into a table at a time."""
_RECENT, _MIDDLE = 32 * 1024, 512 * 1024
"""Ids that `recent_ids` and `middle_ids` hold before they pass some on."""
_WIDTH: Final = 16
_ANY_KNOWN: Final = [
    f"SELECT EXISTS (SELECT 1 FROM {table} WHERE fold IN ({','.join('?' * _WIDTH)}))"  # noqa: S608
    for table in TABLES
]
_INSERTS: Final = {
    width: f"INSERT INTO recent_ids VALUES {','.join(['(?,?)'] * width)}"  # noqa: S608
    for width in (1024, 128, 16, 1)
}
_POSITIONS: Final = " UNION ALL ".join(f"SELECT position FROM {table} WHERE fold = ?" for table in TABLES)  # noqa: S608


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
        self._filter = IdFilter(connection)

    def load(self, head: int) -> None:
        """Look into the log anew; it ends at `head`."""
        self._look()
        self._filter.begin(self.indexed)
        self.tail, self.fresh = {}, []
        self._add(min(self.indexed, max(0, head - CAUSE_WINDOW)))

    def follow(self, head: int) -> None:
        """See what others have recorded after `head`, up to which all was known."""
        known = self.indexed
        self._look()
        if self.indexed > known:
            self._catch_up(known, self.indexed)
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

    def _catch_up(self, known: int, indexed: int) -> None:
        """Others have taken the ids after `known` up to `indexed` into the tables."""
        sql = "SELECT event_id FROM events WHERE position > ? AND position <= ?"
        ids = [raw for (raw,) in self._db.execute(sql, (known, indexed))]
        if any(len(raw) != 16 for raw in ids):
            raise StoreCorrupt(f"Behind position {known} an event has no id.", remedy="Restore a backup.")
        self._filter.add(fold_ids(ids), indexed)

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
        for (position,) in self._db.execute(_POSITIONS, len(TABLES) * fold_ids((raw,))).fetchall():
            sql = "SELECT event_id FROM events WHERE position = ?"
            if self._db.execute(sql, (position,)).fetchone() == (raw,):
                return int(position)
        return None

    def undo(self, ids: Sequence[str]) -> None:
        """Forget the last ones, which were not recorded."""
        del self.fresh[len(self.fresh) - len(ids) :]
        for event_id in ids:
            self.tail.pop(event_id, None)

    def any_known(self, ids: Sequence[bytes]) -> bool:
        """False if the tables surely know none of these; for any thread that owns the connection."""
        folds = self._filter.suspects(ids)
        # The last one again and again, until one statement takes them all.
        folds += folds[-1:] * (-len(folds) % _WIDTH)
        for start in range(0, len(folds), _WIDTH):
            for sql in _ANY_KNOWN:
                if self._db.execute(sql, folds[start : start + _WIDTH]).fetchone()[0]:
                    return True
        return False

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
        db, known, taken = self._db, self.indexed, len(step) // 2
        db.execute("BEGIN IMMEDIATE")
        try:
            indexed, recent, moved = db.execute("SELECT indexed, recent, moved FROM id_index").fetchone()
            if indexed == known:
                for width, part in pieces(taken, _INSERTS):
                    db.execute(_INSERTS[width], step[2 * part.start : 2 * part.stop])
                indexed += taken
                recent += taken
                middle, passed = db.execute("SELECT middle, moved FROM middle_index").fetchone()
                # Twice where the first range was the last of the ring, and short.
                for _ in range(2):
                    if recent > _RECENT:
                        moved, folds = self._move("recent_ids", "middle_ids", moved)
                        recent, middle = recent - len(folds), middle + len(folds)
                    if middle > _MIDDLE:
                        passed, folds = self._move("middle_ids", "older_ids", passed)
                        middle -= len(folds)
                        self._filter.keep(folds, indexed - recent - middle)
                db.execute("UPDATE id_index SET indexed = ?, recent = ?, moved = ?", (indexed, recent, moved))
                db.execute("UPDATE middle_index SET middle = ?, moved = ?", (middle, passed))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        if indexed == known + taken:
            self._filter.add(step[::2], indexed)
        else:
            self._catch_up(known, indexed)
        return int(indexed)

    def merged(self, indexed: int) -> None:
        """Forget what went into the tables."""
        del self.fresh[: indexed - self.indexed]
        self.indexed = indexed
        self._forget_old()

    def _forget_old(self) -> None:
        old = self.indexed - CAUSE_WINDOW
        self.tail = {event_id: n for event_id, n in self.tail.items() if n > old}

    def _move(self, source: str, target: str, start: int) -> tuple[int, list[int]]:
        """Pass on a range of ids from `start` on; where the next one starts, and their folds in order."""
        db = self._db
        # Up to a fold beyond the step's last one, so that a range is never empty, however many share a fold.
        row = db.execute(
            f"SELECT fold FROM {source} WHERE fold >"  # noqa: S608
            f" (SELECT fold FROM {source} WHERE fold >= ? ORDER BY fold LIMIT 1 OFFSET ?) ORDER BY fold LIMIT 1",
            (start, STEP - 1),
        ).fetchone()
        where, values, end = "fold >= ?", [start], 0
        if row is not None:
            end = row[0]
            where, values = "fold >= ? AND fold < ?", [start, end]
        sql = f"SELECT fold FROM {source} WHERE {where} ORDER BY fold"  # noqa: S608
        folds = [fold for (fold,) in db.execute(sql, values)]
        sql = f"INSERT INTO {target} SELECT fold, position FROM {source} WHERE {where} ORDER BY fold"  # noqa: S608
        db.execute(sql, values)
        db.execute(f"DELETE FROM {source} WHERE {where}", values)  # noqa: S608
        return end, folds
