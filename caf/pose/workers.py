"""How many processes share a clip; light, because the caller's side imports it too."""

import os
from typing import Final

__all__ = ["MOST_BY_ITSELF", "MOST_WORKERS", "processors", "workers_for"]

MOST_BY_ITSELF: Final = 4
"""More only when it is said: each takes 0.3 GB at 640x360, and what parts find twice grows with their number."""

MOST_WORKERS: Final = 64


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_for(configured: int, tasks_at_once: int) -> int:
    """As configured; 0 stands for a fair share of the processors, at most `MOST_BY_ITSELF`."""
    return configured or max(1, min(MOST_BY_ITSELF, processors() // tasks_at_once))
