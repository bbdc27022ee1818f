"""Very many seeds over all processors: what happened in them, and what is wrong."""

import multiprocessing
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice
from typing import Final

from tests.simulation.simulator import Simulation
from tests.simulation.whole import problems_of

__all__ = ["run_many", "run_piece", "run_seed", "tell"]

A_PIECE: Final = 20
THOROUGH_EVERY: Final = 10
"""So many seeds share one whose chain of digests and read models are kept, too: they take longer than all the rest."""
TO_THE_END_EVERY: Final = 2
TOO_MANY: Final = 200
TOLD_EVERY_S: Final = 10.0


def run_seed(seed: int) -> tuple[Simulation, list[str]]:
    """One seed and what is wrong with it: the same each time, on every machine."""
    simulation = Simulation(seed, thorough=seed % THOROUGH_EVERY == 0)
    try:
        simulation.run(to_the_end=seed % TO_THE_END_EVERY == 0)
        problems = problems_of(simulation)
    except Exception as fault:  # noqa: BLE001 - told with its seed, and the others go on
        problems = [f"the simulation itself: {fault!r}"]
    return simulation, problems


def run_piece(first: int, seeds: int = A_PIECE) -> tuple[Counter[str], list[str]]:
    """Seeds from `first` on: what happened in them, and what is wrong, each with its seed."""
    happened: Counter[str] = Counter()
    wrong = []
    for seed in range(first, first + seeds):
        simulation, problems = run_seed(seed)
        wrong += [f"seed {seed}: {problem}" for problem in problems]
        happened += simulation.happened
        happened["seeds"] += 1
        happened["jobs"] += len(simulation.jobs())
        happened["events"] += simulation.log.head()
    return happened, wrong


def run_many(jobs: int, first: int, processes: int) -> int:
    """Seeds until so many jobs were simulated; 1 when a promise was broken in one of them, 130 after Ctrl-C."""
    begun_s = told_s = time.monotonic()
    happened: Counter[str] = Counter()
    wrong: list[str] = []
    firsts = count(first, A_PIECE)
    begun: list[int] = []
    interrupted = False
    try:
        with multiprocessing.get_context("spawn").Pool(processes, _leave_interrupts) as pool:
            while happened["jobs"] < jobs and len(wrong) < TOO_MANY:
                # In rounds, since a pool takes in all that it is given before it works on any of it.
                begun = list(islice(firsts, 4 * processes))
                for piece, problems in pool.imap_unordered(run_piece, begun):
                    happened += piece
                    wrong += problems
                    sys.stdout.writelines(f"{problem}\n" for problem in problems)
                    if time.monotonic() - told_s >= TOLD_EVERY_S:
                        told_s = time.monotonic()
                        _tell_progress(happened, len(wrong), told_s - begun_s)
                    if happened["jobs"] >= jobs or len(wrong) >= TOO_MANY:
                        break
    except KeyboardInterrupt:
        interrupted = True
    _tell_progress(happened, len(wrong), time.monotonic() - begun_s)
    sys.stdout.writelines(f"  {times:>9}  {name}\n" for name, times in sorted(happened.items()))
    if interrupted:
        left = begun[0] if begun else first
        sys.stdout.write(f"Interrupted; the seeds from {left} on are left: --first {left}\n")
    if wrong:
        seed = wrong[0].partition(":")[0].removeprefix("seed ")
        sys.stdout.write(f"See what happened in one with: python -m tests.simulation {seed}\n")
    return 1 if wrong else 130 if interrupted else 0


def _leave_interrupts() -> None:
    """Ctrl-C is for the process that waits for the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _tell_progress(happened: Counter[str], wrong: int, took_s: float) -> None:
    sys.stdout.write(
        f"{happened['jobs']} jobs in {happened['seeds']} seeds, {happened['events']} events, "
        f"{happened['crash']} crashes; {happened['seeds'] / took_s:.0f} seeds/s, "
        f"{happened['jobs'] / took_s:.0f} jobs/s; {wrong} broken promises\n"
    )
    sys.stdout.flush()


def tell(seed: int) -> int:
    """One seed's story, event by event, and what is wrong with it."""
    simulation, problems = run_seed(seed)
    sys.stdout.writelines(_story(simulation))
    sys.stdout.write(f"{dict(simulation.happened)}\n")
    sys.stdout.writelines(f"BROKEN {problem}\n" for problem in problems)
    return 1 if problems else 0


def _story(simulation: Simulation) -> Iterator[str]:
    for job_id, entries in simulation.jobs().items():
        yield f"{job_id}: {entries[-1].job.status}\n"
        for entry in entries:
            life = sum(start < entry.recorded.position for start in simulation.starts)
            at = entry.recorded
            yield f"  {at.position:5} {at.version:3} life {life} {str(entry.event)[:200]}\n"
