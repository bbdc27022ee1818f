"""dbos on SQLite: a step is its durable unit, a workflow with many of them its stream."""

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy
from dbos import DBOS

from bench.log.events import ENCODE, event
from bench.log.subject import NotOffered, Subject

PACE_S = 0.002
POLL_S = 0.001
"""The least that dbos allows its queues to poll at; its default, 1 s, is not for this."""


class _Run:
    """What the workflows of this process are to do, and what they did."""

    until = 0.0
    start_line = threading.Barrier(1)
    counts: ClassVar[list[int]] = []
    ended = 0.0
    handled = 0.0
    seen = threading.Event()


@DBOS.step()
def step(number: int) -> str:
    """One event: its result is what is stored."""
    return ENCODE(event(number)).decode()


@DBOS.workflow()
def write(writer: int) -> None:
    """One writer: a step after the other until time is up."""
    step(0)
    _Run.start_line.wait()
    done = 0
    while time.perf_counter() < _Run.until:
        step(done)
        done += 1
    _Run.counts[writer] = done


@DBOS.workflow()
def many(count: int) -> None:
    """A workflow of so many steps; replayed it takes them from the log."""
    start = time.perf_counter()
    for number in range(count):
        step(number)
    _Run.ended = time.perf_counter() - start


@DBOS.workflow()
def handle(payload: str) -> None:
    """The handler of a queue."""
    _Run.handled = time.perf_counter()
    _Run.seen.set()


@contextmanager
def launched(folder: Path, synchronous: str) -> Iterator[None]:
    """dbos on a file in WAL mode with that durability."""
    logging.getLogger("dbos").setLevel(logging.ERROR)
    path = folder / "dbos.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "connect")
    def durable(connection: Any, record: Any) -> None:
        connection.execute(f"PRAGMA synchronous = {synchronous}")

    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{path}",
            "log_level": "ERROR",
            "application_version": "bench",
            "executor_id": "bench",
        }
    )
    DBOS.launch()
    try:
        yield
    finally:
        DBOS.destroy()


class Dbos(Subject):
    """dbos steps (SQLite)."""

    title = "dbos steps (SQLite)"
    distribution = "dbos"
    fill_share = 0.01

    def append(self, folder: Path, writers: int, synchronous: str, seconds: float) -> float:
        with launched(folder, synchronous):
            _Run.counts = [0] * writers
            _Run.until = time.perf_counter() + 3600
            _Run.start_line = threading.Barrier(writers + 1)
            handles = [DBOS.start_workflow(write, writer) for writer in range(writers)]
            _Run.start_line.wait()
            start = time.perf_counter()
            _Run.until = start + seconds
            for waiting in handles:
                waiting.get_result(polling_interval_sec=0.01)
            return sum(_Run.counts) / (time.perf_counter() - start)

    def fill(self, folder: Path, count: int) -> int:
        with launched(folder, "OFF"):
            made = DBOS.start_workflow(many, count)
            made.get_result()
            (folder / "workflow").write_text(made.workflow_id)
        return sum(len(ENCODE(event(number))) for number in range(count))

    def replay(self, folder: Path, count: int) -> dict[str, float]:
        with launched(folder, "OFF"):
            workflow = (folder / "workflow").read_text()
            DBOS.fork_workflow(workflow, count + 1).get_result()
            return {"decode": count / _Run.ended}

    def delivery(self, folder: Path, synchronous: str, count: int, busy: bool) -> dict[str, list[float]]:
        if busy:
            raise NotOffered("not on the loop")
        delays: list[float] = []
        with launched(folder, synchronous):
            queue = DBOS.register_queue("bench", polling_interval_sec=POLL_S)
            for number in range(count + 1):
                time.sleep(PACE_S)
                _Run.seen.clear()
                begun = time.perf_counter()
                queue.enqueue(handle, ENCODE(event(number)).decode())
                assert _Run.seen.wait(30), "no event came"
                if number:
                    delays.append((_Run.handled - begun) * 1000)
        return {"dbos": delays}
