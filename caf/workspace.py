"""A workspace's folders: the documents people see under `sandbox/`, caf's own files under `.caf/`."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from caf.artifacts import disk_errors
from caf.errors import InputError, TryAgainError

__all__ = ["Workspace"]

HALF_WRITTEN: Final = (".final.mp4-", ".result.json-", ".production_metrics.v1.json-")
"""How what is published is called until it is whole; a person's own hidden files are left alone."""


class Workspace:
    """Where things are below one root folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.own = self.root / ".caf"
        self.log = self.own / "log.db"
        self.projections = self.own / "projections.db"
        self.artifacts = self.own / "artifacts"
        self.sandbox = self.root / "sandbox"

    def prepare(self) -> None:
        """Make the folders. Raises `InputError` for a root that is no folder or cannot be written."""
        if self.root.exists() and not self.root.is_dir():
            raise InputError(
                f"The workspace {self.root} is not a folder.", remedy="Choose a folder with --workspace DIR."
            )
        with disk_errors(self.root):
            self.own.mkdir(parents=True, exist_ok=True)
            for name in ("jobs", "inbox", "output", "logs", "dist_artifacts"):
                (self.sandbox / name).mkdir(parents=True, exist_ok=True)

    def check_log(self) -> None:
        """Raises `InputError` for a log that was emptied: a new one would hide that the old one is lost."""
        with disk_errors(self.log):
            emptied = self.log.is_file() and not self.log.stat().st_size
            if emptied and self.artifacts.is_dir() and any(self.artifacts.iterdir()):
                raise InputError(
                    f"The log {self.log} is empty, though the workspace has artifacts: what it held is lost.",
                    remedy="Put it back from a backup (docs/operations.md), or remove it to begin a new log.",
                    kind="log_emptied",
                )

    @contextmanager
    def working_on(self, job_id: str) -> Iterator[None]:
        """Hold a job for this process, as long as it lives.

        Raises `TryAgainError` when another does, `InputError` for what can be no job's id, as an imported log may have.
        """
        if Path(job_id).name != job_id or job_id in ("", "..") or "\0" in job_id:
            raise InputError(
                f"{job_id!r} is no job's id.",
                remedy="A log that holds such a job is not caf's own; leave the job alone.",
                kind="bad_job_id",
            )
        path = self.own / "locks" / job_id
        with self._locked(path, job_id):
            self._sweep(job_id)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove what processes that are gone left half done, of whatever job."""
        left = [*(self.own / "tmp").glob("*.*"), *(self.own / "locks").glob("*")]
        for job_id in {path.name.partition(".")[0] for path in left} - {""}:  # a file manager's own, say
            with suppress(TryAgainError), self.working_on(job_id):
                pass

    def forget_kept(self, job_id: str) -> None:
        """Remove what runs of this job kept for the next one; there is none any more."""
        _remove_folders(self.own / "kept", job_id)

    @contextmanager
    def _locked(self, path: Path, job_id: str) -> Iterator[None]:
        with disk_errors(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with disk_errors(path.parent):
                file = path.open("a")
            with file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as fault:
                    raise TryAgainError(
                        f"Another process is working on job {job_id}.",
                        remedy=f"Watch it with: caf events {job_id} --follow",
                        kind="job_busy",
                    ) from fault
                if _is(path, file):
                    yield
                    return
                # Whoever held it removed the file between our opening and locking it: that lock keeps nobody out.

    def _sweep(self, job_id: str) -> None:
        """Remove what an interrupted run of this job left half done; the lock makes it ours."""
        _remove_folders(self.own / "tmp", job_id)
        output = self.sandbox / "output" / job_id
        with suppress(OSError):
            for file in list(output.iterdir()):
                if file.name.startswith(HALF_WRITTEN) and file.is_file():
                    file.unlink(missing_ok=True)


def _remove_folders(parent: Path, job_id: str) -> None:
    """Those of one job. Not by `glob`: a pattern that is another for each job is compiled, and kept, for each."""
    with suppress(FileNotFoundError):
        for folder in list(parent.iterdir()):
            if folder.name.startswith(f"{job_id}."):
                shutil.rmtree(folder, ignore_errors=True)


def _is(path: Path, file: IO[str]) -> bool:
    """Whether this is the file that others find under the path."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
