"""Copies single files into a backup: each whole and synced, or not at all."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from caf.artifacts import ArtifactStore, replacing, sync_folder
from caf.events import Artifact
from caf.sha256 import sha256_of

__all__ = ["CannotKeep", "copy_artifact", "copy_document", "documents", "sweep"]

_CHUNK: Final = 1 << 20
_KEPT: Final = ("jobs", "inbox", "dist_artifacts", "logs")
_NO_LINKS: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP})
_ASIDE: Final = ".backup-"


class CannotKeep(Exception):  # noqa: N818 - of one file; told in the report
    """A file of the workspace is missing, damaged or not to be read."""


def copy_artifact(source: ArtifactStore, target: ArtifactStore, artifact: Artifact, *, link: bool) -> int:
    """Bring one artifact over and prove it; the bytes that were copied, 0 where it was there already.

    One that was proved when it came and has its size still is not read again. Raises `CannotKeep`, `OSError`.
    """
    place, origin = target.path(artifact.sha256), source.path(artifact.sha256)
    with suppress(FileNotFoundError):
        if place.stat().st_size == artifact.bytes:
            return 0
    place.parent.mkdir(parents=True, exist_ok=True)
    if link:
        try:
            if sha256_of(origin) != artifact.sha256:
                raise CannotKeep(f"{origin} has not the digest that the log says")
            place.unlink(missing_ok=True)
            os.link(origin, place)
        except FileNotFoundError as fault:
            raise CannotKeep(f"{origin} is missing") from fault
        except OSError as fault:
            if fault.errno not in _NO_LINKS:
                raise
        else:
            sync_folder(place.parent)
            return artifact.bytes
    digest = hashlib.sha256()
    try:
        with origin.open("rb") as content, replacing(place, prefix=_ASIDE, mode=0o600) as out:
            while piece := content.read(_CHUNK):
                digest.update(piece)
                out.write(piece)
            if digest.hexdigest() != artifact.sha256:
                raise CannotKeep(f"{origin} has not the digest that the log says")
    except FileNotFoundError as fault:
        raise CannotKeep(f"{origin} is missing") from fault
    return artifact.bytes


def documents(root: Path, settings: tuple[str | None, ...], *, secret: str | None) -> Iterator[Path]:
    """What people and tools put into a workspace, relative to it: settings, jobs, clips, answers, outcomes.

    Not what is an artifact (`final.mp4` and what else lies in `sandbox/output`), and not the file with the token.
    """
    sandbox = root / "sandbox"
    secrets = {Path(secret).resolve(), (root / secret).resolve()} if secret else set()
    for name in ("caf.toml", *settings):
        if name and _is_file(root / name) and (root / name).resolve().is_relative_to(root.resolve()):
            yield (root / name).relative_to(root)
    for folder, folders, names in os.walk(sandbox):
        folders.sort()
        results = Path(folder).is_relative_to(sandbox / "output")
        for name in sorted(names):
            path = Path(folder, name)
            if name.startswith(".") or (results and path.suffix != ".json") or not _is_file(path):
                continue
            if path.resolve() not in secrets:
                yield path.relative_to(root)


def copy_document(origin: Path, place: Path) -> bool:
    """Bring a file over if it changed, with its time; False where nothing changed, or it is gone meanwhile.

    Raises `CannotKeep` for one that cannot be read, `OSError`.
    """
    if not _is_file(origin):
        return False
    try:
        content = origin.open("rb")
    except FileNotFoundError:
        return False
    except OSError as fault:
        raise CannotKeep(f"{origin} cannot be read: {fault.strerror}") from fault
    with content:
        seen = os.fstat(content.fileno())
        with suppress(OSError):
            known = place.stat()
            if (known.st_size, known.st_mtime_ns) == (seen.st_size, seen.st_mtime_ns):
                return False
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place, prefix=_ASIDE, mode=0o600) as out:
            while piece := content.read(_CHUNK):
                out.write(piece)
        os.utime(place, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    return True


def sweep(folder: Path) -> None:
    """Remove what an interrupted backup left half done."""
    for left in folder.rglob(f"{_ASIDE}*"):
        left.unlink(missing_ok=True)


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
