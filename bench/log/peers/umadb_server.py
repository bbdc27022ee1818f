"""umadb: its Rust server on the loopback, a thread for each writer. It always syncs."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import umadb

from bench.log.events import DECODE, ENCODE, PER_STREAM, event, new_id, stream
from bench.log.raw import timed
from bench.log.subject import Follow, NotOffered, Subject, rate_of_threads

_SERVE = "import sys, umadb; umadb.run_server_from_args(sys.argv)"
PACE_S = 0.002


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Its address while it runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    words = ("-c", _SERVE, "--listen", address, "--db-path", str(folder / "uma.db"))
    process = subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(address)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait()


def _wait_for(address: str) -> None:
    host, _, port = address.partition(":")
    end = time.monotonic() + 20
    while True:
        try:
            socket.create_connection((host, int(port)), 0.2).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def uma_event(number: int, tag: str) -> tuple[Any, int]:
    """The `number`-th event with a tag in a stream's place, and the size of its payload."""
    made = event(number)
    data = ENCODE(made)
    return umadb.Event(event_type=type(made).__name__, data=data, tags=[tag], uuid=UUID(new_id())), len(data)


class Umadb(Subject):
    """umadb (Rust server, loopback)."""

    title = "umadb (Rust server)"
    distribution = "umadb"
    no_size = "preallocates 256 MiB"

    def append(self, folder: Path, writers: int, synchronous: str, seconds: float) -> float:
        if synchronous != "FULL":
            raise NotOffered("always syncs")
        with server(folder) as url:
            client = umadb.Client(url)  # shared: twice as fast with 256 writers as one each
            after = [0] * writers

            def write(writer: int, version: int) -> None:
                tag = f"job-{writer}"
                # What was read decides: nothing with this tag after the last one of this writer.
                query = umadb.Query(items=[umadb.QueryItem(tags=[tag])])
                condition = umadb.AppendCondition(query, after=after[writer] or None)
                made, _ = uma_event(version + writer, tag)
                after[writer] = client.append([made], condition)

            return rate_of_threads(writers, seconds, write)

    def fill(self, folder: Path, count: int) -> int:
        size = 0
        with server(folder) as url:
            client = umadb.Client(url)
            for start in range(0, count, 20 * PER_STREAM):
                made = [
                    uma_event(number, stream(number))
                    for number in range(start, min(start + 20 * PER_STREAM, count))
                ]
                size += sum(length for _, length in made)
                client.append([one for one, _ in made])
        return size

    def replay(self, folder: Path, count: int) -> dict[str, float]:
        with server(folder) as url:
            client = umadb.Client(url)

            def select() -> int:
                return sum(1 for _ in client.read())

            def decode() -> int:
                return sum(1 for one in client.read() if DECODE(bytes(one.event.data)))

            return {"select": timed(select, count), "decode": timed(decode, count)}

    def delivery(self, folder: Path, synchronous: str, count: int, busy: bool) -> dict[str, list[float]]:
        if synchronous != "FULL" or busy:
            raise NotOffered("always syncs" if not busy else "not on the loop")
        delays: list[float] = []
        arrived = threading.Event()
        begun = 0.0
        with server(folder) as url:
            client = umadb.Client(url)
            client.append([uma_event(0, "job-a")[0]])
            other = umadb.Client(url)  # held: with its client a subscription ends
            subscription = other.subscribe()

            def follow() -> None:
                for number, _ in enumerate(subscription):
                    if number:
                        delays.append((time.perf_counter() - begun) * 1000)
                    arrived.set()
                    if number == count:
                        return

            follower = threading.Thread(target=follow, daemon=True)
            follower.start()
            assert arrived.wait(20)
            for number in range(count):
                time.sleep(PACE_S)
                arrived.clear()
                begun = time.perf_counter()
                client.append([uma_event(number, "job-a")[0]])
                assert arrived.wait(20)
            follower.join()
        return {"umadb": delays}

    def send(
        self, folder: Path, synchronous: str, count: int, pace_s: float, follow: Follow
    ) -> list[tuple[float, float]]:
        if synchronous != "FULL":
            raise NotOffered("always syncs")
        times = []
        with server(folder) as url:
            client = umadb.Client(url)
            wait = follow(url)
            for number in range(count):
                time.sleep(pace_s)
                begun = time.monotonic()
                client.append([uma_event(number, "job-a")[0]])
                times.append((begun, time.monotonic()))
            wait()
        return times

    def follow(self, place: str, count: int, ready: Callable[[], None]) -> tuple[list[float], float]:
        client = umadb.Client(place)
        subscription = client.subscribe()
        ready()
        arrived: list[float] = []
        cpu = 0.0
        for _ in subscription:
            arrived.append(time.monotonic())
            if len(arrived) == 1:
                cpu = time.process_time()
            if len(arrived) == count:
                break
        return arrived, (time.process_time() - cpu) / (arrived[-1] - arrived[0])
