"""Serves every job that has work due, so many at a time: who comes when, what is held back, and for how long."""

import heapq
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing, suppress
from typing import Final, Protocol

import anyio
from anyio.abc import TaskGroup, TaskStatus
from msgspec import Struct

from caf.actors.feed import JobFeed
from caf.actors.stages import Lanes
from caf.commands import interrupt
from caf.daemon.backlog import Backlog, Due, Unsettled
from caf.daemon.state import Daemon, evolve_daemon
from caf.errors import CafError
from caf.events import (
    DaemonEvent,
    Event,
    JobAborted,
    JobCancelled,
    JobCompleted,
    JobSubmitted,
    StageCompleted,
    StageStarted,
)
from caf.events.codec import UnreadableEvent, decode, derived_id
from caf.job import INITIAL, Job, is_over
from caf.lanes import Place
from caf.log import CATEGORY, DAEMON, fold, fold_daemon, job_of, new_events, read_job, stream_of
from caf.ports import Clock
from eventstore import (
    Checkpoint,
    EventStore,
    EventStoreError,
    RecordedEvent,
    StoreBusy,
    StoreFull,
    StoreReadOnly,
    VersionConflict,
)

__all__ = ["CONSUMER", "Dispatcher", "Due", "Held", "Stall"]

CONSUMER: Final = "dispatcher"
"""Its checkpoint: everything up to there was answered by every actor, whatever became of the process since."""
FIRST_HOLD_MS: Final = 1_000
LONGEST_HOLD_MS: Final = 60_000
QUIET_S: Final = 0.02
OF_ALL: Final = (StoreBusy, StoreFull, StoreReadOnly)
KINDS_OF_ALL: Final = frozenset({"disk_full", "workspace_read_only"})
ENDS: Final = frozenset(kind.__name__ for kind in (JobAborted, JobCancelled, JobCompleted))
"""Types of the events after which only documents are left to be written."""


class Held(Struct, frozen=True, kw_only=True):
    """A job that this machine could not work on; tried again later."""

    due: Due
    fault: Exception
    until_ms: int


class Stall(Struct, frozen=True, kw_only=True):
    """What kept a job back would keep back any other: none is begun for a while."""

    fault: Exception
    until_ms: int
    times: int
    """How often it came to that in a row."""


class RunJob(Protocol):
    """Lets the actors work on one job; see `caf.runner.Runner.run`."""

    def __call__(self, job_id: str, *, feed: JobFeed) -> Awaitable[Job]: ...


class Dispatcher:
    """Follows the log once for all jobs. `serve` runs until it is cancelled; `drain` lets it end in good order."""

    def __init__(
        self,
        store: EventStore,
        *,
        run: RunJob,
        unfinished: Callable[[int], Awaitable[Iterable[Due]]],
        lanes: Lanes,
        jobs_at_once: int,
        clock: Clock,
        seen: Callable[[RecordedEvent], None] = lambda recorded: None,
        failed: Callable[[str, Exception], None] = lambda job_id, fault: None,
    ) -> None:
        """`unfinished(position)`: jobs that are not at rest, and all with an event after the position.

        `seen` is told every event that comes; `failed` what held a job back.
        """
        self.store = store
        self.lanes = lanes
        self.jobs_at_once = jobs_at_once
        self.due = Backlog()
        self.active: dict[str, tuple[Due, JobFeed]] = {}
        self.held: dict[str, Held] = {}
        self.stall: Stall | None = None
        """The last one, over or not; None once a job has come through."""
        self.daemon = Daemon()
        self.draining = False
        self.position = 0
        """The last event that was looked at."""
        self._run = run
        self._unfinished = unfinished
        self._clock = clock
        self._seen = seen
        self._failed = failed
        self._open = Unsettled()
        self._held_until: list[tuple[int, str]] = []
        self._changed = anyio.Event()
        self._settled = 0
        self._loaded = False

    async def load(self) -> None:
        """Learn what work there is from before, and begin none. Raises `EventStoreError` for a broken log."""
        self.position = await self.store.head()
        self.daemon = await fold_daemon(self.store)
        self._apply_pause()
        self._settled = await self.store.checkpoint(CONSUMER)
        for due in await self._unfinished(self._settled):
            # Before there was a daemon, whoever ran a job saw to its documents: looking again is for idle times.
            due.late = due.over and not self._settled
            self._add(due)
        self._loaded = True

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve for ever; started when all work of before is known. Raises `EventStoreError` for a broken log."""
        if not self._loaded:
            await self.load()
        async with anyio.create_task_group() as group:
            group.start_soon(self._follow)
            task_status.started()
            await self._admit(group)

    async def drain(self, grace_s: float) -> list[Place]:
        """Begin nothing more, wait until what runs came to an end; what still runs when that took too long."""
        self.draining = True
        self._close_lanes()
        with anyio.move_on_after(grace_s):
            while not self._quiet():  # noqa: ASYNC110 - the end of many things, which no one event tells
                await anyio.sleep(QUIET_S)
        return [place for lane in self.lanes.all for place in lane.running]

    async def note_interrupted(self, places: list[Place], *, reason: str, run_id: str) -> int:
        """Record the stages and gates that were ended under way, once they are; how many there were."""
        now_ms = self._clock.monotonic_ms()
        return sum([await self._note_one(place, now_ms - place.since_ms, reason, run_id) for place in places])

    async def _note_one(self, place: Place, ran_ms: int, reason: str, run_id: str) -> int:
        turn = place.turn
        while True:
            job, cause = INITIAL, None
            async for entry in read_job(self.store, turn.job_id):
                job = entry.job
                match entry.event:
                    case StageStarted() | StageCompleted() as begun if isinstance(
                        begun, StageCompleted
                    ) == turn.gate and (begun.stage, begun.attempt_id) == (turn.stage, turn.attempt_id):
                        cause = entry.recorded.event_id
            events = interrupt(
                job,
                stage=turn.stage,
                attempt_id=turn.attempt_id,
                gate=turn.gate,
                ran_ms=ran_ms,
                reason=reason,
            )
            ids = [derived_id(f"interrupt/{turn.stage}/{turn.gate}", run_id, job.version) for _ in events]
            records = new_events(events, ids, job_id=turn.job_id, causation_id=cause)
            with suppress(VersionConflict):
                await self.store.append(stream_of(turn.job_id), records, expected_version=job.version)
                return len(events)

    def line(self) -> list[Due]:
        """The jobs that wait to be begun, in the order in which they will be as things stand."""
        return self.due.line()

    async def _follow(self) -> None:
        while True:
            try:
                await self._follow_log()
            except (
                StoreBusy,
                StoreFull,
            ) as fault:  # it will be readable again; what came meanwhile is read then
                self._failed("", fault)
                await anyio.sleep(FIRST_HOLD_MS / 1000)

    async def _follow_log(self) -> None:
        async with aclosing(self.store.subscribe(after_position=self.position)) as log:  # type: ignore[type-var]
            async for recorded in log:
                if recorded.stream == DAEMON:
                    self._look_at_daemon(recorded)
                elif recorded.stream.startswith(f"{CATEGORY}-"):
                    await self._look_at_job(recorded)
                self.position = recorded.position
                self._seen(recorded)

    def _look_at_daemon(self, recorded: RecordedEvent) -> None:
        event = _decoded(recorded)
        told = event if isinstance(event, DaemonEvent) else None
        self.daemon = evolve_daemon(self.daemon, told, recorded.recorded_at_ms)
        self._apply_pause()
        self._wake()

    async def _look_at_job(self, recorded: RecordedEvent) -> None:
        job_id = job_of(recorded.stream)
        if job_id in self.active:
            self.active[job_id][1].deliver(recorded)
        elif job_id in self.due or job_id in self.held:
            if recorded.type in ENDS:
                self._note_over(job_id)
        else:
            event = _decoded(recorded)
            if isinstance(event, JobSubmitted):
                priority, over = event.priority, False
            else:
                try:
                    job = await fold(self.store, job_id)
                except CafError as fault:
                    self._failed(job_id, fault)
                    return
                if job.submitted is None:
                    return  # posted by a publishing tool, and never submitted here
                priority, over = job.spec.priority, is_over(job)
            self._add(Due(job_id=job_id, priority=priority, over=over, position=recorded.position))

    def _note_over(self, job_id: str) -> None:
        if job_id in self.due:
            self.due.note_over(job_id)
        else:
            self.held[job_id].due.over = True
        self._wake()

    def _add(self, due: Due) -> None:
        self.due.add(due, self._clock.monotonic_ms())
        self._open.add(due.job_id, due.position)
        self._wake()

    async def _admit(self, group: TaskGroup) -> None:
        while True:
            changed = self._changed = anyio.Event()
            self._give_held_back()
            while (first := self._first()) is not None:
                feed = JobFeed(self.store, first.job_id)
                self.active[first.job_id] = first, feed
                group.start_soon(self._work, first, feed)
            await self._note_settled()
            with anyio.move_on_after(self._next_hold_s()):
                await changed.wait()

    def _first(self) -> Due | None:
        if self.draining or len(self.active) >= self.jobs_at_once or self._stalls():
            return None
        return self.due.take(stands=self.daemon.paused is not None)

    async def _work(self, due: Due, feed: JobFeed) -> None:
        job_id = due.job_id
        fault: Exception | None = None
        job: Job | None = None
        try:
            job = await self._run(job_id, feed=feed)
        except Exception as error:  # noqa: BLE001 - one job's trouble is not another's; it is told, and tried again
            fault = error
        del self.active[job_id]
        if fault is not None:
            self._hold(due, fault)
            self._wake()
            return
        self.stall = None
        self._open.settle(job_id)
        if job is not None and feed.version > job.version:
            position = feed.entries[-1].recorded.position
            self._add(Due(job_id=job_id, priority=due.priority, over=is_over(feed.job), position=position))
        self._wake()

    def _hold(self, due: Due, fault: Exception) -> None:
        wait_ms = min(FIRST_HOLD_MS * 2**due.tries, LONGEST_HOLD_MS)
        due.tries += 1
        now_ms = self._clock.monotonic_ms()
        until_ms = now_ms + wait_ms
        if _is_of_all(fault) and not self._stalls():
            times = self.stall.times + 1 if self.stall else 1
            stall_ms = min(FIRST_HOLD_MS * 2 ** (times - 1), LONGEST_HOLD_MS)
            self.stall = Stall(fault=fault, until_ms=now_ms + stall_ms, times=times)
        self.held[due.job_id] = Held(due=due, fault=fault, until_ms=until_ms)
        heapq.heappush(self._held_until, (until_ms, due.job_id))
        self._failed(due.job_id, fault)

    def _give_held_back(self) -> None:
        now_ms = self._clock.monotonic_ms()
        while self._held_until and self._held_until[0][0] <= now_ms:
            _, job_id = heapq.heappop(self._held_until)
            self._add(self.held.pop(job_id).due)

    def _next_hold_s(self) -> float | None:
        ends = [until_ms for until_ms, _ in self._held_until[:1]]
        if self.stall is not None and self._stalls():
            ends.append(self.stall.until_ms)
        return max(0.001, (min(ends) - self._clock.monotonic_ms()) / 1000) if ends else None

    def _stalls(self) -> bool:
        return self.stall is not None and self._clock.monotonic_ms() < self.stall.until_ms

    async def _note_settled(self) -> None:
        """Remember up to where everything was answered, so that the next start need not look before."""
        lowest = self._open.lowest()
        settled = self.position if lowest is None else lowest - 1
        if settled > self._settled:
            with suppress(EventStoreError):  # a full disk, say: the next start looks further back
                await self.store.save_checkpoint(Checkpoint(consumer=CONSUMER, position=settled))
                self._settled = settled

    def _apply_pause(self) -> None:
        if self.daemon.paused is not None or self.draining:
            self._close_lanes()
        else:
            for lane in self.lanes.all:
                lane.open()

    def _close_lanes(self) -> None:
        for lane in self.lanes.all:
            lane.close()

    def _quiet(self) -> bool:
        """Nothing runs in a lane, and every job that is under way waits for one."""
        waiting = {place.turn.job_id for lane in self.lanes.all for place in lane.waiting}
        waiting |= {place.turn.job_id for place, _ in self.lanes.twins.waiting}
        return not any(lane.running for lane in self.lanes.all) and self.active.keys() <= waiting

    def _wake(self) -> None:
        self._changed.set()


def _is_of_all(fault: Exception) -> bool:
    """The disk and the log are everybody's: with thousands of jobs, to try each on them takes a processor all day."""
    return isinstance(fault, OF_ALL) or (isinstance(fault, CafError) and fault.kind in KINDS_OF_ALL)


def _decoded(recorded: RecordedEvent) -> Event | DaemonEvent | None:
    try:
        return decode(recorded.type, recorded.type_version, recorded.data)
    except UnreadableEvent:
        return None
