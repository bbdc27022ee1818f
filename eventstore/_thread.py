"""A thread that does one job after the other, and tells the event loop."""

import asyncio
import contextlib
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["Job", "JobThread"]

Job = Callable[[], None]


def _serve(jobs: "SimpleQueue[Job | None]") -> None:
    """The thread. It knows only its queue, so that a writer that nobody closed can be collected."""
    while (job := jobs.get()) is not None:
        job()
        del job


class JobThread:
    """A daemon, so that a store that nobody closed cannot keep the interpreter from ending.

    What it then breaks off in the middle was not acknowledged.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        threading.Thread(target=_serve, args=(self._jobs,), name=name, daemon=True).start()
        weakref.finalize(self, self._jobs.put, None)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which loop `tell` tells."""
        self._loop = loop

    def do(self, job: Job) -> None:
        """Queue it."""
        self._jobs.put(job)

    def end(self) -> None:
        """End once everything queued is done."""
        self._jobs.put(None)

    def tell(self, call: Job) -> None:
        """From the thread: have it called on the loop."""
        # RuntimeError: the loop was closed without closing the store; nobody is left to be told.
        with contextlib.suppress(RuntimeError):
            assert self._loop is not None
            self._loop.call_soon_threadsafe(call)
