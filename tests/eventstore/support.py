"""What the store's tests share."""

import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from eventstore import RecordedEvent, SqliteStore
from eventstore._schema import PAGE_BYTES
from eventstore.contract import collect, events, mark, new, refused

__all__ = ["collect", "events", "leave_room", "lose_page", "mark", "new", "raw", "refused", "survived"]


def raw(path: Path) -> sqlite3.Connection:
    """The log as any program with SQLite sees it."""
    return sqlite3.connect(path, isolation_level=None)


def leave_room(disk: Path, size: int) -> None:
    """Fill a disk up to so many bytes."""
    found = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(found.f_bavail * found.f_frsize - size))


def lose_page(path: Path, data: bytes) -> bytes:
    """Overwrite the first page that holds `data` with zeros; what it held."""
    whole = bytearray(path.read_bytes())
    start = whole.index(data) // PAGE_BYTES * PAGE_BYTES
    lost = bytes(whole[start : start + PAGE_BYTES])
    whole[start : start + PAGE_BYTES] = bytes(PAGE_BYTES)
    path.write_bytes(whole)
    return lost


async def survived(
    store: SqliteStore, acknowledged: Iterable[tuple[int, Sequence[str]]]
) -> tuple[list[RecordedEvent], int]:
    """The log after a crash of writers of three events each, and how many acknowledged appends it lacks.

    `acknowledged`: first position and ids. Whatever it lacks, it must be whole in every other respect.
    """
    log = await collect(store.read_all())
    assert [event.position for event in log] == list(range(1, len(log) + 1))
    lost = 0
    for first, ids in acknowledged:
        there = [event.event_id for event in log[first - 1 : first + 2]]
        assert there in (list(ids), []), "an append is half there, or somewhere else"
        lost += not there
    for name in {event.stream for event in log}:
        assert sum(event.stream == name for event in log) % 3 == 0, "an append is half there"
    assert (await store.verify()).ok
    assert await store.check_file() == ()
    return log, lost
