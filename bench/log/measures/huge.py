"""A log of ten million events: does it still append and open as one of 100,000 does?"""

import asyncio
import time
from pathlib import Path

from bench.log.own_events import grow, new_event
from bench.log.question import Question, Sample, Scale
from eventstore import SqliteStore

LAST = 100_000
OPENINGS = 5


def questions(scale: Scale) -> list[Question]:
    return [Question(measure="huge", subject="own", with_={"count": scale.huge})]


def answer(question: Question, folder: Path) -> list[Sample]:
    count = question.with_["count"]
    path = folder / "log.db"
    return [
        Sample("huge/small rate", "own", asyncio.run(_append(path, 0, LAST, "FULL"))),
        Sample("huge/small open", "own", asyncio.run(_open(path))),
        Sample("huge/filling", "own", asyncio.run(_append(path, LAST, count - LAST, "OFF"))),
        Sample("huge/big rate", "own", asyncio.run(_append(path, count - LAST, count, "FULL"))),
        Sample("huge/big open", "own", asyncio.run(_open(path))),
    ]


async def _append(path: Path, start: int, end: int, synchronous: str) -> float:
    """Events per second, 50 to a stream, 20 streams at a time."""
    async with SqliteStore.open(path, synchronous=synchronous) as store:  # type: ignore[arg-type]
        begun = time.perf_counter()
        await grow(store, start, end)
        return (end - start) / (time.perf_counter() - begun)


async def _open(path: Path) -> float:
    """ms until the first append after opening is answered; the median of some."""
    took = []
    for number in range(OPENINGS):
        begun = time.perf_counter()
        async with SqliteStore.open(path) as store:
            await store.append("opening", [new_event(number, "opening")])
            took.append((time.perf_counter() - begun) * 1000)
    return sorted(took)[OPENINGS // 2]
