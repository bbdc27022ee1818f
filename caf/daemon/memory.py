"""Keeps the memory of a process that lives for months as small as what it uses, and the same from its first hour on.

And spares its event loop the long search for garbage among what stays.
"""

import ctypes
import gc
import sys
from typing import Final

__all__ = ["bound_malloc", "settle_interned", "settle_objects"]

_M_MMAP_THRESHOLD: Final = -3
"""mallopt(3): allocations from this size on are maps of their own, which go back to the system when they are freed."""
_OWN_MAP_BYTES: Final = 128 * 1024
_M_ARENA_MAX: Final = -8
"""mallopt(3): the most arenas that are made."""
_ARENAS: Final = 2
_NAMES: Final = 100_000
"""More than the table of interned strings has room for after an import of everything that a daemon needs."""


def bound_malloc() -> bool:
    """Have malloc give back what is free; True where that can be told. To be called before there are threads.

    By default glibc gives an arena to each new thread, up to eight a processor, and each keeps what it once held; and
    it raises the size of what it gives back at once to that of the largest block freed so far. The resident memory of
    a daemon whose threads come and go grows for hours by both.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False  # another C library: its business
    arenas = mallopt(_M_ARENA_MAX, _ARENAS) == 1
    return bool(mallopt(_M_MMAP_THRESHOLD, _OWN_MAP_BYTES) == 1 and arenas)


def settle_interned() -> None:
    """Let the table of interned strings take the size that it would have after some hours.

    `pathlib` interns every part of a path, and a part that is forgotten leaves its slot used up, until the table is
    made anew at three times what is in it: some 2 MB more, once, after a few thousand jobs.
    """
    for number in range(_NAMES):
        sys.intern(f"caf interned {number}")


def settle_objects() -> None:
    """Spare what is there now from being looked at whenever the oldest garbage is collected.

    A daemon's modules and its folds of the log stay until it ends. To go through them, with the interpreter's lock
    held, is what takes the event loop longest: 40 to 100 ms on two busy processors after an import alone, and the more
    the longer the log is.
    """
    gc.collect()
    gc.freeze()
