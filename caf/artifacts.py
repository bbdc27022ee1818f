"""The artifact store: files under their SHA-256 (`ab/cdef…`), written aside, fsynced, renamed."""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from caf.errors import NO_ROOM, InputError, TryAgainError
from caf.events import Artifact
from caf.sha256 import sha256_of

__all__ = ["ArtifactStore", "disk_errors", "replacing", "sync_folder", "write_atomically"]

CHUNK: Final = 1 << 20
MOST_PROVED: Final = 2048
"""Files that are remembered as proved; then all are forgotten, and read once more when they are wanted."""
NOT_WRITABLE: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


class ArtifactStore:
    """Content-addressed files below one folder; safe for several processes, a repeated write is a no-op."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._proved: dict[str, tuple[int, int, int]] = {}

    def path(self, sha256: str) -> Path:
        """Where the content with this digest is, or would be."""
        return self.root / sha256[:2] / sha256[2:]

    def verify(self, artifact: Artifact) -> str | None:
        """None when the content has its digest, else what is wrong with it."""
        path = self.path(artifact.sha256)
        try:
            found = sha256_of(path)
        except FileNotFoundError:
            return f"{path} is missing"
        except OSError as fault:
            return f"{path} cannot be read: {fault.strerror}"
        return None if found == artifact.sha256 else f"{path} has the digest {found}"

    def check(self, artifact: Artifact) -> str | None:
        """As `verify`, but a file that was proved by this store is read again only once it has changed."""
        path = self.path(artifact.sha256)
        try:
            state = _state(path)
        except OSError:
            return self.verify(artifact)
        if self._proved.get(artifact.sha256) == state:
            return None
        problem = self.verify(artifact)
        if problem is None:
            if len(self._proved) >= MOST_PROVED:
                self._proved.clear()
            self._proved[artifact.sha256] = state
        return problem

    def adopt(self, path: Path, role: str) -> Artifact:
        """Move a finished file in; its name keeps only the extension. Raises `TryAgainError`, `InputError`."""
        with disk_errors(self.root):
            with path.open("rb+") as file:
                os.fsync(file.fileno())
            artifact = Artifact(
                role=role, sha256=sha256_of(path), bytes=path.stat().st_size, suffix=path.suffix.lower()
            )
            self._place(path, artifact)
        return artifact

    def take_in(self, path: Path, role: str, aside: Path) -> Artifact:
        """Copy a file of the user's in by way of the folder `aside`, on the same disk; the original stays.

        Raises `TryAgainError`, `InputError`, and what opening the original does (`FileNotFoundError`, ...).
        """
        if path.is_file():  # a pipe would be waited for
            path.open("rb").close()
        with disk_errors(self.root):
            copy = aside / f"{role}{path.suffix.lower()}"
            shutil.copyfile(path, copy)
            return self.adopt(copy, role)

    def export(self, sha256: str, to: Path) -> None:
        """Put a copy of the content at a path, atomically and proved. Raises `TryAgainError`, `InputError`."""
        digest = hashlib.sha256()
        with disk_errors(to):
            to.parent.mkdir(parents=True, exist_ok=True)
            try:
                source = self.path(sha256).open("rb")
            except FileNotFoundError as fault:
                raise _lost(self.path(sha256), "is missing") from fault
            with source, replacing(to) as out:
                while piece := source.read(CHUNK):
                    digest.update(piece)
                    out.write(piece)
                if digest.hexdigest() != sha256:
                    raise _lost(self.path(sha256), f"has the digest {digest.hexdigest()}")

    def _place(self, file: Path, artifact: Artifact) -> None:
        place = self.path(artifact.sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        # Also over a file that is there: should it be damaged, this is what mends it.
        os.replace(file, place)  # noqa: PTH105 - the atomic rename itself is the point
        sync_folder(place.parent)


def _lost(path: Path, what: str) -> InputError:
    return InputError(
        f"The artifact {path} {what}.",
        remedy="Put it back from a backup, or submit the clip again: what is whole is not computed twice.",
        kind="artifact_corrupted",
    )


def _state(path: Path) -> tuple[int, int, int]:
    """What changes when a file is written to."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def write_atomically(path: Path, content: bytes) -> None:
    """The whole content or the old file, never a part. Raises `TryAgainError`, `InputError`."""
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as out:
            out.write(content)


@contextmanager
def replacing(path: Path, *, prefix: str | None = None, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` once it is whole and on the disk. Raises `OSError`.

    `prefix`: how its name begins until then.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix or f".{path.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        temporary.chmod(mode)
        os.replace(temporary, path)  # noqa: PTH105
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Have the folder's names on the disk, so that a power cut takes back no rename. Raises `OSError`."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turn what the disk says into a sentence: full (try again), read-only (bad workspace)."""
    try:
        yield
    except OSError as fault:
        if fault.errno in NO_ROOM:
            raise TryAgainError(
                f"There is no room left on the disk of {place}.",
                remedy="Free some space, then go on with: caf resume JOB",
                kind="disk_full",
            ) from fault
        if fault.errno in NOT_WRITABLE:
            raise InputError(
                f"{place} cannot be read or written: {fault.strerror}.",
                remedy="Choose a workspace you may write to with --workspace DIR, or mend its permissions.",
                kind="workspace_read_only",
            ) from fault
        raise
