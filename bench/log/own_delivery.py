"""How the event log hands on what was appended: to another task, and to another process."""

import asyncio
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from bench.log.own_events import new_event
from bench.log.raw import commit_one, connect
from bench.log.subject import Follow
from eventstore import SqliteStore

__all__ = ["deliver", "follow_across", "send"]

PACE_S: Final = 0.002
"""Between two events of a delivery: they are not to wait for each other."""


async def deliver(folder: Path, synchronous: Any, count: int, busy: bool) -> dict[str, list[float]]:
    """ms from the call of append to another task's handler; between them raw commits on the same disk."""
    handled: list[float] = []
    commits: list[float] = []
    arrived = asyncio.Event()
    begun = 0.0

    async def follow(store: SqliteStore) -> None:
        async for recorded in store.subscribe():
            handled.append((time.perf_counter() - begun) * 1000)
            assert recorded.version == len(handled)
            arrived.set()

    with closing(connect(folder / "raw.db", synchronous)) as connection:
        async with SqliteStore.open(folder / "log.db", synchronous=synchronous) as store:
            others = [asyncio.create_task(follow(store))]
            if busy:
                others.append(asyncio.create_task(_slices()))
            for number in range(count):
                await asyncio.sleep(PACE_S)
                arrived.clear()
                begun = time.perf_counter()
                await store.append("job-a", [new_event(number, "job-a")], expected_version=number)
                await arrived.wait()
                # After the same pause: neither finds the processor's caches warm. The raw commit blocks the loop, so
                # that no slice of work can hold it up.
                await asyncio.sleep(PACE_S)
                start = time.perf_counter()
                commit_one(connection, "job-a", number)
                commits.append((time.perf_counter() - start) * 1000)
            for task in others:
                task.cancel()
            await asyncio.wait(others)
    return {"own": handled, "raw": commits}


async def _slices() -> None:
    """CPU work, 1 ms at a time, as long as the loop runs."""
    while True:
        until = time.perf_counter() + 0.001
        while time.perf_counter() < until:
            pass
        await asyncio.sleep(0)


async def send(
    folder: Path, synchronous: Any, count: int, pace_s: float, follow: Follow
) -> list[tuple[float, float]]:
    """See `Subject.send`."""
    times = []
    async with SqliteStore.open(folder / "log.db", synchronous=synchronous) as store:
        wait = await asyncio.to_thread(follow, str(folder / "log.db"))
        for number in range(count):
            await asyncio.sleep(pace_s)
            begun = time.monotonic()
            await store.append("job-a", [new_event(number, "job-a")], expected_version=number)
            times.append((begun, time.monotonic()))
        await asyncio.to_thread(wait)
    return times


async def follow_across(path: Path, count: int, ready: Callable[[], None]) -> tuple[list[float], float]:
    """See `Subject.follow`."""
    arrived: list[float] = []
    async with SqliteStore.open(path, read_only=True) as store:
        ready()
        async for _ in store.subscribe():
            arrived.append(time.monotonic())
            if len(arrived) == 1:
                cpu = time.process_time()
            if len(arrived) == count:
                break
        return arrived, (time.process_time() - cpu) / (arrived[-1] - arrived[0])
