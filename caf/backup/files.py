"""Copies single files into a backup: each whole and synced, or not at all."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO, Final

from caf.artifacts import ArtifactStore, replacing, sync_folder
from caf.events import Artifact

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
        with _opened(origin) as content:
            _prove(content, origin, artifact)
        try:
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
    with _opened(origin) as content, replacing(place, prefix=_ASIDE, mode=0o600) as out:
        _prove(content, origin, artifact, out)
    return artifact.bytes


def _prove(content: BinaryIO, origin: Path, artifact: Artifact, out: BinaryIO | None = None) -> None:
    """Raises `CannotKeep` for a file that is not what the log says; `out` gets what it holds."""
    digest = hashlib.sha256()
    for piece in _pieces(content, origin):
        digest.update(piece)
        if out is not None:
            out.write(piece)
    if digest.hexdigest() != artifact.sha256:
        raise CannotKeep(f"{origin} has not the digest that the log says")


def documents(
    root: Path, settings: tuple[str | None, ...], *, secret: str | None, aside: Path, problems: list[str]
) -> Iterator[Path]:
    """What people and tools put into a workspace, relative to it: settings, jobs, clips, answers, outcomes.

    Not what is an artifact (`final.mp4` and what else lies in `sandbox/output`), and not the file with the token.
    Folders that are links are gone into, but for those that lead to the workspace or to the backup `aside`;
    `problems` is told of folders that cannot be read.
    """

    def unreadable(fault: OSError) -> None:
        if not isinstance(fault, FileNotFoundError | NotADirectoryError):  # gone meanwhile
            problems.append(f"{fault.filename} cannot be read: {fault.strerror}")

    sandbox = root / "sandbox"
    secrets = {Path(secret).resolve(), (root / secret).resolve()} if secret else set()
    for name in ("caf.toml", *settings):
        if name and _is_file(root / name) and (root / name).resolve().is_relative_to(root.resolve()):
            yield (root / name).relative_to(root)
    whole = root.resolve()
    away = (whole / ".caf", aside.resolve())
    for folder, folders, names in os.walk(sandbox, onerror=unreadable, followlinks=True):
        folders[:] = [name for name in sorted(folders) if _leads_on(Path(folder, name), whole, away)]
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
        content = _opened(origin)
    except CannotKeep as fault:
        if isinstance(fault.__cause__, FileNotFoundError):
            return False
        raise
    with content:
        seen = os.fstat(content.fileno())
        with suppress(OSError):
            known = place.stat()
            if (known.st_size, known.st_mtime_ns) == (seen.st_size, seen.st_mtime_ns):
                return False
        _make_way(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place, prefix=_ASIDE, mode=0o600) as out:
            for piece in _pieces(content, origin):
                out.write(piece)
        os.utime(place, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    return True


def _make_way(place: Path) -> None:
    """Where a file was and a folder is now, or the other way round, the old one stays under a hidden name."""
    for one in (place, *place.parents):
        if one.is_dir() and one != place:
            return
        if one.is_dir() or (one != place and os.path.lexists(one)):
            names = (one.with_name(f".{one.name}.{number}") for number in count(1))
            one.rename(next(name for name in names if not os.path.lexists(name)))
            return


def sweep(folder: Path) -> None:
    """Remove what an interrupted backup left half done."""
    for left in folder.rglob(f"{_ASIDE}*"):
        left.unlink(missing_ok=True)


def _leads_on(folder: Path, root: Path, away: tuple[Path, ...]) -> bool:
    """Whether a folder is to be gone into: no link to what holds it or the workspace, and nothing of `away`."""
    real = Path(os.path.realpath(folder))
    if real in away or root.is_relative_to(real):
        return False
    return not os.path.islink(folder) or all(parent.resolve() != real for parent in folder.parents)  # noqa: PTH114


def _opened(origin: Path) -> BinaryIO:
    try:
        return origin.open("rb")
    except FileNotFoundError as fault:
        raise CannotKeep(f"{origin} is missing") from fault
    except OSError as fault:
        raise _unreadable(origin, fault) from fault


def _pieces(content: BinaryIO, origin: Path) -> Iterator[bytes]:
    """What reading raises is the workspace's fault, what writing raises the backup's."""
    try:
        while piece := content.read(_CHUNK):
            yield piece
    except OSError as fault:
        raise _unreadable(origin, fault) from fault


def _unreadable(origin: Path, fault: OSError) -> CannotKeep:
    return CannotKeep(f"{origin} cannot be read: {fault.strerror}")


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
