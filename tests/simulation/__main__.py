"""Seeds for a person: `python -m tests.simulation SEED` tells one seed's story; `make sim` runs very many."""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

from tests.simulation.checkers import problems_of
from tests.simulation.simulator import Simulation

A_PIECE: Final = 200
ROWS_EVERY: Final = 10
"""Read models are compared for every tenth seed: it takes longer than the seed itself."""
TOLD_EVERY_S: Final = 10.0


def tell(seed: int) -> int:
    """One seed's story, event by event, and what is wrong with it."""
    simulation = Simulation(seed)
    simulation.run()
    for job_id, entries in simulation.jobs().items():
        sys.stdout.write(f"{job_id}: {entries[-1].job.status}\n")
        for entry in entries:
            sys.stdout.write(f"  {entry.recorded.position:5} {entry.recorded.version:3} {entry.event}\n")
    problems = problems_of(simulation)
    sys.stdout.writelines(f"PROBLEM {problem}\n" for problem in problems)
    sys.stdout.write(f"{dict(simulation.happened)}\n")
    return 1 if problems else 0


def run_piece(first: int) -> tuple[Counter[str], list[str]]:
    """Seeds from `first` on: what happened in them, and what is wrong."""
    happened: Counter[str] = Counter()
    wrong = []
    for seed in range(first, first + A_PIECE):
        simulation = Simulation(seed)
        try:
            simulation.run()
            problems = problems_of(simulation, rows=seed % ROWS_EVERY == 0)
        except Exception as fault:  # noqa: BLE001 - told with its seed, and the others go on
            problems = [f"{type(fault).__name__}: {fault}"]
        wrong += [f"seed {seed}: {problem}" for problem in problems]
        happened += simulation.happened
        happened["seeds"] += 1
        happened["jobs"] += len(simulation.jobs())
        happened["events"] += simulation.log.head()
    return happened, wrong


def run_many(jobs: int, first: int, processes: int) -> int:
    """Seeds until so many jobs were simulated; 1 when a promise was broken in one of them."""
    begun_s = told_s = time.monotonic()
    happened: Counter[str] = Counter()
    wrong: list[str] = []
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for piece, problems in pool.imap_unordered(run_piece, _firsts(first)):
            happened += piece
            wrong += problems
            sys.stdout.writelines(f"{problem}\n" for problem in problems)
            now_s = time.monotonic()
            done = happened["jobs"] >= jobs or len(wrong) > A_PIECE
            if done or now_s - told_s >= TOLD_EVERY_S:
                told_s = now_s
                rate = happened["seeds"] / (now_s - begun_s)
                sys.stdout.write(
                    f"{happened['jobs']} jobs in {happened['seeds']} seeds, {happened['events']} events, "
                    f"{happened['crash']} crashes; {rate:.0f} seeds/s; {len(wrong)} broken promises\n"
                )
                sys.stdout.flush()
            if done:
                break
        pool.terminate()
    sys.stdout.write(f"{dict(sorted(happened.items()))}\n")
    return 1 if wrong else 0


def _firsts(first: int) -> Iterator[int]:
    while True:
        yield first
        first += A_PIECE


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", nargs="?", type=int, help="tell this seed's story")
    parser.add_argument("--jobs", type=int, default=1_000_000, help="simulate so many jobs")
    parser.add_argument("--first", type=int, default=1_000_000, help="the first seed")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    return tell(given.seed) if given.seed is not None else run_many(given.jobs, given.first, given.processes)


if __name__ == "__main__":
    raise SystemExit(main())
