"""A log of ten million events: does it still append and open as one of 100,000 does?"""

import asyncio
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

from bench.log.own_events import grow, new_event
from bench.log.question import Question, Sample, Scale
from eventstore import SqliteStore

LAST = 100_000
TURNS = 5
"""Logs of 100,000 events that are made, and times as many that are added to the huge one, in turn: medians."""
OPENINGS = 5


def questions(scale: Scale) -> list[Question]:
    return [Question(measure="huge", subject="own", with_={"count": scale.huge})]


def answer(question: Question, folder: Path) -> list[Sample]:
    count = question.with_["count"]
    path = folder / "log.db"
    last = count - TURNS * LAST
    filling = _rate(path, 0, last, "OFF")
    # What filling it left to be written is not to be written while appends are timed.
    with path.open("rb") as file:
        os.fsync(file.fileno())
    small, big = [], []
    for turn in range(TURNS):
        small.append(_rate(folder / f"small-{turn}.db", 0, LAST, "FULL"))
        start = last + turn * LAST
        big.append(_rate(path, start, start + LAST, "FULL"))
    return [
        Sample("huge/small rate", "own", median(small)),
        Sample("huge/small open", "own", asyncio.run(_open(folder / "small-0.db"))),
        Sample("huge/filling", "own", filling),
        Sample("huge/big rate", "own", median(big)),
        Sample("huge/big open", "own", asyncio.run(_open(path))),
    ]


def _rate(path: Path, start: int, end: int, synchronous: str) -> float:
    """In a process of its own, as nobody appends millions of events and then measures."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_appended, path, start, end, synchronous).result()


def _appended(path: Path, start: int, end: int, synchronous: str) -> float:
    return asyncio.run(_append(path, start, end, synchronous))


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
