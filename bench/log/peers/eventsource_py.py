"""eventsource-py's asyncio store on SQLite; events are Pydantic models, as it wants them."""

import asyncio
import sqlite3
import time
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

from eventsource.adapters.sqlite import SQLiteEventStore
from eventsource.domain import StreamId
from eventsource.domain.event import DomainEvent
from eventsource.domain.event_registry import EventRegistry
from eventsource.ports.positions import ExpectedVersion

from bench.log.events import PER_STREAM
from bench.log.subject import Subject, rate_of_tasks

_SHAS = ("ab" * 32, "cd" * 32, "ef" * 32)
_FACTS = {"frames": 300.0, "shift_px": 1.25, "rotation_deg": 0.031, "strength": 0.85}


class StageCompleted(DomainEvent):
    """About 400 bytes beyond what the library adds."""

    aggregate_type: str = "Job"
    stage: str
    attempt_id: str
    duration_ms: int
    engine: str
    artifacts: tuple[str, ...]
    facts: dict[str, float]


def _event(job: uuid.UUID, number: int) -> Any:
    return StageCompleted(
        aggregate_id=job,
        stage="motion",
        attempt_id="run-0001",
        duration_ms=number,
        engine="local 0.1.0",
        artifacts=_SHAS,
        facts=_FACTS,
    )


async def _store(folder: Path, synchronous: str) -> Any:
    registry = EventRegistry()
    registry.register(StageCompleted)
    store = SQLiteEventStore(str(folder / "es.db"), registry)
    connection = await store._conn()
    await connection.execute(f"PRAGMA synchronous = {synchronous}")
    return store


class EventSource(Subject):
    """eventsource-py (asyncio, SQLite)."""

    title = "eventsource-py (asyncio, SQLite)"
    distribution = "eventsource-py"
    fill_share = 0.1

    def append(self, folder: Path, writers: int, synchronous: str, seconds: float) -> float:
        async def run() -> float:
            store = await _store(folder, synchronous)
            jobs = [uuid.uuid4() for _ in range(writers)]

            async def write(writer: int, version: int) -> None:
                stream = StreamId(aggregate_id=jobs[writer], category="Job")
                made = _event(jobs[writer], version)
                await store.append(stream, [made], ExpectedVersion.exact(version))

            try:
                return await rate_of_tasks(writers, seconds, write)
            finally:
                await store.close()

        return asyncio.run(run())

    def fill(self, folder: Path, count: int) -> int:
        async def run() -> None:
            store = await _store(folder, "OFF")
            for start in range(0, count, PER_STREAM):
                job = uuid.uuid4()
                events = [_event(job, number) for number in range(start, min(start + PER_STREAM, count))]
                await store.append(
                    StreamId(aggregate_id=job, category="Job"), events, ExpectedVersion.no_stream()
                )
            await store.close()

        asyncio.run(run())
        # What it adds to an event is in the payload too: count only what was given to it.
        with closing(sqlite3.connect(folder / "es.db")) as connection:
            (rows,) = connection.execute("SELECT count(*) FROM events").fetchone()
        given = _event(uuid.uuid4(), 1).model_dump_json(include=set(StageCompleted.__annotations__))
        return int(rows) * len(given)

    def replay(self, folder: Path, count: int) -> dict[str, float]:
        async def run() -> float:
            store = await _store(folder, "OFF")
            start, number = time.perf_counter(), 0
            async for _ in store.read_all():
                number += 1
            took = time.perf_counter() - start
            await store.close()
            assert number == count
            return count / took

        return {"decode": asyncio.run(run())}
