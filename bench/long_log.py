"""A log of a million events: what `caf jobs` and the daemon's start-up take on it, and a first fold of all of it.

    python -m bench.long_log [--events 1000000] [--rounds 10] [--write]

The log is made once, in build/bench-long-log, by the store's own appends: whole jobs as the actors record them.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from bench.section import circumstances, write
from caf.daemon.dispatcher import CONSUMER
from caf.events import Event, HandoffPrepared
from caf.log import new_events, stream_of
from caf.workspace import Workspace
from eventstore import Checkpoint, NewEvent, SqliteStore
from tests.support.jobs import (
    answered,
    decided,
    escalated,
    job_cancelled,
    job_completed,
    judged,
    submitted,
    up_to,
)

__all__ = ["Figures", "fill", "main", "measure"]

ROOT: Final = Path(__file__).parents[1]
WORK: Final = ROOT / "build" / "bench-long-log"
MOST_JOBS_MS: Final = 100.0
MOST_START_S: Final = 2.0
AT_ONCE: Final = 64
JOBS: Final = (sys.executable, "-m", "caf.cli", "jobs")
SERVE: Final = (sys.executable, "-m", "caf.cli", "serve", "--listen", "127.0.0.1:0", "--quiet")


class Figures(Struct, kw_only=True):
    """Times of each round."""

    events: int
    jobs: int
    cold_s: float
    """`caf rebuild`: every read model folded from the first event on."""
    first_start_s: float
    """The daemon's first start on a log that no daemon has served before."""
    jobs_ms: list[float]
    """`caf jobs` as a process of its own, with the read models up to date."""
    starts_s: list[float]
    """From the daemon's start to its being ready, where it served the log before."""
    kills_s: list[float]
    """The same after kill -9."""


async def fill(path: Path, count: int) -> int:
    """Append whole jobs until the log has `count` events; how many jobs there are."""
    stories = _stories()
    async with SqliteStore.open(path, synchronous="OFF") as store:
        written, number = await store.head(), 0
        while written < count:
            appends = []
            for _ in range(AT_ONCE):
                job_id = f"cat-dances-{number:06}"
                events = _recorded(stories[number % len(stories)], job_id)[: count - written]
                if not events:
                    break
                appends.append(store.append(stream_of(job_id), events))
                written += len(events)
                number += 1
            await asyncio.gather(*appends)
        return number


def measure(root: Path, events: int, rounds: int) -> Figures:
    """All figures of a workspace with such a log."""
    workspace = Workspace(root)
    workspace.prepare()
    if not workspace.log.exists():
        asyncio.run(fill(workspace.log, events))
    begun_s = time.perf_counter()
    _run(sys.executable, "-m", "caf.cli", "rebuild", "-w", str(root))
    cold_s = time.perf_counter() - begun_s
    first_s = _start_up(root, signal.SIGTERM)
    asyncio.run(_settle(workspace.log))
    jobs_ms, starts_s, kills_s = [], [], []
    for _ in range(rounds):
        begun_s = time.perf_counter()
        _run(*JOBS, "-w", str(root))
        jobs_ms.append(1000 * (time.perf_counter() - begun_s))
        starts_s.append(_start_up(root, signal.SIGTERM))
        kills_s.append(_start_up(root, signal.SIGKILL))
    rows = json.loads(_run(sys.executable, "-m", "caf.cli", "sql", "--json", "-w", str(root), COUNT))
    return Figures(
        events=events,
        jobs=rows[0]["jobs"],
        cold_s=cold_s,
        first_start_s=first_s,
        jobs_ms=jobs_ms,
        starts_s=starts_s,
        kills_s=kills_s,
    )


async def _settle(path: Path) -> None:
    """Leave the log as a daemon does that has seen to all documents: these jobs have no artifacts to see to."""
    async with SqliteStore.open(path) as store:
        await store.save_checkpoint(Checkpoint(consumer=CONSUMER, position=await store.head()))


COUNT: Final = "SELECT count(*) AS jobs FROM jobs"


def section(figures: Figures, command: str) -> str:
    """The figures as Markdown."""
    rows = [
        ("`caf jobs`, a process of its own", figures.jobs_ms, "ms", f"< {MOST_JOBS_MS:.0f} ms"),
        ("daemon start-up until ready", figures.starts_s, "s", f"< {MOST_START_S:.0f} s"),
        ("the same after `kill -9`", figures.kills_s, "s", f"< {MOST_START_S:.0f} s"),
    ]
    table = [f"| {name} | {_spread(values)} {unit} | {due} |" for name, values, unit, due in rows]
    return "\n".join(
        [
            "## A log of a million events",
            "",
            circumstances(command, WORK.parent),
            f"{figures.events:,} events of {figures.jobs:,} jobs; medians of {len(figures.jobs_ms)} rounds "
            "(lowest..highest), read models up to date.",
            "",
            "| | measured | to be reached |",
            "|---|---|---|",
            *table,
            f"| every read model from nothing (`caf rebuild`) | {figures.cold_s:.1f} s | – |",
            f"| first start where no daemon served the log before | {figures.first_start_s:.2f} s | – |",
        ]
    )


def reached(figures: Figures) -> bool:
    """True when the medians are what is to be reached."""
    return (
        statistics.median(figures.jobs_ms) < MOST_JOBS_MS
        and max(statistics.median(figures.starts_s), statistics.median(figures.kills_s)) < MOST_START_S
    )


def main() -> int:
    """Measure, print, and with --write put it into bench/RESULTS.md."""
    parser = argparse.ArgumentParser(prog="python -m bench.long_log", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--folder", type=Path, default=WORK)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    figures = measure(given.folder / str(given.events), given.events, given.rounds)
    told = section(figures, f"make bench-long-log{'' if given.events == 1_000_000 else ' (shorter)'}")
    print(told)
    if given.write:
        write("long-log", told)
    return 0 if reached(figures) else 1


def _stories() -> list[list[Event]]:
    """Eight jobs: five complete, one is answered and completes, one waits for a person, one is called off."""
    spec = submitted(platforms=("youtube",))
    handed = HandoffPrepared(platforms=("youtube",), documents=("sandbox/dist_artifacts/x/youtube.json",))
    ends: list[Event] = [judged(spec, "video"), decided("video"), job_completed(), handed]
    whole = [*up_to("video", spec), *ends]
    asked = [*up_to("motion", spec), judged(spec, "motion", temporal_stability=0.1), escalated("motion")]
    answer: list[Event] = [answered("proceed", "motion"), decided("motion"), *whole[-7:]]
    return [
        whole,
        whole,
        whole,
        [*asked, *answer],
        whole,
        whole,
        asked,
        [*up_to("pose", spec), job_cancelled()],
    ]


def _recorded(story: Sequence[Event], job_id: str) -> list[NewEvent]:
    events = [msgspec.structs.replace(story[0], job_id=job_id), *story[1:]]
    ids = [str(uuid.uuid4()) for _ in events]
    return new_events(events, ids, job_id=job_id, causation_id=None)


def _start_up(root: Path, end: signal.Signals) -> float:
    """Seconds from the daemon's start until it has written down where it listens; it is ended then."""
    begun_s = time.perf_counter()
    process = subprocess.Popen([*SERVE, "-w", str(root)], cwd=ROOT, stderr=subprocess.DEVNULL)
    place = root / ".caf" / "daemon.json"
    while True:
        try:
            said = json.loads(place.read_bytes())
            if said["url"] and said["pid"] == process.pid:
                break
        except (OSError, ValueError):
            pass
        if process.poll() is not None:
            raise SystemExit(f"the daemon ended with {process.returncode}")
        time.sleep(0.002)
    took_s = time.perf_counter() - begun_s
    os.kill(process.pid, end)
    process.wait()
    return took_s


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g}..{max(values):.3g})"


if __name__ == "__main__":
    sys.exit(main())
