"""The event log that is measured, by its public face alone."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from bench.log.events import CAUSE, Fold
from bench.log.own_delivery import deliver, follow_across, send
from bench.log.own_events import as_it_is, grow, new_event, read_everything
from bench.log.subject import Follow, Subject, rate_of_tasks
from eventstore import SqliteStore

__all__ = ["Own"]


class Own(Subject):
    """eventstore, with its hash chain, correlation and causation."""

    title = "eventstore (with hash chain)"
    distribution = ""

    @classmethod
    def version(cls) -> str:
        return "this commit"

    def append(self, folder: Path, writers: int, synchronous: Any, seconds: float) -> float:
        async def run() -> float:
            async with SqliteStore.open(folder / "log.db", synchronous=synchronous) as store:
                last: dict[int, str] = {}

                async def write(writer: int, version: int) -> None:
                    name = f"job-{writer}"
                    made = new_event(version + writer, name, last.get(writer, CAUSE))
                    last[writer] = made.event_id
                    await store.append(name, [made], expected_version=version)

                return await rate_of_tasks(writers, seconds, write)

        return asyncio.run(run())

    def fill(self, folder: Path, count: int) -> int:
        async def run() -> int:
            async with SqliteStore.open(folder / "log.db", synchronous="OFF") as store:
                return await grow(store, 0, count)

        return asyncio.run(run())

    def replay(self, folder: Path, count: int) -> dict[str, float]:
        async def run() -> dict[str, float]:
            async with SqliteStore.open(folder / "log.db", synchronous="OFF") as store:
                fold = Fold()

                async def verify() -> int:
                    report = await store.verify()
                    assert report.ok, report
                    return report.events

                async def rate(work: Callable[[], Awaitable[int]]) -> float:
                    start = time.perf_counter()
                    done = await work()
                    assert done == count, f"{done} events were read of {count}"
                    return count / (time.perf_counter() - start)

                return {
                    "select": await rate(lambda: read_everything(store, decoder=as_it_is)),
                    "decode": await rate(lambda: read_everything(store)),
                    "dispatch": await rate(lambda: read_everything(store, fold.apply)),
                    "verify": await rate(verify),
                    "dispatch and verify": await rate(
                        lambda: read_everything(store, fold.apply, verify=True)
                    ),
                }

        return asyncio.run(run())

    def delivery(self, folder: Path, synchronous: str, count: int, busy: bool) -> dict[str, list[float]]:
        return asyncio.run(deliver(folder, synchronous, count, busy))

    def send(
        self, folder: Path, synchronous: str, count: int, pace_s: float, follow: Follow
    ) -> list[tuple[float, float]]:
        return asyncio.run(send(folder, synchronous, count, pace_s, follow))

    def follow(self, place: str, count: int, ready: Callable[[], None]) -> tuple[list[float], float]:
        return asyncio.run(follow_across(Path(place), count, ready))
