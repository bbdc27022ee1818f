"""A few workers for work that may go on at the same time."""

from pathlib import Path
from typing import Any, Self

import anyio
import msgspec

from caf.ports import Called, Progress
from caf.worker.host import Worker
from caf.worker.tasks import TASKS_MODULE

__all__ = ["WorkerPool"]


class WorkerPool:
    """At most `size` children; a call takes the one that was used last, or waits for one.

    Use as `async with WorkerPool(2) as pool`: nothing is left running afterwards.
    """

    def __init__(self, size: int, *, memory_bytes: int | None = None, tasks: str = TASKS_MODULE) -> None:
        self._free = anyio.Semaphore(size)
        self._workers = [Worker(memory_bytes=memory_bytes, tasks=tasks) for _ in range(size)]
        self._idle = list(self._workers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends all children, also in the middle of calls, and waits until they are gone."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as ending:
                for worker in self._workers:
                    ending.start_soon(worker.aclose)

    @property
    def pids(self) -> list[int]:
        """The process ids of the children there are."""
        return [worker.pid for worker in self._workers if worker.pid is not None]

    @property
    def replaced(self) -> int:
        """How many children took the place of one that was gone."""
        return sum(max(0, worker.starts - 1) for worker in self._workers)

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
        """As `Worker.call`, in whichever child is free."""
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
        """As `Worker.measured`, in whichever child is free."""
        async with self._free:
            worker = self._idle.pop()
            try:
                return await worker.measured(
                    task, request, progress=progress, stall_s=stall_s, deadline_s=deadline_s, log=log
                )
            finally:
                self._idle.append(worker)
