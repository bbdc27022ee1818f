"""How much memory a process has used at most, giving it back, and whether the system has run out of it."""

import contextlib
import ctypes
import gc
import resource
import sys
from pathlib import Path
from typing import Final

__all__ = ["give_back_memory", "oom_kills", "peak_bytes", "reset_peak"]

_STATUS: Final = Path("/proc/self/status")
_CLEAR_REFS: Final = Path("/proc/self/clear_refs")
_VMSTAT: Final = Path("/proc/vmstat")


def reset_peak() -> None:
    """Starts `peak_bytes` anew, where the system can (Linux); elsewhere the peak is the process's."""
    with contextlib.suppress(OSError):
        _CLEAR_REFS.write_text("5", encoding="ascii")


def peak_bytes() -> int:
    """The highest resident memory of this process since `reset_peak`.

    Source: proc(5), VmHWM; getrusage(2), ru_maxrss is in KiB on Linux and in bytes on macOS.
    """
    with contextlib.suppress(OSError, ValueError):
        return _field(_STATUS.read_text(encoding="utf-8", errors="replace"), "VmHWM:") * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def give_back_memory() -> None:
    """Returns what is free to the system, so that one task's frames do not count as the next one's.

    glibc keeps freed frames in its arenas: without this a warm child grew by about 100 MB a task.
    """
    gc.collect()
    if sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another libc has no such call, and no such habit
            ctypes.CDLL(None).malloc_trim(0)


def oom_kills() -> int:
    """How many processes the system has killed for lack of memory since it started; 0 if unknown.

    Source: Linux counts system-wide and per-group kills alike in /proc/vmstat, `oom_kill`.
    """
    with contextlib.suppress(OSError, ValueError):
        return _field(_VMSTAT.read_text(encoding="ascii"), "oom_kill ")
    return 0


def _field(text: str, name: str) -> int:
    """The first number after `name` at the start of a line. Raises ValueError when there is none."""
    for line in text.splitlines():
        if line.startswith(name):
            return int(line.removeprefix(name).split()[0])
    raise ValueError(name)
