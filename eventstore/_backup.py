"""New log files that appear whole or not at all."""

import contextlib
import filecmp
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from eventstore._archives import archive_files
from eventstore._place import check_place
from eventstore._reader import Reader
from eventstore._schema import explain
from eventstore.errors import InvalidArgument, StoreCorrupt, StoreReadOnly
from eventstore.model import VerifyReport

__all__ = ["backup", "new_log", "proved", "verified"]


@contextlib.contextmanager
def new_log(path: Path) -> Iterator[Path]:
    """Where to write what shall become the log at `path`; put there, synced, if the block ends well.

    Raises `InvalidArgument` if there is a file already, `StoreReadOnly` if none can be made.
    """
    if os.path.lexists(path):
        raise InvalidArgument(f"There is a file at {path} already.", remedy="Name a new file.")
    check_place(path)
    # In a folder of its own: SQLite puts further files beside it.
    work = path.with_name(f".{path.name}.new-{os.getpid()}")
    try:
        work.mkdir(mode=0o700)
    except OSError as error:
        raise StoreReadOnly(
            f"Cannot write beside {path}: {error.strerror}.", remedy="Name a folder that can be written."
        ) from error
    try:
        yield work / "log"
        _sync(work / "log")
        try:
            # Unlike a rename, a link never replaces a file that has come in the meantime.
            os.link(work / "log", path)
        except FileExistsError:
            raise InvalidArgument(f"There is a file at {path} already.", remedy="Name a new file.") from None
        _sync(path.parent)
    finally:
        for file in work.iterdir():
            file.unlink()
        work.rmdir()


def backup(reader: Reader, target: Path) -> VerifyReport:
    """Copy what `reader` sees to `target`, and read it back."""
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
    if not (target.is_file() and filecmp.cmp(source, target, shallow=False)):
        with new_log(target) as path:
            shutil.copyfile(source, path)
            path.chmod(0o600)


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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
