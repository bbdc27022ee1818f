"""Finds the position of an event id, at a cost that hardly grows with the log.

Ids come in no order: in a B-tree of their own each would change another page, and that would cost more than all
the rest of an append. So the ids of the last appends are only kept in memory (they are in the events too), and a
while longer there than they must be, for the events that name them as their cause. From time to time they go,
sorted, into the log as a run (`eventstore._runs`). New ids are hardly ever looked for there: see `eventstore._filter`.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from eventstore._filter import KEPT, IdFilter
from eventstore._runs import ITEM, Runs, pack_ids
from eventstore.chain import CAUSE_WINDOW
from eventstore.errors import StoreCorrupt
from eventstore.ids import hash_ids, id_bytes, id_text

__all__ = ["STEP", "IdIndex"]

STEP: Final = 4096
"""Ids that go from memory into a run."""
_AT_A_TIME: Final = 65_536


class IdIndex:
    """Where event ids are recorded, up to what the last `load` saw and what `tail` was given since."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self.tail: dict[str, int] = {}
        """The positions of the last ids: of all that are in no run, and of the last `CAUSE_WINDOW`."""
        self.fresh: list[bytes] = []
        """Ids that are in no run yet, in the order of their positions."""
        self.indexed = 0
        """The runs hold all ids up to this position."""
        self._runs = Runs(connection)
        self._filter = IdFilter(connection, self._runs)

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
        row = self._db.execute("SELECT indexed FROM id_progress").fetchone()
        if row is None:
            raise StoreCorrupt("The log does not say which ids are in its runs.", remedy="Restore a backup.")
        (self.indexed,) = row

    def _catch_up(self, known: int, indexed: int) -> None:
        """Others have taken the ids after `known` up to `indexed` into runs."""
        for start in range(known, indexed, _AT_A_TIME):
            sql = "SELECT event_id FROM events WHERE position > ? AND position <= ?"
            end = min(start + _AT_A_TIME, indexed)
            ids = [raw for (raw,) in self._db.execute(sql, (start, end))]
            if any(len(raw) != 16 for raw in ids):
                raise StoreCorrupt(f"Behind position {start} an event has no id.", remedy="Restore a backup.")
            self._filter.add(pack_ids(ids, start + 1), indexed)

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
        """The position of an id, in the tail or in a run."""
        position = self.tail.get(event_id)
        if position is not None or not self.indexed:
            return position
        raw = id_bytes(event_id)
        assert raw is not None
        (hashed,) = hash_ids((raw,))
        for position in self._runs.find(hashed):
            sql = "SELECT event_id FROM events WHERE position = ?"
            if self._db.execute(sql, (position,)).fetchone() == (raw,):
                return position
        return None

    def undo(self, ids: Sequence[str]) -> None:
        """Forget the last ones, which were not recorded."""
        del self.fresh[len(self.fresh) - len(ids) :]
        for event_id in ids:
            self.tail.pop(event_id, None)

    def any_known(self, ids: Sequence[bytes]) -> bool:
        """False if the runs surely know none of these; for any thread that owns the connection."""
        suspects = self._filter.suspects(ids)
        if not suspects:
            return False
        with self._one_view():
            left = self._filter.reconsidered(suspects)
            return any(next(self._runs.find(hashed), None) is not None for hashed in left)

    @contextmanager
    def _one_view(self) -> Iterator[None]:
        """One transaction for many questions: to begin and end one costs as much as a question."""
        mine = not self._db.in_transaction
        if mine:
            self._db.execute("BEGIN")
        try:
            yield
        finally:
            if mine and self._db.in_transaction:
                self._db.execute("COMMIT")

    def due(self, head: int) -> bytes | None:
        """The run that `merge` is to be given, if it is time: of the first ids that are in none, up to `head`."""
        if len(self.fresh) < STEP or head < self.indexed + STEP:
            return None
        return pack_ids(self.fresh[:STEP], self.indexed + 1)

    def merge(self, run: bytes) -> int:
        """Take a run into the log, in a transaction of its own; for any thread that owns the connection.

        Returns up to where they reach then, for `merged`. Nothing is done if another process has done so. Raises
        `sqlite3.Error`, and then nothing is changed.
        """
        db, known, taken = self._db, self.indexed, len(run) // ITEM
        db.execute("BEGIN IMMEDIATE")
        try:
            (indexed,) = db.execute("SELECT indexed FROM id_progress").fetchone()
            if indexed == known:
                indexed += taken
                self._runs.add(run)
                merged = self._runs.merge()
                if merged is not None and merged.level == KEPT.start:
                    self._filter.keep(merged.low, merged.high, merged.ids, indexed)
                db.execute("UPDATE id_progress SET indexed = ?", (indexed,))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        if indexed == known + taken:
            self._filter.add(run, indexed, first=not known)
        else:
            self._catch_up(known, indexed)
        return int(indexed)

    def merged(self, indexed: int) -> None:
        """Forget what went into a run."""
        del self.fresh[: indexed - self.indexed]
        self.indexed = indexed
        self._forget_old()

    def _forget_old(self) -> None:
        old = self.indexed - CAUSE_WINDOW
        self.tail = {event_id: n for event_id, n in self.tail.items() if n > old}
