"""Where work under way is put: a folder for what is not finished, a file for what native code prints."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from caf.artifacts import disk_errors
from caf.errors import TryAgainError
from caf.events import AttemptId

__all__ = ["kept", "log_path", "scratch"]


@asynccontextmanager
async def scratch(workspace: Path, job_id: str, stage: str) -> AsyncIterator[Path]:
    """An empty folder of a job's stage, gone afterwards. Raises `TryAgainError`, `InputError`."""
    folder = await anyio.to_thread.run_sync(_made, workspace / ".caf" / "tmp", f"{job_id}.{stage}.")
    try:
        yield folder
    finally:
        # A folder of frames takes a while to remove, and nothing else may wait for that.
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(shutil.rmtree, folder, True)


@asynccontextmanager
async def kept(workspace: Path, job_id: str, name: str) -> AsyncIterator[Path]:
    """A job's folder under this name, which outlives a run that is stopped or put off and is gone after any other end.

    Raises `TryAgainError`, `InputError`.
    """
    folder = workspace / ".caf" / "kept" / f"{job_id}.{name}"
    await anyio.to_thread.run_sync(_there, folder)
    over = False
    try:
        yield folder
        over = True
    except TryAgainError:
        raise
    except Exception:
        over = True
        raise
    finally:
        if over:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(shutil.rmtree, folder, True)


def _there(folder: Path) -> None:
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)


def _made(root: Path, prefix: str) -> Path:
    with disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=root, prefix=prefix))


def log_path(workspace: Path, job_id: str, attempt: AttemptId, task: str) -> Path:
    """Where a worker's own noise goes. Raises `TryAgainError`, `InputError`."""
    folder = workspace / ".caf" / "logs" / job_id
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{attempt}.{task}.log"
