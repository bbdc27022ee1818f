"""The one writer of a store: it owns its connection and commits whatever waits, together.

The rows of a batch are worked out and inserted on the event loop's own thread; only what waits for the disk
or for another process goes to a thread: a thread that shares the work would fight the loop for the
interpreter's lock at every step (docs/decisions/0003 has the numbers).
"""

import asyncio
import contextlib
import sqlite3
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Final

import anyio

from eventstore._bell import Ringer
from eventstore._ledger import Answer, Ledger, Request
from eventstore._lock import FileLock
from eventstore._place import check_place
from eventstore._schema import connect_writer, explain
from eventstore.errors import EventStoreError, StoreClosed
from eventstore.model import Appended

__all__ = ["Writer"]

_BATCH_EVENTS: Final = 256
_BATCH_BYTES: Final = 1024 * 1024
"""A batch up to this size holds up the loop for a few milliseconds; a larger append goes to the thread."""
_WAITING: Final = 4096
"""Requests that may wait; more of them wait for their turn to wait."""
_CHECKPOINT_PAGES: Final = 1000
"""SQLite's own default for wal_autocheckpoint: 4 MB of WAL."""

Job = Callable[[], None]


def _serve(jobs: "SimpleQueue[Job | None]") -> None:
    """The thread. It knows only its queue, so that a writer that nobody closed can be collected."""
    while (job := jobs.get()) is not None:
        job()
        del job


def _is_busy(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


class Writer:
    """Commits requests in the order in which they came, as many at a time as are waiting.

    Its methods belong to the loop's thread, its connection to the thread or the loop, in turn: while one of
    them is at it, `_busy` keeps the other away.
    """

    def __init__(self, path: Path, *, synchronous: str, busy_s: float, clock_ms: Callable[[], int]) -> None:
        self._path = path
        self._syncs = synchronous == "FULL"
        check_place(path)
        self._lock = FileLock(path, busy_s)
        try:
            with self._lock:
                self._connection = connect_writer(path, synchronous, busy_s)
        except BaseException:
            self._lock.close()
            raise
        self.ringer = Ringer(path)
        self._ledger = Ledger(self._connection, busy_s, clock_ms)
        self._waiting: deque[Request] = deque()
        self._busy = False
        self._closing = False
        self._crowded = False
        self._room = anyio.Event()
        self._idle = anyio.Event()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        # A daemon, so that a store that nobody closed cannot keep the interpreter from ending; what it
        # then breaks off in the middle was not acknowledged.
        threading.Thread(
            target=_serve, args=(self._jobs,), name=f"eventstore {path.name}", daemon=True
        ).start()
        weakref.finalize(self, self._jobs.put, None)

    def attach(self, loop: asyncio.AbstractEventLoop, committed: Callable[[], None]) -> None:
        """Say which loop it belongs to, and what to call after each batch that recorded something."""
        self._loop = loop
        self._committed = committed

    def abandon(self) -> None:
        """Close it before it was attached to a loop."""
        self._connection.close()
        self._lock.close()
        self._jobs.put(None)

    async def put(self, request: Request) -> None:
        """Queue it; waits only if too many wait already. Raises `StoreClosed`."""
        while len(self._waiting) >= _WAITING and not self._closing:
            self._crowded = True
            await self._room.wait()
        if self._closing:
            raise StoreClosed
        self._waiting.append(request)
        if not self._busy:
            self._busy = True
            # Not at once: all tasks that are ready now shall come into the same batch.
            self._loop.call_soon(self._next)

    async def close(self) -> None:
        """Commit what is queued, then close the connection."""
        self._closing = True
        self._make_room()
        if self._busy:
            await self._idle.wait()
        closed = anyio.Event()

        def close() -> None:
            # The last connection to close checkpoints and removes the WAL: no less a writer than others.
            with contextlib.suppress(EventStoreError):
                self._lock.acquire()
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._lock.close()
            self.ringer.close()
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(closed.set)

        self._jobs.put(close)
        self._jobs.put(None)
        await closed.wait()

    def _make_room(self) -> None:
        self._room.set()
        self._room = anyio.Event()

    def _next(self) -> None:
        if self._ledger.wal_pages >= _CHECKPOINT_PAGES:
            self._jobs.put(self._checkpoint_in_thread)
            return
        batch, small = self._take()
        if not batch:
            self._busy = False
            self._idle.set()
            self._idle = anyio.Event()
            return
        if not small or not self._lock.try_acquire():
            self._jobs.put(lambda: self._all_in_thread(batch))
            return
        try:
            answers = self._ledger.apply(batch, wait=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers must not wait for ever
            self._lock.release()
            if _is_busy(error):
                self._jobs.put(lambda: self._all_in_thread(batch))
            else:
                self._finish(batch, self._refused(error, len(batch)))
            return
        if self._syncs:
            self._jobs.put(lambda: self._commit_in_thread(batch, answers))
        else:
            self._finish(batch, self._commit(answers))

    def _take(self) -> tuple[list[Request], bool]:
        """The next batch, and whether it is small."""
        batch: list[Request] = []
        waiting, count, size = self._waiting, 0, 0
        while waiting:
            request = waiting[0]
            fits = count + len(request.events) <= _BATCH_EVENTS and size + request.size <= _BATCH_BYTES
            if batch and not fits:
                break
            waiting.popleft()
            if request.answer is not None and not request.answer.done():
                batch.append(request)
                count += len(request.events)
                size += request.size
        if self._crowded:
            self._crowded = False
            self._make_room()
        return batch, count <= _BATCH_EVENTS and size <= _BATCH_BYTES

    def _all_in_thread(self, batch: list[Request]) -> None:
        answers: Sequence[Answer]
        try:
            self._lock.acquire()
        except EventStoreError as error:
            answers = self._refused(error, len(batch))
        else:
            try:
                answers = self._ledger.apply(batch, wait=True)
            except Exception as error:  # noqa: BLE001
                self._lock.release()
                answers = self._refused(error, len(batch))
            else:
                answers = self._commit(answers)
        self._to_loop(lambda: self._finish(batch, answers))

    def _commit_in_thread(self, batch: list[Request], answers: Sequence[Answer]) -> None:
        told = self._commit(answers)
        self._to_loop(lambda: self._finish(batch, told))

    def _checkpoint_in_thread(self) -> None:
        # A checkpoint that fails (a full disk) leaves a longer WAL and is tried again after as many pages;
        # the next append will say what is wrong if it cannot be written either.
        with contextlib.suppress(EventStoreError, sqlite3.Error), self._lock:
            self._ledger.checkpoint_wal()
        self._ledger.wal_pages = 0
        self._to_loop(self._next)

    def _to_loop(self, call: Job) -> None:
        # RuntimeError: the loop was closed without closing the store; nobody is left to be told.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)

    def _commit(self, answers: Sequence[Answer]) -> Sequence[Answer]:
        """Commit and let go of the lock."""
        try:
            self._ledger.commit()
        except Exception as error:  # noqa: BLE001
            return self._refused(error, len(answers))
        finally:
            self._lock.release()
        self.ringer.ring()
        return answers

    def _refused(self, error: Exception, count: int) -> Sequence[Answer]:
        if isinstance(error, EventStoreError):
            return [error] * count
        if isinstance(error, sqlite3.Error):
            fault = explain(error, self._path)
        else:
            fault = EventStoreError(f"The writer of {self._path} failed: {error!r}.", remedy="Report this.")
        fault.__cause__ = error
        return [fault] * count

    def _finish(self, batch: list[Request], answers: Sequence[Answer]) -> None:
        news = False
        for request, answer in zip(batch, answers, strict=True):
            waiter = request.answer
            if isinstance(answer, Appended):
                news = news or not answer.repeated
                if waiter is not None and not waiter.done():
                    waiter.set_result(answer)
            elif waiter is not None and not waiter.done():
                waiter.set_exception(answer)
                # A caller that is cancelled just now will not look at it, and need not.
                waiter.exception()
        if news:
            self._committed()
        # After the callers whose answers were just set: what they append next comes into the next batch.
        self._loop.call_soon(self._next)
