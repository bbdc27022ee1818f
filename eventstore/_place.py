"""Where a log lies: network filesystems are refused where they can be told."""

import os
import re
from pathlib import Path
from typing import Final

from eventstore.errors import StoreIncompatible

__all__ = ["check_place", "filesystem_at"]

_NETWORK: Final = frozenset(
    {"afs", "ceph", "cifs", "fuse.glusterfs", "fuse.rclone", "fuse.sshfs", "gfs2", "ncpfs", "nfs", "nfs4"}
    | {"ocfs2", "smb3", "smbfs"}
)
"""Their locks or their shared memory do not hold between machines (https://sqlite.org/wal.html, point 2)."""


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
