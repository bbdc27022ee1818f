"""One daemon a workspace: a lock that ends with the process that holds it, however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import msgspec
from msgspec import Struct

from caf.artifacts import disk_errors, write_atomically
from caf.errors import TryAgainError

__all__ = ["Address", "daemon_address", "hold_daemon_lock", "publish_address"]

_LOOKS: Final = 20
_LOOK_S: Final = 0.01


class Address(Struct, frozen=True, kw_only=True):
    """Where the daemon of a workspace is, as it wrote it down itself."""

    pid: int
    url: str
    """Empty while it starts, and where it has no HTTP API."""


@contextmanager
def hold_daemon_lock(folder: Path) -> Iterator[None]:
    """Be the daemon of the workspace whose own folder this is. Raises `TryAgainError` when another one is."""
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = _lock_file(folder).open("a+")
    with file:
        if not _locked(file):
            other = daemon_address(folder)
            who = f" (process {other.pid}{', ' + other.url if other.url else ''})" if other else ""
            raise TryAgainError(
                f"Another daemon serves this workspace{who}.",
                remedy="Ask it with: caf status. To replace it, end it first (systemctl stop, or SIGTERM).",
                kind="daemon_running",
            )
        with suppress(OSError):
            _address_file(folder).unlink()  # of one that was killed
        try:
            yield
        finally:
            with suppress(OSError):
                _address_file(folder).unlink()


def publish_address(folder: Path, url: str) -> None:
    """Write down where this process listens, for the command line. Raises `TryAgainError`, `InputError`."""
    address = Address(pid=os.getpid(), url=url)
    write_atomically(_address_file(folder), msgspec.json.encode(address) + b"\n")


def daemon_address(folder: Path) -> Address | None:
    """Where the daemon is that runs now; None when none does, whatever an old file says."""
    try:
        with _lock_file(folder).open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return msgspec.json.decode(_address_file(folder).read_bytes(), type=Address)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        pass
    return None


def _locked(file: IO[str]) -> bool:
    """Take the lock; whoever only looks whether a daemon runs has it too, for a moment, and is waited for."""
    for _ in range(_LOOKS):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOOK_S)
        else:
            return True
    return False


def _lock_file(folder: Path) -> Path:
    return folder / "daemon.lock"


def _address_file(folder: Path) -> Path:
    return folder / "daemon.json"
