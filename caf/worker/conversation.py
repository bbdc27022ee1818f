"""One request to one child: what comes back, or why nothing does."""

import contextlib
import os
from pathlib import Path
from typing import Final

import anyio
import msgspec
from msgspec import UNSET

from caf.ports import Progress
from caf.worker.autopsy import cause_of_death, last_words
from caf.worker.errors import DeadlineExceededError, WorkerCrashedError, WorkerError, WorkerStalledError
from caf.worker.memory import oom_kills
from caf.worker.patience import Patience
from caf.worker.process import ChildProcess
from caf.worker.protocol import Say

__all__ = ["Conversation", "DiedIdleError"]

_GONE: Final = (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError)
_TAIL_BYTES: Final = 8192


class DiedIdleError(Exception):
    """The warm child was dead before it had read the request, so asking a new one repeats nothing."""


class Conversation:
    """One request to one child, until the answer or the reason why there is none."""

    def __init__(self, child: ChildProcess, task: str, log: Path | None, memory_bytes: int | None) -> None:
        self._child = child
        self._task = task
        self._log = log
        self._log_starts_at = log.stat().st_size if log is not None and log.exists() else 0
        self._memory_bytes = memory_bytes
        self._oom_kills = oom_kills()
        self.peak_bytes = 0

    async def run(self, line: bytes, progress: Progress, patience: Patience) -> Say:
        """The last line of the answer; it has a result or an error."""
        first_call = self._child.calls == 0
        accepted = False
        try:
            await self._send(line, patience)
            while True:
                say = _decoded(self._task, await self._receive(patience))
                accepted = True
                self.peak_bytes = max(self.peak_bytes, say.peak_bytes)
                if say.progress is not None:
                    progress(*say.progress)
                if say.error is not None or say.result is not UNSET:
                    return say
        except _GONE:
            if accepted or first_call:
                raise await self._cause() from None
            raise DiedIdleError from None

    async def _send(self, line: bytes, patience: Patience) -> None:
        with anyio.move_on_after(patience.stall_s) as sending:
            await self._child.send(line)
        if sending.cancelled_caught:
            raise WorkerStalledError(self._task, patience.stall_s)

    async def _receive(self, patience: Patience) -> bytes:
        while True:
            started_s = anyio.current_time()
            line: bytes | None = None
            with anyio.move_on_after(patience.slice_s):
                line = await self._child.receive()
            patience.waited(anyio.current_time() - started_s, heard=line is not None)
            if line is not None:
                return line
            if patience.expired:
                raise DeadlineExceededError(self._task, patience.deadline_s)
            if patience.stalled:
                raise WorkerStalledError(self._task, patience.stall_s)

    async def _cause(self) -> WorkerError:
        printed = self._child.noise() + self._logged()
        return cause_of_death(
            self._task,
            await self._child.end(None),
            last_words(printed),
            limit_bytes=self._memory_bytes,
            peak_bytes=self.peak_bytes,
            system_killed_for_memory=oom_kills() > self._oom_kills,
        )

    def _logged(self) -> bytes:
        if self._log is None:
            return b""
        with contextlib.suppress(OSError), self._log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_starts_at, end - _TAIL_BYTES))
            return file.read(_TAIL_BYTES)
        return b""


def _decoded(task: str, line: bytes) -> Say:
    try:
        return msgspec.json.decode(line, type=Say)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WorkerCrashedError(task, "an unreadable line", str(error)) from error
