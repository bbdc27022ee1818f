"""One writer at a time among all processes, beside SQLite's own locks.

SQLite before 3.51.3 can lose committed pages when a WAL reset in one process races a checkpoint in
another (https://sqlite.org/wal.html#walresetbug). Whoever writes or checkpoints a log holds this lock, so
that the race cannot happen between stores, with any version of SQLite.

Who holds it for long on purpose, to make the log smaller, also holds the file `<log>-archiving`: no caller is refused
because of that, and a process that was killed holds neither.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock
from pathlib import Path
from typing import Final

from eventstore.errors import StoreBusy, StoreReadOnly

__all__ = ["FileLock"]

_TAKE: Final = LOCK_EX | LOCK_NB


class FileLock:
    """An advisory lock on the file `<log>-lock`, which stays when the log is closed.

    Never on the log's own file: closing any descriptor of that would drop SQLite's locks on it.
    """

    def __init__(self, path: Path, busy_s: float) -> None:
        self._path = path
        self._sign = path.with_name(path.name + "-archiving")
        self._busy_s = busy_s
        self.held = False
        """By `hold`."""
        self._since = 0.0
        try:
            self._descriptor = os.open(
                path.with_name(path.name + "-lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            raise StoreReadOnly(
                f"Cannot lock {path} for writing: {error.strerror}.",
                remedy="Name a folder that exists and can be written.",
            ) from error

    def hold(self) -> bool:
        """Take it if it is free, and note since when."""
        if not self.try_acquire():
            return False
        self.held, self._since = True, time.monotonic()
        return True

    def let_go(self) -> None:
        """Release what `hold` took, if it did."""
        if self.held:
            self.held = False
            self.release()

    def held_s(self) -> float:
        """How long `hold` has had it."""
        return time.monotonic() - self._since

    @contextlib.contextmanager
    def held_for_long(self) -> Iterator[None]:
        """Take it, and let all who wait for it meanwhile wait on; raises `StoreBusy` as `acquire` does."""
        self.acquire()
        with contextlib.ExitStack() as after:
            with contextlib.suppress(OSError):  # no room for it: they wait as for any other holder
                sign = os.open(self._sign, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
                after.callback(os.close, sign)  # after the release: who looks sees this, or the lock free
                flock(sign, LOCK_EX)
            after.callback(self.release)
            yield

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        try:
            flock(self._descriptor, _TAKE)
        except OSError:
            # Taken; or the system is out of locks, which `acquire` then reports after its time-out.
            return False
        return True

    def acquire(self) -> None:
        """Wait for the lock; raises `StoreBusy` after the time-out, unless it is held for long on purpose."""
        wait_s = 0.00005
        deadline = 0.0
        while not self.try_acquire():
            now = time.monotonic()
            deadline = deadline or now + self._busy_s
            if now >= deadline and self._is_held_for_long():
                deadline = now + self._busy_s
            elif now >= deadline:
                raise StoreBusy(
                    f"Another process has been writing to {self._path} for {self._busy_s:g} s.",
                    remedy="Find out whether it hangs, then try again.",
                )
            time.sleep(wait_s)
            wait_s = min(wait_s * 1.5, 0.002)

    def _is_held_for_long(self) -> bool:
        try:
            sign = os.open(self._sign, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            flock(sign, LOCK_SH | LOCK_NB)
        except OSError:
            return True
        else:
            return False
        finally:
            os.close(sign)

    def release(self) -> None:
        flock(self._descriptor, LOCK_UN)

    def close(self) -> None:
        os.close(self._descriptor)
