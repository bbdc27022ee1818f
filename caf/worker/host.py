"""The caller's side: a child process that is started at the first call, kept warm, and replaced."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Any, Self

import anyio
import msgspec
from msgspec import UNSET

import caf.errors
from caf.errors import CafError, InputError
from caf.ports import Progress
from caf.worker.autopsy import cause_of_death, last_words
from caf.worker.errors import (
    DeadlineExceededError,
    OutOfMemoryError,
    WorkerCrashedError,
    WorkerError,
    WorkerStalledError,
)
from caf.worker.memory import oom_kills
from caf.worker.patience import Patience
from caf.worker.process import ChildProcess
from caf.worker.protocol import Ask, Fault, Say
from caf.worker.tasks import TASKS_MODULE, load_tasks

__all__ = ["Worker"]

_GONE = (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError)
_TAIL_BYTES = 8192


class _DiedIdleError(Exception):
    """The warm child was dead before it had read the request, so asking a new one repeats nothing."""


class Worker:
    """One child process that runs native code, one request after another.

    Use as `async with Worker() as worker`: nothing is left running afterwards. Calls made at the same
    time wait for each other.
    """

    def __init__(self, *, memory_bytes: int | None = None, tasks: str = TASKS_MODULE) -> None:
        self._memory_bytes = memory_bytes
        self._tasks_module = tasks
        self._tasks = load_tasks(tasks)
        self._lock = anyio.Lock()
        self._child: ChildProcess | None = None
        self._closed = False
        self.peak_bytes = 0
        """Highest resident memory of the child during the last call, as far as it reported."""

    @property
    def pid(self) -> int | None:
        """The child's process id while there is a child."""
        return self._child.pid if self._child else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the child, also in the middle of a call, and waits until it is gone."""
        self._closed = True
        await self._discard(signal.SIGTERM if self._lock.locked() else None)

    async def call(
        self,
        task: str,
        request: msgspec.Struct,
        *,
        progress: Progress,
        stall_s: float,
        deadline_s: float,
        log: Path | None = None,
    ) -> Any:
        """Runs one task in the child; the result has the type that the task's table names.

        `log` takes everything the child prints; without it only the last words are kept, for errors.
        Raises WorkerCrashedError, WorkerStalledError, DeadlineExceededError or OutOfMemoryError for a
        child that did not answer, and what the task itself raised as the same class of `caf.errors`.
        """
        line = _encoded(task, request, log)
        async with self._lock:
            while True:
                if self._closed:
                    raise anyio.ClosedResourceError
                child = await self._ready_child()
                conversation = _Conversation(child, task, log, self._memory_bytes)
                try:
                    say = await conversation.run(line, progress, Patience(stall_s, deadline_s))
                    break
                except _DiedIdleError:
                    await self._discard(signal.SIGKILL)
                except BaseException as error:
                    await self._discard(signal.SIGKILL if isinstance(error, WorkerError) else signal.SIGTERM)
                    raise
                finally:
                    self.peak_bytes = conversation.peak_bytes
            if say.error is not None:
                raise await self._error(task, say.error)
            assert say.result is not UNSET
            return msgspec.json.decode(say.result, type=self._tasks[task].result)

    async def _ready_child(self) -> ChildProcess:
        if self._child is not None and not self._child.alive:
            await self._discard(None)
        if self._child is None:
            self._child = await ChildProcess.start(self._tasks_module, self._memory_bytes)
        return self._child

    async def _discard(self, how: signal.Signals | None) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.end(how)

    async def _error(self, task: str, fault: Fault) -> CafError:
        if fault.kind == OutOfMemoryError.default_kind:
            # What is left of its address space is in pieces.
            await self._discard(None)
            return OutOfMemoryError(task, self._memory_bytes)
        kind_of_error: type[CafError] = getattr(caf.errors, fault.raised_as)
        return kind_of_error(fault.message, remedy=fault.remedy, kind=fault.kind, transient=fault.transient)


class _Conversation:
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
            await self._child.send(line)
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
            raise _DiedIdleError from None

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


def _encoded(task: str, request: msgspec.Struct, log: Path | None) -> bytes:
    try:
        ask = Ask(
            task=task,
            request=msgspec.Raw(msgspec.json.encode(request)),
            log=None if log is None else str(log.absolute()),
        )
        return msgspec.json.encode(ask) + b"\n"
    except UnicodeEncodeError as error:
        raise InputError(
            f"A name given to the task '{task}' is not valid text: {error.object!r}.",
            remedy="Rename the file so that its name is valid UTF-8.",
        ) from error


def _decoded(task: str, line: bytes) -> Say:
    try:
        return msgspec.json.decode(line, type=Say)
    except msgspec.MsgspecError as error:
        raise WorkerCrashedError(task, "an answer that is not of the protocol", str(error)) from error
