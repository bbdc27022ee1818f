"""Work on a file without a job: its tasks in a child of their own, with progress and a clean Ctrl-C."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from caf.cli.common import run_async
from caf.cli.progress import View
from caf.config import Config
from caf.errors import InputError
from caf.ports import MediaInfo, ProbeRequest

if TYPE_CHECKING:
    from caf.worker import Worker

__all__ = ["Tool", "run_tool"]

T = TypeVar("T")


class Tool:
    """Calls tasks of one worker, and shows how far they are."""

    def __init__(self, worker: "Worker", view: View, config: Config) -> None:
        self._worker, self._view = worker, view
        self.config = config

    async def call(self, task: str, request: Struct, doing: str, *, total: int | None = None) -> Any:
        """The task's result; see `caf.worker.Worker.call`. `total`: units in all, where the task does not know."""
        return await self._worker.call(
            task,
            request,
            progress=lambda done, of: self._view.tick("", doing, done, of or total),
            stall_s=self.config.stall_s,
            deadline_s=self.config.deadline_s,
        )

    def step(self, line: str) -> None:
        """Say how far the work is, where no bar shows it."""
        self._view.step(line)

    async def clip(self, path: str, remedy: str) -> MediaInfo:
        """What is in a clip. Raises `InputError` for a picture, with this remedy; `MediaError` for what is neither."""
        info: MediaInfo = await self.call("probe", ProbeRequest(path=path), "reading")
        if info.kind != "clip":
            raise InputError(f"{path} is a picture.", remedy=remedy, kind="not_a_clip")
        return info


def run_tool(
    work: Callable[[Tool], Awaitable[T]], config: Config, *, quiet: bool, memory_bytes: int | None = None
) -> T:
    """What `work` gives, with a child that is gone afterwards. Raises `CafError`, `KeyboardInterrupt`."""
    from caf.system import require_system_libraries
    from caf.worker import Worker

    async def whole() -> T:
        require_system_libraries()
        with View(quiet=quiet) as view:
            async with Worker(memory_bytes=memory_bytes) as worker:
                return await work(Tool(worker, view, config))

    return run_async(whole)
