"""What a dead child died of."""

import signal
from typing import Final

from caf.worker.errors import OutOfMemoryError, WorkerCrashedError, WorkerError

__all__ = ["cause_of_death", "last_words"]

_NEAR_THE_LIMIT: Final = 0.8
_SIGNS_OF_NO_MEMORY: Final = ("bad_alloc", "Cannot allocate memory", "MemoryError", "out of memory")
_FAULTHANDLER: Final = "Fatal Python error:"
"""Where faulthandler's report begins, which follows what the dying code itself printed."""


def cause_of_death(
    task: str,
    returncode: int,
    words: str,
    *,
    limit_bytes: int | None,
    peak_bytes: int,
    system_killed_for_memory: bool,
) -> WorkerError:
    """The error for a child that ended without an answer; `returncode` is negative for a signal."""
    if any(sign in words for sign in _SIGNS_OF_NO_MEMORY):
        return OutOfMemoryError(task, limit_bytes)
    if returncode == -signal.SIGKILL:
        if limit_bytes is not None and peak_bytes >= _NEAR_THE_LIMIT * limit_bytes:
            return OutOfMemoryError(task, limit_bytes)
        if system_killed_for_memory:
            return OutOfMemoryError(task, None)
    return WorkerCrashedError(task, _named(returncode), words)


def last_words(printed: bytes) -> str:
    """The last line that the child printed before it died; empty when there is none."""
    text = printed.decode("utf-8", "replace")
    before, fatal, after = text.partition(_FAULTHANDLER)
    lines = [line.strip() for line in before.splitlines() if line.strip()]
    if lines:
        return lines[-1]
    return f"{fatal}{after}".strip().partition("\n")[0]


def _named(returncode: int) -> str:
    if returncode >= 0:
        return f"exit {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"
