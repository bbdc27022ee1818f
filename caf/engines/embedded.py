"""The engine `local` as the actors see it: each stage is a task of the worker process."""

from pathlib import Path
from typing import Protocol

import msgspec
from msgspec.structs import replace

from caf.engines.parameters import ENGINE_VERSION
from caf.ports import Called, Outside, Progress, StageRequest, StageResult

__all__ = ["Caller", "EmbeddedEngine"]


class Caller(Protocol):
    """A worker process, or a pool of them."""

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
        """See `caf.worker.Worker.measured`."""


class EmbeddedEngine:
    """Runs frame, motion and video stages on this machine's CPU."""

    id = "local"
    version = ENGINE_VERSION

    def __init__(self, worker: Caller, *, stall_s: float, deadline_s: float) -> None:
        self.worker = worker
        self.stall_s = stall_s
        self.deadline_s = deadline_s

    async def run(self, request: StageRequest, progress: Progress, outside: Outside) -> StageResult:
        """Raises `CafError` with a typed kind when the stage cannot be done."""
        called = await self.worker.measured(
            "stage",
            request,
            progress=progress,
            stall_s=self.stall_s,
            deadline_s=self.deadline_s,
            log=Path(request.log) if request.log else None,
        )
        result: StageResult = called.result
        return replace(result, memory_peak_bytes=called.peak_bytes)
