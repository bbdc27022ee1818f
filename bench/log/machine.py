"""What a figure depends on: processor, memory, disk, versions, and who else was at work."""

import os
import platform
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["load", "machine", "versions"]

PEERS = ("eventsourcing", "dbos", "eventsource-py", "umadb", "aiosqlite", "msgspec")


def machine(folder: Path) -> str:
    """One line, without names."""
    words = [
        f"{os.cpu_count()} × {_processor()}",
        f"{_memory_gib()} GiB",
        f"{platform.system()} {platform.release()}",
    ]
    if filesystem := _filesystem(folder):
        words.append(filesystem)
    return ", ".join(words)


def versions() -> str:
    """Python, SQLite and every peer that is installed."""
    words = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    for name in PEERS:
        try:
            words.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            words.append(f"{name} not installed")
    return ", ".join(words)


def load() -> str:
    """Of the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _filesystem(folder: Path) -> str:
    """The type of the filesystem, where the system tells."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    place, best, kind = str(folder.resolve()), "", ""
    for line in lines:
        mount, _, rest = line.partition(" - ")
        point = mount.split()[4]
        if (place + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
            best, kind = point, rest.split()[0]
    return kind
