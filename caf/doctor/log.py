"""The log: whether it is there, can be opened and is a log, and when it was last written."""

import os

import anyio

from caf.doctor.finding import Finding, bad, good
from caf.workspace import Workspace
from eventstore import EventStoreError, SqliteStore

__all__ = ["look_at_log"]


def look_at_log(workspace: Workspace) -> tuple[int | None, Finding]:
    """When its newest event was recorded, in milliseconds since the epoch, and what is to be said of it."""
    try:
        size = workspace.log.stat().st_size
    except FileNotFoundError:
        return None, _missing(workspace)
    except OSError as fault:
        what = f"{workspace.log} cannot be looked at: {fault.strerror}"
        return None, bad("log", what, "Give access to it and its folder.")
    told = f"log of {size / 1024**2:.1f} MiB"
    if not os.access(workspace.log, os.R_OK | os.W_OK):
        return None, bad("log", f"{told} that cannot be read and written", f"chown or chmod {workspace.log}")
    try:
        events, newest_ms = anyio.run(_newest, workspace)
    except EventStoreError as fault:
        return None, bad("log", f"{told} that cannot be used: {fault.message}", _RESTORE)
    return newest_ms, good("log", f"{told}, {events} events; caf verify proves what is in it")


_RESTORE = "Put it back from a backup; how: docs/operations.md"


def _missing(workspace: Workspace) -> Finding:
    if workspace.artifacts.is_dir() and any(workspace.artifacts.iterdir()):
        what = f"there is no log in {workspace.own}, though there are artifacts: what it held is lost"
        return bad("log", what, _RESTORE)
    return good("log", f"no log yet in {workspace.own}")


async def _newest(workspace: Workspace) -> tuple[int, int | None]:
    async with SqliteStore.open(workspace.log, read_only=True) as store:
        async for recorded in store.read_all(backward=True, limit=1):
            return recorded.position, recorded.recorded_at_ms
    return 0, None
