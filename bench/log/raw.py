"""The limit: sqlite3 without anything, one naive table with a unique text id, and nothing asked of it."""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from bench.log.events import DECODE, ENCODE, Fold, event, new_id, stream
from bench.log.subject import Subject

__all__ = ["Raw", "RawOne", "commit_one", "connect", "timed"]

NAIVE: Final = """CREATE TABLE events (position INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE,
stream TEXT NOT NULL, version INTEGER NOT NULL, type TEXT NOT NULL, data BLOB NOT NULL, UNIQUE (stream, version))"""
INSERT: Final = "INSERT INTO events (event_id, stream, version, type, data) VALUES (?, ?, ?, ?, ?)"


def connect(path: Path, synchronous: str) -> sqlite3.Connection:
    """A connection to a new database with the naive table."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(NAIVE)
    return connection


def commit_one(connection: sqlite3.Connection, stream_name: str, version: int) -> None:
    """One event in one transaction, encoding included."""
    made = event(version)
    row = (new_id(), stream_name, version, type(made).__name__, ENCODE(made))
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(INSERT, row)
    connection.execute("COMMIT")


class Raw(Subject):
    """raw sqlite3: one transaction for as many events as there are writers."""

    title = "raw sqlite3, batched by the writers"

    @classmethod
    def version(cls) -> str:
        return sqlite3.sqlite_version

    def append(self, folder: Path, writers: int, synchronous: str, seconds: float) -> float:
        with closing(connect(folder / "raw.db", synchronous)) as connection:
            version, count = 0, 0
            start = time.perf_counter()
            while time.perf_counter() - start < seconds:
                version += 1
                rows = []
                for writer in range(writers):
                    made = event(version + writer)
                    rows.append((new_id(), f"job-{writer}", version, type(made).__name__, ENCODE(made)))
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(INSERT, rows)
                connection.execute("COMMIT")
                count += writers
            return count / (time.perf_counter() - start)

    def fill(self, folder: Path, count: int) -> int:
        size = 0
        with closing(connect(folder / "raw.db", "OFF")) as connection:
            for start in range(0, count, 1000):
                rows = []
                for number in range(start, min(start + 1000, count)):
                    made = event(number)
                    data = ENCODE(made)
                    size += len(data)
                    rows.append((new_id(), stream(number), number, type(made).__name__, data))
                connection.execute("BEGIN")
                connection.executemany(INSERT, rows)
                connection.execute("COMMIT")
        return size

    def replay(self, folder: Path, count: int) -> dict[str, float]:
        with closing(sqlite3.connect(folder / "raw.db")) as connection:
            columns = "SELECT position, stream, version, type, data FROM events ORDER BY position"
            # The tag is in the data, so that position and data are all that decoding needs.
            least = "SELECT position, data FROM events ORDER BY position"

            def select() -> int:
                return sum(1 for _ in connection.execute(columns))

            def decode() -> int:
                return sum(1 for _, data in connection.execute(least) if DECODE(data))

            def dispatch() -> int:
                fold, number = Fold(), 0
                for _, data in connection.execute(least):
                    fold.apply(DECODE(data))
                    number += 1
                return number

            return {
                "select": timed(select, count),
                "decode": timed(decode, count),
                "dispatch": timed(dispatch, count),
            }


class RawOne(Raw):
    """raw sqlite3: a transaction for each event, however many wait."""

    title = "raw sqlite3, one commit each"

    def append(self, folder: Path, writers: int, synchronous: str, seconds: float) -> float:
        return super().append(folder, 1, synchronous, seconds)


def timed(work: Callable[[], int], count: int) -> float:
    """Events per second of work that says how many it did."""
    start = time.perf_counter()
    done = work()
    took = time.perf_counter() - start
    assert done == count, f"{done} events were read of {count}"
    return count / took
