"""The read models in a simulation: folded piece by piece while things happen, as the daemon's are."""

import random
import sqlite3
from typing import TYPE_CHECKING, Any

from caf.daemon.dispatcher import Due
from caf.daemon.service import UNFINISHED
from caf.log import Entry
from caf.projections.rows import Changes, Item, RowCache
from caf.projections.tables import dump, make

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

__all__ = ["LiveRows", "rebuilt"]

ENDED = ("completed", "cancelled", "aborted")


class LiveRows:
    """Rows that grow with the log."""

    def __init__(self, *, fresh: bool = False) -> None:
        """`fresh`: as a rebuild does, which keeps the rows that it has touched lately."""
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        self._db.execute("BEGIN")
        make(self._db)
        self._rows = RowCache(self._db) if fresh else None
        self._position = 0

    def catch_up(self, simulation: "Simulation", chance: random.Random | None = None) -> None:
        """Fold what is new; `chance`: in pieces of random size."""
        entries = _since(simulation, self._position)
        while entries:
            count = chance.randint(1, 20) if chance else len(entries)
            piece, entries = entries[:count], entries[count:]
            rows, changes = self._rows or RowCache(self._db), Changes()
            rows.fold(map(_item, piece), changes)
            changes.write(self._db)
            rows.turn_over()
            self._position = piece[-1].recorded.position

    def unfinished(self, position: int) -> list[Due]:
        """What the daemon asks them at its start."""
        found = self._db.execute(UNFINISHED, (position,)).fetchall()
        return [
            Due(job_id=job_id, priority=priority, over=status in ENDED, position=at)
            for job_id, status, priority, at in found
        ]

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        return dump(self._db)


def rebuilt(simulation: "Simulation") -> dict[str, list[tuple[Any, ...]]]:
    """All rows, from nothing."""
    rows = LiveRows(fresh=True)
    rows.catch_up(simulation, random.Random(1))
    return rows.dump()


def _since(simulation: "Simulation", position: int) -> list[Entry]:
    entries = [
        entry
        for found in simulation.jobs().values()
        for entry in reversed(found)
        if entry.recorded.position > position
    ]
    return sorted(entries, key=lambda entry: entry.recorded.position)


def _item(entry: Entry) -> Item:
    at = entry.recorded
    return entry.event, at.position, at.stream, at.version, at.recorded_at_ms, at.event_id
