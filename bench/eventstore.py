"""How near the event log comes to raw sqlite3, on the same disk in the same run.

    python -m bench.eventstore [--rounds 7] [--seconds 1.0] [--only append,replay,...]

Every measurement is interleaved with the one it is held against, and the table gives medians of ratios
(absolute rates depend on the disk and on who else uses it). Events carry about 400 bytes of JSON; encoding
them is part of every append, on both sides.
"""

import argparse
import asyncio
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from eventstore import Checkpoint, NewEvent, SqliteStore, Witness

SECONDS = 1.0


class Stage(msgspec.Struct, frozen=True, kw_only=True, tag="StageCompleted"):
    """About 400 bytes of JSON, as a recorded event has them."""

    stage: str
    attempt_id: str
    duration_ms: int
    engine: str
    artifacts: tuple[str, ...]
    facts: dict[str, float]


def payload(number: int) -> Stage:
    return Stage(
        stage="motion",
        attempt_id="run-0001",
        duration_ms=number,
        engine="local 0.1.0",
        artifacts=("ab" * 32, "cd" * 32, "ef" * 32),
        facts={"frames": 300.0, "shift_px": 1.25, "rotation_deg": 0.031, "strength": 0.85},
    )


ENCODE = msgspec.json.Encoder().encode
DECODE = msgspec.json.Decoder(Stage).decode

NAIVE = """CREATE TABLE events (position INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, stream TEXT NOT NULL,
version INTEGER NOT NULL, type TEXT NOT NULL, data BLOB NOT NULL, UNIQUE (stream, version))"""
INSERT = "INSERT INTO events (event_id, stream, version, type, data) VALUES (?, ?, ?, ?, ?)"


def raw_connection(path: Path, synchronous: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute(NAIVE)
    return connection


def raw_append(path: Path, batch: int, synchronous: str) -> float:
    """Events per second with one transaction for `batch` events of as many streams."""
    connection = raw_connection(path, synchronous)
    version, count, start = 0, 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        version += 1
        rows = [
            (str(uuid.uuid4()), f"job-{n}", version, "StageCompleted", ENCODE(payload(n)))
            for n in range(batch)
        ]
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(INSERT, rows)
        connection.execute("COMMIT")
        count += batch
    rate = count / (time.perf_counter() - start)
    connection.close()
    return rate


async def store_append(path: Path, writers: int, synchronous: Any) -> float:
    """Events per second of so many tasks that each append one event after the other."""
    async with SqliteStore.open(path, synchronous=synchronous) as store:
        count, start = 0, time.perf_counter()

        async def write(number: int) -> None:
            nonlocal count
            version = 0
            while time.perf_counter() - start < SECONDS:
                event = NewEvent(
                    event_id=str(uuid.uuid4()),
                    type="StageCompleted",
                    data=ENCODE(payload(number)),
                    correlation_id=f"job-{number}",
                    causation_id="0b8f6a60-1c1e-4d0c-9f5e-3a3f1f6f9a01",
                )
                version = (
                    await store.append(f"job-{number}", [event], expected_version=version)
                ).last_version
                count += 1

        await asyncio.gather(*(write(number) for number in range(writers)))
        return count / (time.perf_counter() - start)


async def replay(path: Path, count: int) -> dict[str, float]:
    """Events per second of reading a log back, by how much is done with each event."""
    async with SqliteStore.open(path, synchronous="OFF") as store:
        for start in range(0, count, 1000):
            batch = [
                NewEvent(event_id=str(uuid.uuid4()), type="StageCompleted", data=ENCODE(payload(n)))
                for n in range(start, start + 1000)
            ]
            await store.append(f"job-{start % 50_000}", batch)
        connection = sqlite3.connect(path)

        def select() -> int:
            return sum(1 for _ in connection.execute("SELECT * FROM events ORDER BY position"))

        def select_decode() -> int:
            rows = connection.execute("SELECT position, data FROM events ORDER BY position")
            return len([DECODE(data) for _, data in rows])

        async def read_all() -> int:
            number = 0
            async for _ in store.read_all():
                number += 1
            return number

        async def read_decode() -> int:
            number = 0
            async for event in store.read_all():
                DECODE(event.data)
                number += 1
            return number

        async def verify() -> int:
            report = await store.verify(witness=Witness(position=0, digest=b""))
            assert report.ok
            return report.events

        async def timed(work: Callable[[], int | Awaitable[int]]) -> float:
            begin = time.perf_counter()
            done = work()
            number: int = done if isinstance(done, int) else await done
            assert number == count
            return count / (time.perf_counter() - begin)

        works: Sequence[Callable[[], Any]] = (select, select_decode, read_all, read_decode, verify)
        result = {work.__name__: await timed(work) for work in works}
        connection.close()
        return result


def size(path: Path) -> float:
    with sqlite3.connect(path) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        (count, data) = connection.execute("SELECT count(*), sum(length(data)) FROM events").fetchone()
    connection.close()
    return float(pages * page - data) / float(count)


async def latency(path: Path, synchronous: Any, count: int = 300) -> tuple[float, float]:
    """Median ms from the call of append to another task's handler, and of a raw commit."""
    connection = raw_connection(path.with_name("raw-" + path.name), synchronous)
    handled: list[float] = []
    commits: list[float] = []
    async with SqliteStore.open(path, synchronous=synchronous) as store:
        arrived = asyncio.Event()

        async def follow() -> None:
            async for _ in store.subscribe():
                handled[-1] = (time.perf_counter() - handled[-1]) * 1000
                arrived.set()

        task = asyncio.create_task(follow())
        for number in range(count):
            await asyncio.sleep(0.002)
            arrived.clear()
            event = NewEvent(event_id=str(uuid.uuid4()), type="StageCompleted", data=ENCODE(payload(number)))
            handled.append(time.perf_counter())
            await store.append("job-a", [event], checkpoint=Checkpoint(consumer="c", position=number))
            await arrived.wait()
            begin = time.perf_counter()
            row = (str(uuid.uuid4()), "job-a", number, "StageCompleted", ENCODE(payload(number)))
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(INSERT, row)
            connection.execute("COMMIT")
            commits.append((time.perf_counter() - begin) * 1000)
        task.cancel()
        await asyncio.wait([task])
    connection.close()
    return statistics.median(handled), statistics.median(commits)


async def follow(path: Path, count: int) -> None:
    """The other process: how long each event was on its way, in ms, and what CPU the following took."""
    async with SqliteStore.open(path, read_only=True) as store:
        print("ready", flush=True)
        delays: list[float] = []
        async for event in store.subscribe():
            # The clock counts from the start of the machine, so both processes read the same.
            delays.append((time.monotonic() - float(event.data)) * 1000)
            if len(delays) == 1:
                begin, cpu = time.monotonic(), time.process_time()
            if len(delays) == count:
                share = (time.process_time() - cpu) / (time.monotonic() - begin)
                delays.sort()
                print(delays[count // 2], delays[count * 99 // 100], share * 100, flush=True)
                return


async def across(path: Path, count: int = 300) -> list[float]:
    """p50 and p99 in ms from the call of append to the handler in another process, and its % of a core."""
    async with SqliteStore.open(path, synchronous="NORMAL") as store:
        words = ("-m", "bench.eventstore", "--follow", str(path), str(count))
        other = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
        assert other.stdout is not None
        await other.stdout.readline()
        for _ in range(count):
            await asyncio.sleep(0.01)
            event = NewEvent(
                event_id=str(uuid.uuid4()), type="StageCompleted", data=str(time.monotonic()).encode()
            )
            await store.append("job-a", [event])
        told = await other.stdout.read()
        await other.wait()
        return [float(word) for word in told.split()]


def acrosses(rounds: int) -> list[str]:
    found = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            found.append(asyncio.run(across(Path(folder, "log.db"))))
    p50, p99, share = ([result[index] for result in found] for index in range(3))
    text = (
        f"| append to handler in another process, NORMAL | p99 {median(p99)} ms, {median(share)} % of a core"
    )
    return [f"{text} | p50 {statistics.median(p50):.2f} ms |"]


def median(values: list[float]) -> str:
    low, high = min(values), max(values)
    return f"{statistics.median(values):.2f} ({low:.2f}..{high:.2f})"


def appends(rounds: int) -> list[str]:
    lines = []
    for synchronous in ("FULL", "NORMAL"):
        for writers in (1, 16, 256):
            ratios, rates = [], []
            for _ in range(rounds):
                with tempfile.TemporaryDirectory() as folder:
                    raw = raw_append(Path(folder, "raw.db"), writers, synchronous)
                    own = asyncio.run(store_append(Path(folder, "log.db"), writers, synchronous))
                    beyond = size(Path(folder, "log.db")) if writers == 256 else 0.0
                ratios.append(own / raw)
                rates.append(own)
            text = (
                f"| append, {writers} writers, {synchronous} | {median(ratios)} of raw batched by {writers}"
            )
            lines.append(f"{text} | {statistics.median(rates):,.0f}/s |")
            if writers == 256:
                lines.append(f"| bytes per event beyond its data | {beyond:.0f} | |")
    return lines


def replays(rounds: int) -> list[str]:
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            found.append(asyncio.run(replay(Path(folder, "log.db"), 100_000)))
    lines = []
    for name, base in (("read_all", "select"), ("read_decode", "select_decode"), ("verify", "select_decode")):
        ratios = [result[name] / result[base] for result in found]
        rate = statistics.median(result[name] for result in found)
        lines.append(f"| {name} of 100,000 events | {median(ratios)} of raw {base} | {rate:,.0f}/s |")
    return lines


def latencies(rounds: int) -> list[str]:
    lines = []
    for synchronous in ("FULL", "NORMAL"):
        found = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                found.append(asyncio.run(latency(Path(folder, "log.db"), synchronous)))
        ratios = [own / raw for own, raw in found]
        ms = statistics.median(own for own, _ in found)
        lines.append(f"| append to handler, {synchronous} | {median(ratios)} of a raw commit | {ms:.2f} ms |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--only", default="append,replay,latency,across")
    parser.add_argument("--follow", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.follow:
        asyncio.run(follow(Path(options.follow[0]), int(options.follow[1])))
        return
    globals()["SECONDS"] = options.seconds
    print(f"SQLite {sqlite3.sqlite_version}, medians of {options.rounds} (lowest..highest)\n")
    print("| what | ratio | absolute, for orientation |\n|---|---|---|")
    measures = {"append": appends, "replay": replays, "latency": latencies, "across": acrosses}
    for name, measure in measures.items():
        if name in options.only.split(","):
            print("\n".join(measure(options.rounds)), flush=True)


if __name__ == "__main__":
    main()
