"""Records events once more in a new log, as they were: in their order, at their times and versions."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from itertools import groupby, islice
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from eventstore._ledger import Ledger
from eventstore._plan import Answer, Request
from eventstore._schema import connect_writer
from eventstore.checks import check_append
from eventstore.model import NewEvent

__all__ = ["Place", "refill"]

_T = TypeVar("_T")

_BATCH: Final = 1000


class Place(Struct, frozen=True):
    """An event, and where and when it was recorded."""

    event: NewEvent
    stream: str
    version: int
    recorded_at_ms: int


def refill(
    path: Path, items: Iterable[_T], place: Callable[[_T], Place]
) -> Generator[tuple[list[_T], Sequence[Answer], Ledger], None, None]:
    """Record every item in the new log at `path`, some at a time; what was recorded last, and how that went.

    Close it: it has the log open. Once it has ended the file holds all of it. Raises `sqlite3.Error`.
    """
    now_ms = 0
    with closing(Ledger(connect_writer(path, "OFF", 0.0), 0.0, lambda: now_ms)) as ledger:
        placed = ((place(item), item) for item in items)
        # One batch is stamped with one time.
        for time_ms, same in groupby(placed, key=lambda one: one[0].recorded_at_ms):
            now_ms = time_ms
            while batch := list(islice(same, _BATCH)):
                answers = ledger.apply([_request(one) for one, _ in batch], wait=False)
                ledger.commit()
                while step := ledger.ids.due(ledger.head):
                    ledger.ids.merged(ledger.ids.merge(step))
                yield [item for _, item in batch], answers, ledger
        # Closing does so too, but says nothing where there is no room: a part would be left in the WAL.
        ledger.checkpoint_wal()


def _request(one: Place) -> Request:
    ids = check_append(one.stream, (one.event,), one.version - 1, None)
    return Request(one.stream, (one.event,), ids, one.version - 1)
