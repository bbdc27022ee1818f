"""`python -m caf.worker`: the child side of a worker. Started by `caf.worker.host`, never by hand."""

import argparse
import sys

from caf.worker.child import confine, serve
from caf.worker.tasks import TASKS_MODULE, load_tasks

__all__ = ["main"]


def main(argv: list[str]) -> None:
    """Serves requests from stdin until its end."""
    parser = argparse.ArgumentParser(prog="python -m caf.worker", description=__doc__)
    parser.add_argument("--parent", type=int, required=True, help="process id of the caller; end with it")
    parser.add_argument("--memory-bytes", type=int, help="limit of the address space")
    parser.add_argument("--tasks", default=TASKS_MODULE, help="module with the table of tasks")
    arguments = parser.parse_args(argv)
    confine(arguments.parent, arguments.memory_bytes)
    serve(load_tasks(arguments.tasks))


if __name__ == "__main__":
    main(sys.argv[1:])
