"""How many processes share a clip; light, because the caller's side imports it too."""

import os
from typing import Final

__all__ = ["MOST_BY_ITSELF", "MOST_WORKERS", "processors", "processors_each", "workers_for"]

MOST_BY_ITSELF: Final = 4
"""More only when it is said: each takes 0.3 GB at 640x360, and what parts find twice grows with their number."""

MOST_WORKERS: Final = 64


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processors_each(sharers: int) -> int:
    """What each of so many may take of them; at least one."""
    return max(1, processors() // sharers)


def workers_for(configured: int, tasks_at_once: int) -> int:
    """As configured; 0 stands for a fair share of the processors, at most `MOST_BY_ITSELF`."""
    return configured or min(MOST_BY_ITSELF, processors_each(tasks_at_once))
