"""The workspace as a place: whether it can be written, how much room is left, who may see it, what can be watched."""

import os
import shutil
import stat
from pathlib import Path
from typing import Final

from caf.config import Config
from caf.doctor.finding import Finding, bad, good, warning
from caf.workspace import Workspace
from eventstore import StoreIncompatible, check_place

__all__ = ["filesystem", "folder", "permissions", "watches"]

_LITTLE_BYTES: Final = 5 * 1024**3
"""What ten seconds in Full HD took with two attempts, three times over: docs/operations.md, sizing."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_INOTIFY: Final = Path("/proc/sys/fs/inotify")


def folder(workspace: Workspace) -> list[Finding]:
    place = _existing(workspace.root)
    found = []
    if os.access(place, os.W_OK | os.X_OK):
        found.append(good("workspace", f"{workspace.root} can be written"))
    else:
        remedy = "Give write access to it, or name another folder with --workspace DIR."
        found.append(bad("workspace", f"{place} cannot be written", remedy))
    free = shutil.disk_usage(place).free
    what = f"{free / 1024**3:.1f} GiB free under {place}"
    if free < _LITTLE_BYTES:
        remedy = "Free some space: a job that meets a full disk stops and is resumed later."
        found.append(warning("disk", what, remedy))
    else:
        found.append(good("disk", what))
    return found


def filesystem(workspace: Workspace) -> Finding:
    try:
        check_place(workspace.log)
    except StoreIncompatible as fault:
        return bad("filesystem", fault.message, "Move the workspace to a local disk.")
    return good("filesystem", "not on a network filesystem that is known to lose logs")


def permissions(workspace: Workspace, config: Config) -> Finding:
    """What must be written can be, and what is secret or personal is not everybody's to read."""
    closed = [
        str(path)
        for path in (
            workspace.own,
            workspace.artifacts,
            *(workspace.sandbox / name for name in ("jobs", "inbox", "output", "logs", "dist_artifacts")),
        )
        if path.exists() and not os.access(path, os.W_OK | os.X_OK | os.R_OK)
    ]
    if closed:
        who = f"user {os.geteuid()}"
        return bad(
            "permissions", f"{who} may not write in {', '.join(closed)}", f"chown or chmod {closed[0]}"
        )
    secrets = [workspace.log, *([Path(config.token_file)] if config.token_file else [])]
    seen = [str(path) for path in secrets if _mode(path) & _OTHERS]
    if seen:
        return warning("permissions", f"others may open {', '.join(seen)}", f"chmod 600 {' '.join(seen)}")
    return good("permissions", "what is written can be, and what is secret is not open to others")


def watches(workspace: Workspace) -> Finding:
    """Whether the daemon can be told of new files, or has to look every few seconds."""
    most = _number(_INOTIFY / "max_user_watches")
    instances = _number(_INOTIFY / "max_user_instances")
    if most is None or instances is None:
        return good("watches", "this system has no inotify; the daemon looks every few seconds as well")
    needed = sum(
        1 for name in ("jobs", "inbox", "dist_artifacts") for _, _, _ in os.walk(workspace.sandbox / name)
    )
    what = f"{needed} folders to watch, {most} allowed to this user in all, by {instances} programs"
    if needed * 2 > most:
        more = f"sysctl fs.inotify.max_user_watches={max(65536, needed * 4)}"
        remedy = f"Allow more: {more}. Until then the daemon looks by itself, every few seconds."
        return warning("watches", what, remedy)
    return good("watches", what)


def _existing(path: Path) -> Path:
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None
