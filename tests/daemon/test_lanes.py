"""Who gets a lane next: by priority with age, measuring first, then in turn; and how long the lane was busy."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import pytest

from caf.events import attempt_id
from caf.lanes import AGEING_MS, Lane, Turn, Twins
from tests.support.clock import SetClock


def turn(job_id: str, *, gate: bool = False, begun: bool = False, priority: int = 0) -> Turn:
    return Turn(
        job_id=job_id, stage="frame", attempt_id=attempt_id(1), gate=gate, begun=begun, priority=priority
    )


class Queue:
    """A lane of one turn, held by the test until it lets the waiting ones go."""

    def __init__(self) -> None:
        self.clock = SetClock()
        self.lane = Lane("render", 1, self.clock)
        self.order: list[str] = []

    @asynccontextmanager
    async def held(self) -> AsyncIterator[anyio.abc.TaskGroup]:
        async with anyio.create_task_group() as group, self.lane.turn(turn("holder")):
            yield group

    async def ask(self, group: anyio.abc.TaskGroup, asked: Turn) -> None:
        """Begin to wait, and be in the line before this returns."""

        async def wait() -> None:
            async with self.lane.turn(asked):
                self.order.append(asked.job_id)

        group.start_soon(wait)
        while asked.job_id not in [place.turn.job_id for place in self.lane.waiting]:
            await anyio.lowlevel.checkpoint()


@pytest.fixture
def queue() -> Queue:
    return Queue()


async def test_jobs_of_one_priority_take_turns(queue: Queue) -> None:
    async with queue.held() as group:
        for job_id in ("first", "second", "third"):
            await queue.ask(group, turn(job_id))
    assert queue.order == ["first", "second", "third"]


async def test_a_higher_priority_goes_first_and_measuring_before_other_work_of_its_priority(
    queue: Queue,
) -> None:
    async with queue.held() as group:
        await queue.ask(group, turn("pose"))
        await queue.ask(group, turn("gate", gate=True))
        await queue.ask(group, turn("urgent", priority=1))
        assert [place.before for place in queue.lane.waiting] == [(), ("urgent",), ("urgent", "gate")]
    assert queue.order == ["urgent", "gate", "pose"]


async def test_who_has_waited_a_step_longer_is_not_passed_by_a_gate_or_a_higher_priority(
    queue: Queue,
) -> None:
    async with queue.held() as group:
        await queue.ask(group, turn("patient"))
        queue.clock.ms = AGEING_MS
        await queue.ask(group, turn("gate", gate=True))
        queue.clock.ms = 2 * AGEING_MS
        await queue.ask(group, turn("urgent", priority=1))
    assert queue.order == ["patient", "gate", "urgent"]


async def test_a_closed_lane_gives_no_turn_until_it_is_opened(queue: Queue) -> None:
    queue.lane.close()
    async with anyio.create_task_group() as group:
        await queue.ask(group, turn("job"))
        assert not queue.lane.running
        queue.lane.open()
    assert queue.order == ["job"]


async def test_who_stops_waiting_leaves_the_line(queue: Queue) -> None:
    async with queue.held() as group:
        async with anyio.create_task_group() as gone:
            await queue.ask(gone, turn("gone"))
            gone.cancel_scope.cancel()
        await queue.ask(group, turn("next"))
        assert [place.turn.job_id for place in queue.lane.waiting] == ["next"]
    assert queue.order == ["next"]


async def test_the_lane_counts_the_time_with_at_least_one_turn() -> None:
    clock = SetClock()
    lane = Lane("native", 2, clock)
    async with lane.turn(turn("one")):
        clock.ms = 10
        async with lane.turn(turn("two")) as waited_ms:
            assert waited_ms == 0
            clock.ms = 30
        clock.ms = 60
    clock.ms = 100
    async with lane.turn(turn("three")):
        clock.ms = 105
    assert lane.busy_ms == 65


async def test_what_a_server_outside_has_some_of_goes_before_what_is_begun_anew(queue: Queue) -> None:
    async with queue.held() as group:
        await queue.ask(group, turn("anew"))
        await queue.ask(group, turn("begun", begun=True))
        await queue.ask(group, turn("measuring", gate=True))
    assert queue.order == ["measuring", "begun", "anew"]


async def test_work_is_not_begun_anew_before_the_jobs_that_are_taken_up_have_their_places() -> None:
    twins: Twins[str] = Twins(SetClock())
    order: list[str] = []
    came = anyio.Event()

    async def take_up() -> None:
        """It has begun the work, and takes long to find that out."""
        with twins.coming("begun"):
            await came.wait()
            async with twins.alone("key", turn("begun", begun=True)) as same:
                order.append("begun")
                same.result = "done"

    async def begin_anew() -> None:
        with twins.coming("anew"):
            twins.came("anew")
            await twins.let_come()
            async with twins.alone("key", turn("anew")) as same:
                order.append(f"anew finds it {same.result}")

    async with anyio.create_task_group() as group:
        group.start_soon(take_up)
        group.start_soon(begin_anew)
        await anyio.wait_all_tasks_blocked()
        assert order == []
        came.set()
    assert order == ["begun", "anew finds it done"]


async def test_a_job_that_is_taken_up_and_ends_at_once_is_waited_for_by_nobody() -> None:
    twins: Twins[str] = Twins(SetClock())
    with twins.coming("over"):
        pass
    with anyio.fail_after(5):
        await twins.let_come()
