"""The pose model's file: the user's own, the cached one, the user's URL, or built from a pinned wheel."""

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Final

from caf.errors import InputError, TryAgainError, UnavailableError
from caf.ports import Progress
from caf.pose.source import FetchedModel, ModelSource
from caf.pose.wheel import BLAZEPOSE, PinnedWheel, fetch_networks, unavailable
from caf.sha256 import sha256_of

__all__ = ["cache_folder", "ensure_model", "fetch_model"]

_RECIPE: Final = "blazepose-full-1"
"""Raised when the bundle is put together in another way, so that old ones are not taken for new."""

_SLIMMED: Final = "slimmed-1"
"""Raised when a mask is left out in another way."""

_CHUNK_BYTES: Final = 256 * 1024
_SILENCE_S: Final = 30
_POLL_S: Final = 0.2


def fetch_model(source: ModelSource, progress: Progress) -> FetchedModel:
    """`ensure_model` as a worker's task, so that it can be watched and cancelled."""
    path = ensure_model(source, progress)
    return FetchedModel(path=str(path), sha256=sha256_of(path))


def ensure_model(source: ModelSource, progress: Progress, *, wheel: PinnedWheel = BLAZEPOSE) -> Path:
    """The path of a `.task` file that is there and whole; `progress` counts bytes while fetching.

    A file of the user's own, or from their URL, is used without the branch that computes a mask, as a copy
    in the cache, where it is sure that no landmark changes (`caf.pose.bundle.without_mask`) and the cache can
    be written; otherwise as it is.

    Blocks; two processes that come at the same time fetch once. Raises UnavailableError with the kind
    `model_unavailable` when it cannot be had, InputError for a URL without a hash, TryAgainError for a
    full disk.
    """
    path = _got(source, progress, wheel)
    return path if source.path is None and source.url is None else _slimmed(path, source, progress)


def _got(source: ModelSource, progress: Progress, wheel: PinnedWheel) -> Path:
    if source.path is not None:
        return _own(Path(source.path))
    prefix, wanted = _RECIPE, None
    if source.url is not None:
        prefix, wanted = "configured", _checked_sha256(source)
    folder = cache_folder(source.cache_dir) / "models"
    if cached := _cached(folder, prefix, wanted):
        return cached
    with _disk_faults(folder), _turn(folder, progress):
        if cached := _cached(folder, prefix, wanted):
            return cached
        for leftover in folder.glob(".fetch-*"):  # of a process that was killed; ours is the only one now
            shutil.rmtree(leftover, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
            fetched = Path(scratch) / "model"
            if source.url is not None:
                _download(source.url, wanted or "", fetched, progress)
            else:
                fetched.write_bytes(_built(Path(scratch), progress, wheel))
            return _kept(fetched, folder, prefix)


def _slimmed(path: Path, source: ModelSource, progress: Progress) -> Path:
    """The copy without a mask; `path` itself where there can be none."""
    try:
        folder = cache_folder(source.cache_dir) / "models"
        prefix = f"{_SLIMMED}-{sha256_of(path)}"
        if cached := _cached(folder, prefix, None):
            return cached
        with _turn(folder, progress), tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as scratch:
            from caf.pose.bundle import without_mask  # loads MediaPipe

            if (slim := without_mask(path.read_bytes())) is None:
                return path
            made = Path(scratch) / "model"
            made.write_bytes(slim)
            return _kept(made, folder, prefix)
    except (OSError, UnavailableError):
        return path


def cache_folder(configured: str | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """Where fetched files are kept: as configured, CAF_CACHE_DIR, or caf in the user's cache folder.

    Raises UnavailableError where there is no home to keep it in.
    """
    try:
        if chosen := configured or environ.get("CAF_CACHE_DIR"):
            return Path(chosen).expanduser()
        user = environ.get("XDG_CACHE_HOME")
        return (Path(user) if user else Path.home() / ".cache") / "caf"
    except RuntimeError as error:  # a user id without a name, as containers have
        raise UnavailableError(
            "There is no folder to keep the pose model in: this user has no home.",
            remedy="Set CAF_CACHE_DIR to a folder that can be written.",
            kind="model_unavailable",
        ) from error


def _own(path: Path) -> Path:
    if not path.is_file():
        what = "does not exist" if not path.exists() else "is not a file"
    elif not zipfile.is_zipfile(path):
        what = "is not a .task bundle"
    else:
        return path
    raise UnavailableError(
        f"The configured pose model {path} {what}.",
        remedy="Correct model_path (CAF_MODEL_PATH), or leave it out to have the model fetched.",
        kind="model_unavailable",
    )


def _checked_sha256(source: ModelSource) -> str:
    digest = (source.sha256 or "").lower()
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise InputError(
            f"model_url is set to {source.url}, but model_sha256 is not the 64 hex digits of a SHA-256.",
            remedy="Set model_sha256 (CAF_MODEL_SHA256) to the digest of the file at that address.",
            kind="bad_setting",
        )
    return digest


def _cached(folder: Path, prefix: str, wanted: str | None) -> Path | None:
    """A file whose name tells its true digest; a damaged one is removed."""
    for path in sorted(folder.glob(f"{prefix}-{wanted or '*'}.task")):
        with contextlib.suppress(OSError):
            if sha256_of(path) == path.stem.rpartition("-")[2]:
                return path
            path.unlink()
    return None


def _kept(fetched: Path, folder: Path, prefix: str) -> Path:
    final = folder / f"{prefix}-{sha256_of(fetched)}.task"
    with fetched.open("rb") as file:
        os.fsync(file.fileno())
    return fetched.replace(final)


def _built(scratch: Path, progress: Progress, wheel: PinnedWheel) -> bytes:
    detector, landmarks = fetch_networks(scratch, progress, wheel)
    from caf.pose.bundle import build_bundle  # loads MediaPipe: only when there is something to build

    return build_bundle(detector, landmarks)


def _download(url: str, wanted: str, to: Path, progress: Progress) -> None:
    if urllib.parse.urlsplit(url).scheme not in ("http", "https", "file"):
        raise InputError(
            f"model_url {url} is not an http, https or file address.",
            remedy="Correct model_url (CAF_MODEL_URL).",
            kind="bad_setting",
        )
    digest, done = hashlib.sha256(), 0
    try:
        with urllib.request.urlopen(url, timeout=_SILENCE_S) as answer, to.open("wb") as file:  # noqa: S310
            length = answer.headers.get("Content-Length")
            total = int(length) if length and length.isdecimal() else None
            while chunk := answer.read(_CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                progress(done, total)
    except (OSError, HTTPException, ValueError) as error:  # ValueError: an address that is none
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise unavailable(f"The pose model cannot be fetched from {url}: {error}.") from error
    if digest.hexdigest() != wanted:
        raise unavailable(f"The file at {url} has another SHA-256 than model_sha256: {digest.hexdigest()}.")


@contextlib.contextmanager
def _turn(folder: Path, progress: Progress) -> Iterator[None]:
    """One process at a time; a dead one's lock is free at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("ab") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress(0, None)  # the other one's progress is watched over there
                time.sleep(_POLL_S)
        yield


@contextlib.contextmanager
def _disk_faults(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise TryAgainError(
                f"There is no space left for the pose model in {folder}.",
                remedy="Free 60 MB there, or set CAF_CACHE_DIR to another folder.",
                kind="disk_full",
                transient=True,
            ) from error
        raise UnavailableError(
            f"The pose model cannot be kept in {folder}: {error.strerror or error}.",
            remedy="Set CAF_CACHE_DIR to a folder that can be written.",
            kind="model_unavailable",
        ) from error
