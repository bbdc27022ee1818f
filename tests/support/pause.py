"""Looking again and again for what another process does, without taking a processor from it."""

import threading
from typing import Final

__all__ = ["glance_aside"]

_NEVER: Final = threading.Event()


def glance_aside(pause_s: float = 0.002) -> None:
    """Give way between two looks; by itself for less than anything takes that is looked for."""
    _NEVER.wait(pause_s)
