"""The signals that a daemon is told by: stop, stop now, read the settings again."""

import os
import signal
from collections.abc import Callable
from typing import Final

import anyio
from anyio.abc import TaskStatus

__all__ = ["Signals"]

STOPS: Final = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """What was asked for so far. A third request to stop ends the process at once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.stop = anyio.Event()
        self.hurry = anyio.Event()
        self.reason = ""
        """The signal that asked to stop."""
        self._say = say
        self._again = anyio.Event()

    async def hear(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Listen for ever."""
        with anyio.open_signal_receiver(*STOPS, signal.SIGHUP) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGHUP:
                    self._again.set()
                elif not self.stop.is_set():
                    self.reason = number.name
                    self.stop.set()
                elif not self.hurry.is_set():
                    self.hurry.set()
                else:
                    self._say("caf: ended at once; what was recorded is kept.")
                    os._exit(128 + number)

    async def again(self) -> None:
        """Wait until the settings shall be read again, which may have been asked for before."""
        await self._again.wait()
        self._again = anyio.Event()
