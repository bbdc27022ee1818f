"""Hidden folders for what a tool has not finished, beside what it writes; and putting it in its place."""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from caf.artifacts import replacing

__all__ = ["put", "scratch_in"]

_NAME: Final = re.compile(r"\.caf-(?:pose|stabilize)-[a-z0-9_]{8}")


@contextlib.contextmanager
def scratch_in(folder: Path, tool: str) -> Iterator[Path]:
    """An empty folder in `folder`, gone afterwards; what killed processes left there goes now. Raises `OSError`."""
    _sweep(folder)
    made, lock = _held(folder, f".caf-{tool}-")
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        os.close(lock)


def _sweep(folder: Path) -> None:
    """Remove the scratch folders of processes that are gone: their locks went with them, however they ended."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _NAME.fullmatch(path.name) and not path.is_symlink():
                with contextlib.suppress(OSError):  # in use, or not ours: it stays
                    lock = _locked(path)
                    shutil.rmtree(path, ignore_errors=True)
                    os.close(lock)


def _held(folder: Path, prefix: str) -> tuple[Path, int]:
    """A new folder and its lock, which the system takes back when this process ends."""
    while True:
        made = Path(tempfile.mkdtemp(dir=folder, prefix=prefix))
        try:
            lock = _locked(made)
        except (BlockingIOError, FileNotFoundError):  # another one swept before it was locked
            continue
        except OSError:  # no locks on this filesystem: then nobody sweeps here either
            return made, os.open(made, os.O_RDONLY)
        if made.exists():
            return made, lock
        os.close(lock)


def _locked(path: Path) -> int:
    """Its descriptor, with the lock. Raises `OSError`: `BlockingIOError` where another process has it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def put(file: Path, place: Path) -> None:
    """Move a finished file to its place at once, also from another filesystem. Raises `OSError`."""
    try:
        file.replace(place)
    except OSError as fault:
        if fault.errno != errno.EXDEV:
            raise
        with file.open("rb") as source, replacing(place) as out:
            shutil.copyfileobj(source, out)
