"""Keeps the memory of a process that lives for months as small as what it uses."""

import ctypes
from typing import Final

__all__ = ["share_arenas"]

_M_ARENA_MAX: Final = -8
"""mallopt(3): the most arenas that are made."""
_ARENAS: Final = 2


def share_arenas() -> bool:
    """Have all threads share two arenas of malloc; True where that can be told.

    By default glibc gives an arena to each new thread, up to eight a processor, and each keeps what it once held:
    the resident memory of a daemon whose threads come and go grows for hours. To be called before there are threads.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False  # another C library: its business
    return bool(mallopt(_M_ARENA_MAX, _ARENAS) == 1)
