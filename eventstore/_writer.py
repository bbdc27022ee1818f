"""The one writer of a store: it owns its connection and commits whatever waits, together.

What a batch shall be is decided on the event loop's thread, from memory; a thread of the writer's own takes it to
the disk in one statement, and meanwhile the next is decided. So the two hardly ever want the interpreter's lock at
once (ADR 0014 has the numbers). Where memory is not enough, it is decided inside of its transaction, alone.
"""

import asyncio
import contextlib
import math
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import anyio

from eventstore._bell import Ringer
from eventstore._ledger import Ledger
from eventstore._lock import FileLock
from eventstore._place import check_place
from eventstore._plan import Answer, Outdated, Plan, Request
from eventstore._schema import PAGE_BYTES, connect_writer, is_busy, refused
from eventstore._thread import Job, JobThread
from eventstore.errors import EventStoreError, StoreClosed
from eventstore.model import Appended, RecordedEvent

__all__ = ["Writer"]

_PLAN_EVENTS: Final = 128
"""So that of 256 that wait one half is decided while the other is written."""
_HERE_EVENTS: Final = 32
"""A batch up to this size is written on the loop where the disk answers at once, see `_SOON_S`."""
_SOON_S: Final = 0.001
"""A disk that syncs faster than this costs less than waking a thread; so long, too, a lone caller keeps the loop."""
_SLOW_TIMES: Final = 20  # as long as the write took, so many times, the thread gets all then
_ROW_S: Final = 0.00001  # about what a row costs without the sync
_TOLD_EVENTS: Final = 16
"""Up to so many are told to other processes with the ring; more of them are sooner read."""
_PLANS: Final = 2
"""Plans on their way: one being written, one behind it."""
_HELD_S: Final = 0.05
"""How long other processes are kept out at a time."""
_BATCH_EVENTS: Final = 256
_BATCH_BYTES: Final = 1024 * 1024
"""A batch up to this size holds up the loop for a few milliseconds; a larger append goes to the thread."""
_WAITING: Final = 4096
"""Requests that may wait; more of them wait for their turn to wait."""
_CHECKPOINT_PAGES: Final = 4 * 1024 * 1024 // PAGE_BYTES
"""As many bytes of WAL as by SQLite's own default for wal_autocheckpoint."""

Committed = Callable[[Callable[[], list[RecordedEvent]] | None], None]


class Writer:
    """Commits requests in the order in which they came, as many at a time as are waiting.

    Its methods belong to the loop's thread, its ledger too but for `Ledger.write` and for what is done while
    `_alone`; its connection to the thread while anything is on its way (`_flying`), else to the loop.
    """

    def __init__(
        self, path: Path, *, synchronous: str, in_thread: bool, busy_s: float, clock_ms: Callable[[], int]
    ) -> None:
        self._path = path
        self._commits_here = synchronous != "FULL" and not in_thread
        self._slow_until = math.inf if in_thread else 0.0  # so long the disk is taken to be slow
        check_place(path)
        self._lock = FileLock(path, busy_s)
        try:
            with self._lock:
                connection = connect_writer(path, synchronous, busy_s)
        except BaseException:
            self._lock.close()
            raise
        self.ringer = Ringer(path)
        self._ledger = Ledger(connection, busy_s, clock_ms)
        self._waiting: deque[Request] = deque()
        self._called = self._lone = self._alone = False
        self._merging = self._broken = self._closing = self._crowded = False
        self._turn_ends = 0.0  # so long a lone caller may keep the loop
        self._flying = self._plans = self._redo = 0
        self._failed: list[Plan] = []
        self._room, self._idle = anyio.Event(), anyio.Event()
        self._thread = JobThread(f"eventstore {path.name}")

    def attach(self, loop: asyncio.AbstractEventLoop, committed: Committed) -> None:
        """Say which loop it belongs to, and what to call after each batch that recorded something.

        That is given a function that makes the recorded events, or None where they must be read.
        """
        self._loop = loop
        self._thread.attach(loop)
        self._committed = committed

    def abandon(self) -> None:
        """Close it before it was attached to a loop."""
        self._ledger.close()
        self._lock.close()
        self._thread.end()

    def put(self, request: Request) -> bool:
        """Queue it; False if too many wait already, see `room`. Raises `StoreClosed`."""
        if self._closing:
            raise StoreClosed
        if len(self._waiting) >= _WAITING:
            return False
        self._waiting.append(request)
        if self._lone and not self._called:
            self._next()
        else:
            self._call_next()
        return True

    def turn_is_over(self) -> bool:
        """True now and then: a lone caller, who is answered at once, has to let others run."""
        now = time.monotonic()
        if now < self._turn_ends:
            return False
        self._turn_ends = now + _SOON_S
        return True

    async def room(self) -> None:
        """Wait until fewer wait."""
        self._crowded = True
        await self._room.wait()

    async def close(self) -> None:
        """Commit what is queued, then close the connection."""
        self._closing = True
        self._make_room()
        if self._waiting or self._flying or self._called:
            await self._idle.wait()
        closed = anyio.Event()

        def close() -> None:
            # The last connection to close checkpoints and removes the WAL: no less a writer than others.
            with contextlib.suppress(EventStoreError):
                self._lock.acquire()
            with contextlib.suppress(sqlite3.Error):
                self._ledger.close()
            self._lock.close()
            self.ringer.close()
            self._thread.tell(closed.set)

        self._thread.do(close)
        self._thread.end()
        await closed.wait()

    def _make_room(self) -> None:
        self._crowded = False
        self._room.set()
        self._room = anyio.Event()

    def _call_next(self) -> None:
        # Not at once: all tasks that are ready now shall come into the same batch.
        if not self._called:
            self._called = True
            self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        self._called = False
        # Who was alone is taken to be alone the next time: nothing to wait for then.
        self._lone = len(self._waiting) == 1 and not self._flying
        self._next()

    def _next(self) -> None:
        """Send on its way whatever can go."""
        while self._waiting and not self._alone and not self._failed:
            if self._plans and not self._worth_another_plan():
                break
            if not self._lock.held and not self._lock.hold():
                self._apply_in_thread()
                break
            plan = None if self._redo else self._ledger.plan(self._waiting, _PLAN_EVENTS, _BATCH_BYTES)
            if plan is not None:
                self._send(plan)
            elif not self._flying:
                self._apply()
            else:
                break
        if self._crowded and len(self._waiting) < _WAITING:
            self._make_room()
        if not self._flying and not self._called:
            self._lock.let_go()
            if self._closing and not self._waiting:
                self._idle.set()

    def _worth_another_plan(self) -> bool:
        return self._plans < _PLANS and len(self._waiting) >= _PLAN_EVENTS and self._lock.held_s() < _HELD_S

    def _fly(self, job: Job) -> None:
        self._flying += 1
        self._thread.do(job)

    def _send(self, plan: Plan) -> None:
        if self._flying or plan.count > _HERE_EVENTS or time.monotonic() < self._slow_until:
            self._plans += 1
            self._fly(lambda: self._write_in_thread(plan))
            return
        start = time.monotonic()
        error = self._write(plan)
        now = time.monotonic()
        if now - start - plan.count * _ROW_S > _SOON_S:
            self._slow_until = now + _SLOW_TIMES * (now - start)
        self._lock.let_go()
        self._take_back(plan) if error else self._settle(plan)

    def _write(self, plan: Plan) -> Exception | None:
        try:
            self._ledger.write(plan)
        except Exception as error:  # noqa: BLE001 - whatever it is, `apply` will meet it again and say so
            return error
        self.ringer.ring(plan.recorded if plan.count <= _TOLD_EVENTS else None)
        return None

    def _write_in_thread(self, plan: Plan) -> None:
        # After one that failed nothing holds that a later one was planned for.
        error = Outdated() if self._broken else self._write(plan)
        self._broken = error is not None
        self._thread.tell(lambda: self._landed(plan, error is None))

    def _back(self) -> None:
        """One less is on its way."""
        self._flying -= 1
        if not self._flying:
            self._lock.let_go()

    def _landed(self, plan: Plan, well: bool) -> None:
        self._back()
        self._plans -= 1
        if not well:
            self._failed.append(plan)
        if self._failed and not self._plans:
            failed, self._failed = self._failed, []
            for one in reversed(failed):
                self._take_back(one)
            self._broken = False
        if well:
            self._settle(plan)
        # After the callers whose answers were just set: what they append next comes into the next batch.
        self._call_next()

    def _take_back(self, plan: Plan) -> None:
        """Have its requests decided again, with all that the database knows."""
        self._ledger.undo(plan)
        self._waiting.extendleft(reversed(plan.requests))
        self._redo += len(plan.requests)

    def _settle(self, plan: Plan) -> None:
        for request, answer in zip(plan.requests, plan.answers, strict=True):
            waiter = request.answer
            if waiter is not None and not waiter.done():
                waiter.set_result(answer)
        self._ledger.wal_pages += plan.pages
        self._committed(plan.recorded)
        self._upkeep(plan.answers[-1].last_position)

    def _upkeep(self, head: int) -> None:
        """What is due from time to time, behind what is on its way; `head` is on the disk."""
        if self._alone or self._failed:
            return
        run = None if self._merging else self._ledger.ids.due(head)
        long = self._ledger.wal_pages >= _CHECKPOINT_PAGES
        if (run is None and not long) or not (self._lock.held or self._lock.hold()):
            return
        if run is not None:
            self._merging = True
            self._fly(lambda: self._merge_in_thread(run))
        if long:
            self._ledger.wal_pages = 0
            self._fly(self._checkpoint_in_thread)

    def _merge_in_thread(self, run: bytes) -> None:
        # One that fails (a full disk) is tried again later; the next append will say what is wrong.
        indexed: int | None = None
        with contextlib.suppress(EventStoreError, sqlite3.Error):
            indexed = self._ledger.ids.merge(run)
        self._thread.tell(lambda: self._merged(indexed))

    def _merged(self, indexed: int | None) -> None:
        self._merging = False
        if indexed is not None:
            self._ledger.ids.merged(indexed)
        self._chore_done()

    def _checkpoint_in_thread(self) -> None:
        # One that fails leaves a longer WAL and is tried again after as many pages.
        with contextlib.suppress(EventStoreError, sqlite3.Error):
            self._ledger.checkpoint_wal()
        self._thread.tell(self._chore_done)

    def _chore_done(self) -> None:
        self._back()
        self._call_next()

    def _apply(self) -> None:
        """Decide the next batch inside of its transaction; nothing else is on its way."""
        batch, small = self._take()
        if not batch:
            return
        if not small:
            self._alone = True
            self._fly(lambda: self._apply_and_commit(batch))
            return
        try:
            answers = self._ledger.apply(batch, wait=False)
        except Exception as error:  # noqa: BLE001 - whatever it is, the callers must not wait for ever
            if is_busy(error):
                self._alone = True
                self._fly(lambda: self._apply_and_commit(batch))
            else:
                self._lock.let_go()
                self._finish(batch, refused(error, self._path, len(batch)))
            return
        if self._commits_here:
            told = self._commit(answers)
            self._lock.let_go()
            self._finish(batch, told)
        else:
            self._alone = True
            self._fly(lambda: self._commit_in_thread(batch, answers))

    def _apply_in_thread(self) -> None:
        """The same where another process holds the lock, so that nothing is on its way either."""
        batch, _ = self._take()
        if batch:
            self._alone = True
            self._fly(lambda: self._lock_and_apply(batch))

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
            self._redo = max(0, self._redo - 1)
            if request.answer is None or not request.answer.done():
                batch.append(request)
                count += len(request.events)
                size += request.size
        return batch, count <= _BATCH_EVENTS and size <= _BATCH_BYTES

    def _lock_and_apply(self, batch: list[Request]) -> None:
        try:
            self._lock.acquire()
            self._lock.held = True
        except EventStoreError as error:
            answers = refused(error, self._path, len(batch))
            self._thread.tell(lambda: self._come_back(batch, answers))
            return
        self._apply_and_commit(batch)

    def _apply_and_commit(self, batch: list[Request]) -> None:
        told: Sequence[Answer]
        try:
            told = self._commit(self._ledger.apply(batch, wait=True))
        except Exception as error:  # noqa: BLE001
            told = refused(error, self._path, len(batch))
        self._thread.tell(lambda: self._come_back(batch, told))

    def _commit_in_thread(self, batch: list[Request], answers: Sequence[Answer]) -> None:
        told = self._commit(answers)
        self._thread.tell(lambda: self._come_back(batch, told))

    def _commit(self, answers: Sequence[Answer]) -> Sequence[Answer]:
        try:
            self._ledger.commit()
        except Exception as error:  # noqa: BLE001
            return refused(error, self._path, len(answers))
        self.ringer.ring()
        return answers

    def _come_back(self, batch: list[Request], answers: Sequence[Answer]) -> None:
        self._back()
        self._alone = False
        self._finish(batch, answers)
        self._call_next()

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
            self._committed(None)
            self._upkeep(self._ledger.head)
