"""Seeds for a person: `python -m tests.simulation SEED` tells one seed's story; `make sim` runs very many."""

import argparse
import os

from tests.simulation.many import run_many, tell


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
