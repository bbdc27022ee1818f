"""New log files that appear whole or not at all."""

import contextlib
import errno
import filecmp
import glob
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Final

from eventstore._archives import archive_files
from eventstore._place import check_place, clash
from eventstore._reader import Reader
from eventstore._schema import explain
from eventstore.errors import EventStoreError, InvalidArgument, StoreCorrupt, StoreFull, StoreReadOnly
from eventstore.model import VerifyReport

__all__ = ["backup", "new_log", "new_path", "proved", "verified"]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def new_path(path: str | Path) -> Path:
    """The path of a file to be. Raises `InvalidArgument` for what no file can be called."""
    try:
        os.lstat(path)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"{path!r} is no path: {error}.", remedy="Name a new file.") from error
    except OSError:
        pass
    return Path(os.fsdecode(path))


@contextlib.contextmanager
def new_log(path: Path) -> Iterator[Path]:
    """Where to write what shall become the log at `path`; put there, synced, if the block ends well.

    Raises `InvalidArgument` if there is a file already, `StoreReadOnly` if none can be made.
    """
    if os.path.lexists(path):
        raise InvalidArgument(f"There is a file at {path} already.", remedy="Name a new file.")
    check_place(path)
    try:
        work, descriptor = _work_folder(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        yield work / path.name
        try:
            _sync(work / path.name)
            # Unlike a rename, a link never replaces a file that has come in the meantime.
            os.link(work / path.name, path)
            _sync(path.parent)
        except FileExistsError:
            raise InvalidArgument(f"There is a file at {path} already.", remedy="Name a new file.") from None
        except OSError as error:
            raise _unwritable(path, error) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(descriptor)


def _work_folder(path: Path) -> tuple[Path, int]:
    """A folder of its own, since SQLite puts further files beside what it writes; locked while the descriptor is open.

    What processes that were killed have left of the same is removed. Raises `OSError`.
    """
    prefix = f".{path.name}.new-"
    for left in path.parent.glob(f"{glob.escape(prefix)}*"):
        with contextlib.suppress(OSError), _opened(left, _FOLDER) as descriptor:
            flock(descriptor, LOCK_EX | LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    while True:
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))
        # Somebody may have taken it for one that was left, and removed it just now.
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(work, _FOLDER)
            flock(descriptor, LOCK_EX)
            if work.exists():
                return work, descriptor
            os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> EventStoreError:
    if error.errno in _FULL:
        return StoreFull(f"There is no room for {path}: {error.strerror}.", remedy="Free some space.")
    return StoreReadOnly(
        f"Cannot write beside {path}: {error.strerror}.", remedy="Name a folder that can be written."
    )


def backup(target: Path) -> Callable[[Reader], VerifyReport]:
    """What copies to `target` what a reader sees, and reads it back.

    For `Readers.run`, which does it again where a writer came meanwhile: what was proved is a copy of one moment.
    """
    made: list[VerifyReport] = []

    def copy(reader: Reader) -> VerifyReport:
        if not made:
            made.append(_copied(reader, target))
        return made[0]

    return copy


def _copied(reader: Reader, target: Path) -> VerifyReport:
    for file in archive_files(reader.connection):
        if clash(target.name, file):
            raise InvalidArgument(
                f"A copy of this log takes its archive {file} along, and cannot be {target.name} itself.",
                remedy="Name another file.",
            )
    with new_log(target) as path:
        try:
            reader.copy(path)
            # For the reading back; they are copied to where the copy will lie once that is done.
            for file in archive_files(reader.connection):
                path.with_name(file).symlink_to(reader.path.absolute().with_name(file))
        except sqlite3.Error as error:
            raise explain(error, target) from error
        report = proved(path, "The copy")
        for file in archive_files(reader.connection):
            _copy_archive(reader.path.with_name(file), target.with_name(file))
    return report


def _copy_archive(source: Path, target: Path) -> None:
    """To the copy's side, unless it lies there already. Raises `InvalidArgument` if another file does."""
    try:
        if target.is_file() and filecmp.cmp(source, target, shallow=False):
            return
        with new_log(target) as path:
            shutil.copyfile(source, path)
            path.chmod(0o600)
    except OSError as error:
        raise _unwritable(target, error) from error


def verified(path: Path) -> VerifyReport:
    """The report of a log that nobody has open."""
    reader = Reader(path, 0.0)
    try:
        return reader.verify(None)
    finally:
        reader.close()


def proved(path: Path, what: str) -> VerifyReport:
    """The same, but raises `StoreCorrupt` for a log, called `what`, that does not verify."""
    report = verified(path)
    if report.fault is not None:
        raise StoreCorrupt(f"{what} does not verify: {report.fault.what}", remedy="Verify the log itself.")
    return report


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync(path: Path) -> None:
    with _opened(path, os.O_RDONLY) as descriptor:
        os.fsync(descriptor)
