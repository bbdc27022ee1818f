"""Runs native code in child processes with a heartbeat, a deadline and a memory limit.

The caller's side is `Worker` and `WorkerPool`; the child's side is `python -m caf.worker`. Names are
resolved at first use, so that the child does not load what only the caller needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from caf.worker.errors import (
        DeadlineExceededError,
        OutOfMemoryError,
        WorkerCrashedError,
        WorkerError,
        WorkerStalledError,
    )
    from caf.worker.host import Worker
    from caf.worker.pool import WorkerPool

__all__ = [
    "DeadlineExceededError",
    "OutOfMemoryError",
    "Worker",
    "WorkerCrashedError",
    "WorkerError",
    "WorkerPool",
    "WorkerStalledError",
]

_HOME: Final = {"Worker": "caf.worker.host", "WorkerPool": "caf.worker.pool"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME.get(name, "caf.worker.errors")), name)
