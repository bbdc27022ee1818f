"""Disks that fail: a file system of its own that fills up, turns read-only, or loses its power."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

import pytest

from eventstore._schema import PAGE_BYTES
from tests.crash.daemon import Daemon, until

__all__ = ["cut_wal", "filesystem", "filled", "memory_disk", "mounted", "stopped"]

IMAGE_BYTES: Final = 160 * 2**20
FRAME_BYTES: Final = PAGE_BYTES + 24
CHUNK: Final = 64 * 1024


def run(*command: str | Path) -> None:
    """A command of the system. Raises `CalledProcessError`."""
    subprocess.run(command, check=True, capture_output=True)


@contextlib.contextmanager
def mounted(what: str | Path, place: Path, *options: str) -> Iterator[Path]:
    """Something mounted at a place. Skips the test where this machine does not allow it."""
    place.mkdir(exist_ok=True)
    try:
        run("mount", *options, what, place)
    except (OSError, subprocess.CalledProcessError) as fault:
        pytest.skip(f"cannot mount here: {getattr(fault, 'stderr', fault)!r}")
    try:
        yield place
    finally:
        until(lambda: _unmounted(place), f"{place} to be let go", 60)


def _unmounted(place: Path) -> bool:
    """False while somebody has it open still, a process that was killed just now, say."""
    return subprocess.run(["umount", place], check=False, capture_output=True).returncode == 0


def memory_disk(place: Path, megabytes: int) -> contextlib.AbstractContextManager[Path]:
    """A small disk."""
    return mounted("tmpfs", place, "-t", "tmpfs", "-o", f"size={megabytes}m")


def filesystem(image: Path) -> Path:
    """An empty file system in a file, to be mounted with `-o loop`. Skips the test where none can be made."""
    if os.geteuid() != 0 or not shutil.which("mkfs.ext4") or not Path("/dev/loop-control").exists():
        pytest.skip("needs root, mkfs.ext4 and loop devices")
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    run("mkfs.ext4", "-q", "-F", image)
    return image


@contextlib.contextmanager
def filled(place: Path) -> Iterator[None]:
    """No room is left on a disk, to the last byte, until the end."""
    descriptor, name = tempfile.mkstemp(dir=place, prefix="filler-")
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        for size in (CHUNK, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    try:
        yield
    finally:
        Path(name).unlink()


@contextlib.contextmanager
def stopped(daemon: Daemon) -> Iterator[None]:
    """The daemon and its children stand still."""
    pids = [daemon.pid, *daemon.children()]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: all(map(_stands, pids)), "the daemon to stand still")
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def cut_wal(log: Path, keep: int, chance: Random) -> int:
    """What a power cut may leave of the log of a daemon that is gone; how many events that took.

    The WAL ends at any byte behind the event at position `keep`, which was on disk for sure: it was acknowledged.
    """
    wal = log.with_name(f"{log.name}-wal")
    if not wal.exists() or not wal.stat().st_size:
        return 0
    with tempfile.TemporaryDirectory(prefix="caf-wal-") as folder:
        copy = Path(folder) / "log.db"
        whole = wal.stat().st_size
        found = _head_of(log, copy, whole)
        shortest = _shortest(log, copy, whole, keep)
        cut = chance.randint(shortest, max(shortest, _shortest(log, copy, whole, found)))
        os.truncate(wal, cut)
        log.with_name(f"{log.name}-shm").unlink(missing_ok=True)
        return found - _head_of(log, copy, cut)


def _shortest(log: Path, copy: Path, whole: int, position: int) -> int:
    """The least length of the WAL with which the log still has the event at a position."""
    low, high = 0, -(-whole // FRAME_BYTES)
    while low < high:
        middle = (low + high) // 2
        if _head_of(log, copy, min(whole, 32 + middle * FRAME_BYTES)) >= position:
            high = middle
        else:
            low = middle + 1
    return min(whole, 32 + low * FRAME_BYTES)


def _head_of(log: Path, copy: Path, wal_bytes: int) -> int:
    """The last position of the log when its WAL ends there."""
    for path in copy.parent.iterdir():
        path.unlink()
    shutil.copyfile(log, copy)
    wal = log.with_name(f"{log.name}-wal").read_bytes()[:wal_bytes]
    copy.with_name(f"{copy.name}-wal").write_bytes(wal)
    try:
        with contextlib.closing(sqlite3.connect(copy)) as opened:
            return int(opened.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()[0])
    except sqlite3.OperationalError:  # not even the tables have come to the disk
        return 0


def _stands(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TZX"
    except OSError:
        return True
