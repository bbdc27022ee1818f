"""The write-ahead log stays bounded, whoever reads."""

import sqlite3
import threading
from pathlib import Path

from eventstore import SqliteStore
from tests.eventstore.support import collect, events, new, raw

MIB = 1024 * 1024


def read_all_the_time(path: Path, stop: threading.Event) -> None:
    """Scans of some megabytes, one after the other, each in one transaction."""
    reader = raw(path)
    while not stop.is_set():
        reader.execute("SELECT sum(length(hex(data))) FROM events WHERE position < 6").fetchone()
    reader.close()


async def test_the_wal_stays_bounded_under_constant_readers(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    stop = threading.Event()
    readers = [threading.Thread(target=read_all_the_time, args=(path, stop)) for _ in range(3)]
    async with SqliteStore.open(path, synchronous="OFF") as store:
        await store.append("job-a", [new(b"x" * (4 * MIB))])
        for reader in readers:
            reader.start()
        try:
            largest = 0
            for _ in range(100):
                await store.append("job-a", [new(b"x" * MIB)])
                largest = max(largest, path.with_name("log.db-wal").stat().st_size)
        finally:
            stop.set()
            for reader in readers:
                reader.join()
        assert largest < 80 * MIB, "more than 100 MiB were written"
        assert (await store.verify()).ok


async def test_the_wal_is_moved_into_the_log_while_appends_go_on(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path, synchronous="OFF") as store:
        for _ in range(60):
            await store.append("job-a", [new(b"x" * 400_000)])
        assert path.with_name("log.db-wal").stat().st_size < 12 * MIB
        assert path.stat().st_size > 12 * MIB
        assert len(await collect(store.read("job-a"))) == 60


async def test_a_reader_that_never_ends_lets_appends_go_on(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path, synchronous="OFF") as store:
        await store.append("job-a", events(1))
        held: sqlite3.Connection = raw(path)
        held.execute("BEGIN")
        assert held.execute("SELECT count(*) FROM events").fetchone() == (1,)
        for _ in range(60):
            await store.append("job-a", [new(b"x" * 400_000)])
        assert held.execute("SELECT count(*) FROM events").fetchone() == (1,)
        held.close()
        assert await store.head() == 61
    assert not path.with_name("log.db-wal").exists()
