"""What says of a folder that it is a finished backup, and of which log; and who may write there now."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from caf.artifacts import disk_errors, sync_folder, write_atomically
from caf.errors import InputError, TryAgainError

__all__ = ["MARKER", "Marker", "announce", "announced", "hold", "mark", "marker_of"]

MARKER: Final = "backup.json"
"""Stands in a finished backup, and only there."""
NEXT: Final = "backup.next.json"
"""The marker to be, while the backup is being made."""
_LOCK: Final = "backup.lock"
_VERSION: Final = "caf_backup.v1"


class Marker(Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    version: str = _VERSION
    workspace: str
    made_at: str
    caf_version: str
    events: Annotated[int, Meta(ge=0)]
    head_digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    """Of the log's chain; a copy of it elsewhere proves the log."""
    last_event_id: str
    """Tells the log from any other; empty for a log without events."""
    artifacts: int


def marker_of(folder: Path) -> Marker | None:
    """The marker of a finished backup; None where there is none, or none that can be read."""
    return _read(folder / MARKER)


def announced(folder: Path) -> Marker | None:
    """What an interrupted backup was about to become."""
    return _read(folder / NEXT)


def announce(folder: Path, marker: Marker) -> None:
    """Write down what the folder is about to become, so that an interrupted swap can be told from foreign work."""
    write_atomically(folder / NEXT, msgspec.json.format(msgspec.json.encode(marker)) + b"\n")


def mark(folder: Path) -> None:
    """What was announced is so: the backup is finished."""
    with disk_errors(folder):
        os.replace(folder / NEXT, folder / MARKER)  # noqa: PTH105 - the atomic rename itself is the point
        sync_folder(folder)


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Be the one process that writes into a folder of backups, made here if need be.

    Raises `InputError` for a folder with other things in it, `TryAgainError` while another backup is made there.
    """
    with disk_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is no folder.", remedy="Name a new folder.", kind="not_a_backup")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / _LOCK).exists():
            raise InputError(
                f"{folder} has other things in it, and is no backup of caf.",
                remedy="Name a new or an empty folder, or one that caf backup made.",
                kind="not_a_backup",
            )
        file = (folder / _LOCK).open("a")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as fault:
            raise TryAgainError(
                f"Another process is making a backup in {folder}.",
                remedy="Wait for it, or name another folder.",
                kind="backup_busy",
            ) from fault
        yield


def _read(path: Path) -> Marker | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Marker)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
