"""`python -m tests.crash`: kills a daemon under load hundreds of times, and then proves its workspace.

    python -m tests.crash [--kills 500] [--per-workspace 50] [--seed N] [--write]

Every workspace has a seed of its own, which a failure names. Exits with 1 when anything is wrong.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path

from bench.section import circumstances, write
from tests.crash.ordeal import Ordeal
from tests.crash.place import clips, prepare
from tests.crash.proof import entries_of

__all__ = ["main"]


def main() -> int:
    """Run the ordeals and report kills, jobs, events and what was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--per-workspace", type=int, default=50)
    parser.add_argument("--seed", type=int, default=None, help="of the first workspace")
    parser.add_argument("--write", action="store_true", help="into bench/RESULTS.md")
    given = parser.parse_args()
    first = random.SystemRandom().randrange(2**31) if given.seed is None else given.seed
    begun_s = time.monotonic()
    kills = child_kills = said = cut_off = jobs = events = violations = 0
    with tempfile.TemporaryDirectory(prefix="caf-crash-") as place:
        media = clips(Path(place) / "media")
        for number in range(-(-given.kills // given.per_workspace)):
            seed = first + number
            ordeal = Ordeal(prepare(Path(place) / f"work-{number}", media), seed)
            problems = ordeal.run(min(given.per_workspace, given.kills - kills))
            found = asyncio.run(entries_of(ordeal.workspace))
            kills += ordeal.tally.kills
            child_kills += ordeal.tally.child_kills
            said += ordeal.tally.acknowledged
            cut_off += ordeal.tally.cut_off
            jobs += len(found)
            events += sum(map(len, found.values()))
            violations += len(problems)
            for problem in problems:
                sys.stdout.write(f"VIOLATION (seed {seed}): {problem}\n")
            minutes = (time.monotonic() - begun_s) / 60
            sys.stdout.write(
                f"seed {seed}: {kills} kills, {jobs} jobs, {events} events, {violations} violations, "
                f"{minutes:.1f} min\n"
            )
            sys.stdout.flush()
    told = (
        f"{kills} kills of the daemon and {child_kills} of a child alone in {(time.monotonic() - begun_s) / 60:.0f} "
        f"minutes; {jobs} jobs, {events} events; {said} acknowledged, {cut_off} requests cut off; "
        f"**{violations} violations**. First seed {first}.\n"
    )
    sys.stdout.write(told)
    if given.write:
        line = circumstances(f'make crash WORDS="--kills {given.kills}"', Path(__file__).parent)
        write("crash", f"## Kills of a daemon under load\n\n{line}\n{told}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
