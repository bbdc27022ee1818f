"""Where a log lies: its path, and network filesystems, which are refused where they can be told."""

import os
import re
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Final

from eventstore.errors import InvalidArgument, StoreIncompatible

__all__ = ["check_place", "clash", "filesystem_at", "log_path"]

_NETWORK: Final = frozenset(
    {"afs", "ceph", "cifs", "fuse.glusterfs", "fuse.rclone", "fuse.sshfs", "gfs2", "ncpfs", "nfs", "nfs4"}
    | {"ocfs2", "smb3", "smbfs"}
)
"""Their locks or their shared memory do not hold between machines (https://sqlite.org/wal.html, point 2)."""


def clash(one: str, other: str) -> bool:
    """Whether two logs of these names in one folder would share a file: what lies beside a log is called as it is,
    and more behind a dash."""
    return one == other or one.startswith(f"{other}-") or other.startswith(f"{one}-")


def log_path(path: str | Path) -> Path:
    """The path of a log, behind all links: what lies beside a log lies beside its file, whatever name that is given.

    Raises `InvalidArgument` for what no file can be called, `StoreIncompatible` for what is there and no file.
    """
    try:
        real = os.path.realpath(path)
        there = os.stat(real) if os.path.lexists(real) else None  # noqa: PTH116 - as below
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"{path!r} is no path: {error}.", remedy="Name a file.") from error
    except OSError:
        # What is wrong with it, whoever opens it will say.
        there = None
    if not isinstance(real, str):
        raise InvalidArgument(f"{path!r} is no path of text.", remedy="Name a file by a str or a Path.")
    if there is not None and not S_ISREG(there.st_mode):
        kind = "a folder" if S_ISDIR(there.st_mode) else "a device, pipe or socket"
        raise StoreIncompatible(f"{real} is {kind}, not an event log.", remedy="Name the file.")
    return Path(real)


def filesystem_at(path: str, mountinfo: str) -> str | None:
    """The type of the filesystem that holds `path`, by the text of /proc/self/mountinfo (proc(5))."""
    best, found = "", None
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if not separator or len(fields) < 5 or not kind:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # The last of equal mount points covers the earlier ones.
        if inside and len(point) >= len(best):
            best, found = point, kind[0]
    return found


def check_place(path: Path) -> None:
    """Raise `StoreIncompatible` if `path` lies on a filesystem that is known to break SQLite's WAL."""
    try:
        mountinfo = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return
    kind = filesystem_at(os.path.realpath(path), mountinfo)
    if kind in _NETWORK:
        raise StoreIncompatible(
            f"{path} lies on a network filesystem ({kind}), where a log can be lost.",
            remedy="Put it on a local disk.",
        )
