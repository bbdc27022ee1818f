"""The caller's side: a child process that is started at the first call, kept warm, and replaced."""

import signal
from pathlib import Path
from typing import Any, Self

import anyio
import msgspec
from msgspec import UNSET

from caf.errors import CafError, InputError
from caf.ports import Called, Progress
from caf.worker.conversation import Conversation, DiedIdleError
from caf.worker.errors import OutOfMemoryError, WorkerError
from caf.worker.fault import error_of
from caf.worker.patience import Patience
from caf.worker.process import ChildProcess
from caf.worker.protocol import Ask, Fault
from caf.worker.tasks import TASKS_MODULE, load_tasks

__all__ = ["Worker"]


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

        self.starts = 0
        """How many children there were; all but the first replaced one that was gone."""

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
        """Runs one task in the child; the result has the type that the task's table names. See `measured`."""
        called = await self.measured(
            task, request, progress=progress, stall_s=stall_s, deadline_s=deadline_s, log=log
        )
        return called.result

    async def measured(
        self,
        task: str,
        request: msgspec.Struct,
        *,
        progress: Progress,
        stall_s: float,
        deadline_s: float,
        log: Path | None = None,
    ) -> Called:
        """Runs one task in the child, and tells what it took.

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
                conversation = Conversation(child, task, log, self._memory_bytes)
                try:
                    say = await conversation.run(line, progress, Patience(stall_s, deadline_s))
                    break
                except DiedIdleError:
                    await self._discard(signal.SIGKILL)
                except BaseException as error:
                    await self._discard(signal.SIGKILL if isinstance(error, WorkerError) else signal.SIGTERM)
                    raise
                finally:
                    self.peak_bytes = conversation.peak_bytes
            if say.error is not None:
                raise await self._error(task, say.error)
            assert say.result is not UNSET
            result = _typed(task, say.result, self._tasks[task].result)
            return Called(result=result, peak_bytes=conversation.peak_bytes)

    async def _ready_child(self) -> ChildProcess:
        if self._child is not None and not self._child.alive:
            await self._discard(None)
        if self._child is None:
            self._child = await ChildProcess.start(self._tasks_module, self._memory_bytes)
            self.starts += 1
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
        return error_of(fault)


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


def _typed(task: str, result: msgspec.Raw, kind: Any) -> Any:
    try:
        return msgspec.json.decode(result, type=kind)
    except msgspec.ValidationError as error:
        raise CafError(
            f"The task '{task}' answered with something else than it promises: {error}.",
            remedy="This is a defect of caf; please report it with the log.",
            kind="task_failed",
        ) from error
