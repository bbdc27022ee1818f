"""A fault that every job would meet, a full disk say, is met by a few of them, however many wait."""

from collections.abc import Iterable
from typing import Final

import anyio
import anyio.lowlevel
import pytest

from caf.actors.feed import JobFeed
from caf.actors.stages import Lanes
from caf.clock import RandomIds
from caf.daemon.dispatcher import Dispatcher, Due
from caf.daemon.waiting import standing
from caf.decide import decide_daemon
from caf.errors import CafError, TryAgainError
from caf.events import QueueUnpaused
from caf.job import Job
from caf.lanes import Lane, Twins
from eventstore import EventStoreError, MemoryLog, MemoryStore, StoreFull, StoreReadOnly
from tests.support.clock import SetClock
from tests.support.jobs import fold, submitted

JOBS: Final = 100
AT_ONCE: Final = 3
TURNS: Final = 50
"""Of the loop, in which any job would have been begun."""
FULL: Final = StoreFull("The disk is full.", remedy="Free some space.")


class Queue:
    """Many jobs, and what becomes of each that is begun."""

    def __init__(self, fault: Exception | None) -> None:
        self.fault = fault
        self.begun: list[str] = []
        self.clock = SetClock(1)
        self.store = MemoryStore(MemoryLog(clock_ms=self.clock.now_ms))
        lane = Lane("render", 1, self.clock)
        self.dispatcher = Dispatcher(
            self.store,
            run=self.run,
            unfinished=self.unfinished,
            lanes=Lanes(render=lane, native=lane, twins=Twins(self.clock)),
            jobs_at_once=AT_ONCE,
            clock=self.clock,
        )

    async def run(self, job_id: str, *, feed: JobFeed) -> Job:
        self.begun.append(job_id)
        await anyio.lowlevel.checkpoint()
        if self.fault is not None:
            raise self.fault
        return fold(submitted(job_id=job_id))

    async def unfinished(self, position: int) -> Iterable[Due]:
        return [Due(job_id=f"job-{number:03}", priority=0, over=False, position=1) for number in range(JOBS)]

    async def turns(self) -> None:
        """Wake it, and let it do what it would do now."""
        await decide_daemon(self.store, RandomIds(), lambda daemon: [QueueUnpaused(by="test")])
        for _ in range(TURNS):
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    "fault",
    [
        FULL,
        StoreReadOnly("The log cannot be written.", remedy="Mend it."),
        TryAgainError("There is no room left.", remedy="Free some space.", kind="disk_full"),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_a_full_disk_is_tried_by_a_few_jobs_less_and_less_often(
    fault: CafError | EventStoreError,
) -> None:
    queue = Queue(fault)
    async with anyio.create_task_group() as group:
        await group.start(queue.dispatcher.serve)
        tries = []
        for wait_ms in (0, 1_000, 1_000, 1_000, 60_000):
            queue.clock.ms += wait_ms
            await queue.turns()
            tries.append(len(queue.begun) // AT_ONCE)
        # After a second, after two more, and then not at the fourth.
        assert tries == [1, 2, 2, 3, 4]
        group.cancel_scope.cancel()


async def test_a_job_behind_a_full_disk_says_what_it_waits_for() -> None:
    queue = Queue(FULL)
    async with anyio.create_task_group() as group:
        await group.start(queue.dispatcher.serve)
        await queue.turns()
        stands = standing(
            f"job-{JOBS - 1:03}", {"status": "submitted", "reason": None}, queue.dispatcher, queue.clock
        )
        assert stands.kind == "held"
        assert "The disk is full." in stands.why
        assert "in 1 s" in stands.why
        group.cancel_scope.cancel()


async def test_all_go_on_as_soon_as_one_has_come_through() -> None:
    queue = Queue(FULL)
    async with anyio.create_task_group() as group:
        await group.start(queue.dispatcher.serve)
        await queue.turns()
        queue.fault = None
        queue.clock.ms += 1_000
        while len(queue.begun) < JOBS + AT_ONCE:
            await queue.turns()
        group.cancel_scope.cancel()
    assert queue.dispatcher.stall is None
    assert queue.dispatcher.held == {}


async def test_what_one_job_cannot_have_stops_no_other() -> None:
    queue = Queue(TryAgainError("The server is not there.", remedy="", kind="comfy_unreachable"))
    async with anyio.create_task_group() as group:
        await group.start(queue.dispatcher.serve)
        while len(queue.begun) < JOBS:
            await queue.turns()
        group.cancel_scope.cancel()
