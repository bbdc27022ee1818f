"""What can be asked of a store. A store that has no answer says so in a word, and the table repeats it."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

__all__ = ["Follow", "NotOffered", "Subject", "rate_of_tasks", "rate_of_threads"]


Follow = Callable[[str], Callable[[], None]]
"""Starts the other process, and returns what waits for its end."""


class NotOffered(Exception):  # noqa: N818 - an answer, for the table
    """This subject cannot be asked that, and why, in a few words."""


class Subject:
    """One store, used as its own documentation says, with full durability and WAL where they can be set."""

    title: ClassVar[str]
    distribution: ClassVar[str] = ""
    fill_share: ClassVar[float] = 1.0
    """How much of the log it is given to replay: slow stores get a shorter one, their rate is the same."""
    no_size: ClassVar[str] = ""
    """Why the size of its files says nothing about the size of an event, if so."""

    @classmethod
    def version(cls) -> str:
        """The installed version of what is measured."""
        return version(cls.distribution) if cls.distribution else ""

    def append(self, folder: Path, writers: int, synchronous: str, seconds: float) -> float:
        """Durable events per second of so many writers, each one event after the other in its own stream."""
        raise NotOffered("not offered")

    def delivery(self, folder: Path, synchronous: str, count: int, busy: bool) -> dict[str, list[float]]:
        """ms from the call of append to another task's (or thread's) handler, by what was measured.

        `busy`: the event loop has CPU work to do the whole time, in slices of 1 ms.
        """
        raise NotOffered("not offered")

    def send(
        self, folder: Path, synchronous: str, count: int, pace_s: float, follow: Follow
    ) -> list[tuple[float, float]]:
        """Call `follow` with the place where another process can listen, then append one event after the other.

        For each the clock of the machine (monotonic, s) when append was called and when it answered.
        What `follow` returns waits until the other process has had them all.
        """
        raise NotOffered("not offered")

    def follow(self, place: str, count: int, ready: Callable[[], None]) -> tuple[list[float], float]:
        """In the other process: call `ready`, then when each event came (monotonic, s), and the share of a core."""
        raise NotOffered("not offered")

    def fill(self, folder: Path, count: int) -> int:
        """Write a log of so many events as fast as it goes, no durability needed; the sum of their payloads."""
        raise NotOffered("not offered")

    def replay(self, folder: Path, count: int) -> dict[str, float]:
        """Events per second of reading the filled log from first to last, by what is done with each event."""
        raise NotOffered("not offered")


def rate_of_tasks(
    writers: int, seconds: float, write: Callable[[int, int], Awaitable[object]]
) -> Awaitable[float]:
    """Events per second of so many tasks; `write(writer, version)` appends one event, versions from 0 on."""

    async def run() -> float:
        await asyncio.gather(*(write(number, 0) for number in range(writers)))
        count, start = 0, time.perf_counter()

        async def work(number: int) -> None:
            nonlocal count
            version = 1
            while time.perf_counter() - start < seconds:
                await write(number, version)
                version += 1
                count += 1

        await asyncio.gather(*(work(number) for number in range(writers)))
        return count / (time.perf_counter() - start)

    return run()


def rate_of_threads(writers: int, seconds: float, write: Callable[[int, int], object]) -> float:
    """The same with a thread for each writer, for stores whose calls block."""
    counts, faults = [0] * writers, list[BaseException]()
    write(0, 0)
    start_line = threading.Barrier(writers + 1)

    def work(number: int) -> None:
        version = first = 0 if number else 1
        try:
            start_line.wait()
            while time.perf_counter() - start < seconds:
                write(number, version)
                version += 1
            counts[number] = version - first
        except Exception as fault:  # noqa: BLE001 - told by whoever waits
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(writers)]
    for thread in threads:
        thread.start()
    start = time.perf_counter()
    start_line.wait()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - start
    if faults:
        raise faults[0]
    return sum(counts) / took
