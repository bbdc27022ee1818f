"""Looking again and again for what another process does, without taking a processor from it."""

import threading
from typing import Final

__all__ = ["glance_aside"]

_NEVER: Final = threading.Event()
_BETWEEN_LOOKS_S: Final = 0.002


def glance_aside() -> None:
    """Give way between two looks, for less than anything takes that is looked for."""
    _NEVER.wait(_BETWEEN_LOOKS_S)
