"""The simulator: the daemon's own dispatcher, loop and lanes in invented time, through everything that can go wrong."""

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import anyio

from caf import log
from caf.actors import feed
from caf.actors.effects import Effect, RunStage
from caf.actors.feed import JobFeed
from caf.actors.loop import run_feed
from caf.actors.stages import Lanes
from caf.daemon.dispatcher import CONSUMER, Dispatcher, Due
from caf.daemon.state import unpause
from caf.decide import decide_daemon
from caf.errors import CafError, TryAgainError
from caf.events import Failure, JobSubmitted
from caf.job import INITIAL, Job, is_over
from caf.lanes import Lane, Place, Twins
from caf.log import CATEGORY, Entry, entry_of, job_of, stream_of
from eventstore import Checkpoint, EventStoreError, MemoryLog, RecordedEvent
from tests.simulation.checkers import check_at_rest
from tests.simulation.edge import SimulatedEdge
from tests.simulation.faults import CALM, STORM, CrashError
from tests.simulation.loop import VirtualLoop
from tests.simulation.people import People
from tests.simulation.rows import LiveRows
from tests.simulation.store import FaultyStore, UnchainedLog
from tests.simulation.world import any_job
from tests.support.edge import InventedEdge, share

__all__ = ["Simulation"]

LONGEST_LIFE_S: Final = 240.0
LOOK_S: Final = 30.0
LATE_MS: Final = 2_000
CALM_LOOKS: Final = 2_000
HOPELESS: Final = 10
"""Tries without any fault around after which a job will never go on."""
ROUNDS: Final = ("retry", "retry", "proceed", "abort")
"""What is answered to those that wait, at the end, until nobody does."""


class Simulation:
    """Several jobs under one seed. `run` is some stormy lives of the daemon, and a calm one after them."""

    def __init__(self, seed: int, *, thorough: bool = True) -> None:
        """`thorough`: with the log's chain of digests and the read models, which take longer than all the rest."""
        self.seed = seed
        self.chance = random.Random(seed)
        self.faults = STORM
        self.now_s = 0.0
        self.skew_ms = 0
        self.dead = False
        self.life = 0
        self.log = (MemoryLog if thorough else UnchainedLog)(clock_ms=self.now_ms)
        self.log.listeners.append(self._wake)
        self.news = asyncio.Event()
        self.rows = LiveRows() if thorough else None
        self.edge = InventedEdge(score=self._score, fails=self._fails)
        self.specs: dict[str, JobSubmitted] = {}
        self.acknowledged: list[str] = []
        """Ids of the events whose append was answered."""
        self.promised: dict[str, str] = {}
        """Jobs whose submission was answered, with its id."""
        self.over_since_s: dict[str, float] = {}
        self.working: dict[str, Effect] = {}
        """What is under way in this moment, by job."""
        self.locks: set[str] = set()
        self.starts: list[int] = []
        """How long the log was at the start of each life."""
        self.happened: Counter[str] = Counter()
        self.broken: list[str] = []
        """Promises that were seen to be broken while it ran."""
        self._loop: VirtualLoop | None = None
        self._entries: dict[str, list[Entry]] = {}
        self._known: dict[int, Entry] = {}
        for number in range(self.chance.randint(1, 5)):
            spec = any_job(self.chance, number)
            self.specs[spec.job_id] = spec

    def run(self, *, to_the_end: bool = False) -> None:
        """`to_the_end`: people answer what the jobs wait for, until all are over."""
        for _ in range(self.chance.randint(1, 4)):
            self.live(self._stormy_life)
        self.faults = CALM
        self.live(self._calm_life, to_the_end=to_the_end)

    def live(self, life: Callable[..., Coroutine[Any, Any, None]], **given: Any) -> None:
        """One process, from its start to its end; the time goes on where the last one stopped."""
        self.dead = False
        self.life += 1
        self.locks.clear()
        self.working.clear()
        self.news = asyncio.Event()
        self.starts.append(self.log.head())
        loop = self._loop = VirtualLoop(self.now_s)
        if self.faults.reordered_wakeups:
            loop.reorder = self._reorder
        try:
            with (
                _nothing_collected(),
                self._remembering(),
                asyncio.Runner(loop_factory=lambda: loop) as runner,
            ):
                runner.run(self._until_killed(life(**given), loop))
        except (CrashError, asyncio.CancelledError, BaseExceptionGroup):
            if not self.dead:
                raise
        self.now_s = loop.now_s + self.chance.expovariate(1 / 5.0)
        self._loop = None

    def job_ids(self) -> list[str]:
        """Every job that the log knows, and those that are to come."""
        known = [name for name in self.log._streams if name.startswith(f"{CATEGORY}-")]
        return list(dict.fromkeys([*self.specs, *map(job_of, known)]))

    def entries(self, job_id: str) -> list[Entry]:
        """What the log holds of a job; what was folded before is not folded again."""
        found, stream = self._entries.setdefault(job_id, []), stream_of(job_id)
        if self.log.version(stream) > len(found):
            for recorded in self.log.read(stream, after_version=len(found)):
                found.append(self._entry_of(found[-1].job if found else INITIAL, recorded))
        return found

    def job(self, job_id: str) -> Job:
        """A job as it stands."""
        entries = self.entries(job_id)
        return entries[-1].job if entries else INITIAL

    def jobs(self) -> dict[str, list[Entry]]:
        """The entries of every job that the log knows."""
        found = {job_id: self.entries(job_id) for job_id in self.job_ids()}
        return {job_id: entries for job_id, entries in found.items() if entries}

    @contextmanager
    def working_on(self, job_id: str) -> Iterator[None]:
        """The lock that one process has on a job while it works there; see `Workspace.working_on`."""
        if job_id in self.locks:
            self.count("job in use")
            raise TryAgainError("Another process works on it.", remedy="Wait.", kind="job_in_use")
        self.locks.add(job_id)
        try:
            yield
        finally:
            self.locks.discard(job_id)

    def mortal_store(self) -> Any:
        """The log as a process sees it that dies in crashes."""
        return FaultyStore(self, mortal=True)

    def new_edge(self) -> SimulatedEdge:
        """That of one process more."""
        return SimulatedEdge(self, self._lanes())

    def crash(self) -> NoReturn:
        if not self.dead:
            self.count("crash")
        self.dead = True
        raise CrashError

    def expect(self, holds: bool, promise: str, otherwise: str) -> None:
        if not holds:
            self.broken.append(f"{promise}: {otherwise}")

    def count(self, what: str) -> None:
        self.happened[what] += 1

    def happens(self, likelihood: float, name: str) -> bool:
        if likelihood <= 0 or self.chance.random() >= likelihood:
            return False
        self.happened[name] += 1
        return True

    def time_s(self) -> float:
        """By the clock that never jumps."""
        return self._loop.now_s if self._loop else self.now_s

    def now_ms(self) -> int:
        if self.happens(self.faults.clock_jump, "clock jump"):
            self.skew_ms += self.chance.choice([-86_400_000, -3_600_000, -20, 3_600_000, 86_400_000])
        return 1_700_000_000_000 + self.skew_ms + self.monotonic_ms()

    def monotonic_ms(self) -> int:
        return round(1000 * self.time_s())

    @contextmanager
    def _remembering(self) -> Iterator[None]:
        """An event that was understood once is not decoded and folded again by each who reads it."""
        whole = feed.entry_of, log.entry_of
        feed.entry_of = log.entry_of = self._entry_of
        try:
            yield
        finally:
            feed.entry_of, log.entry_of = whole

    def _entry_of(self, before: Job, recorded: RecordedEvent) -> Entry:
        known = self._known.get(recorded.position)
        if known is None:
            known = self._known[recorded.position] = entry_of(before, recorded)
        return known

    async def _until_killed(self, life: Coroutine[Any, Any, None], loop: VirtualLoop) -> None:
        task = asyncio.current_task()
        assert task is not None

        def kill() -> None:
            if not self.dead:
                self.count("crash")
                self.count("crash at a step")
            self.dead = True
            task.cancel()

        if self.chance.random() < self.faults.crash_at_step:
            loop.last_step = round(10 ** self.chance.uniform(0.5, 4.0))
            loop.at_last_step = kill
        await life

    async def _stormy_life(self) -> None:
        if self.life > 1:
            self._put_checkpoints_back()
        dispatcher = self._dispatcher()
        places: list[Place] = []
        try:
            await dispatcher.load()
        except EventStoreError:
            self.count("start refused")
            return
        async with anyio.create_task_group() as group:
            group.start_soon(People(self).live, group)
            await group.start(dispatcher.serve)
            await asyncio.sleep(self.chance.uniform(1.0, LONGEST_LIFE_S))
            self._check_watch(dispatcher)
            if self.chance.random() < 0.3:
                self.crash()
            self.count("drain")
            places = await dispatcher.drain(self.chance.expovariate(1 / 5.0))
            group.cancel_scope.cancel()
        await self._note_end(dispatcher, places)

    def _check_watch(self, dispatcher: Dispatcher) -> None:
        """A daemon that serves knows of every job that is not at rest, and comes back to what it held back."""
        for job_id, entries in self.jobs().items():
            known = job_id in dispatcher.due or job_id in dispatcher.active or job_id in dispatcher.held
            at_rest = entries[-1].job.status not in ("submitted", "running")
            self.expect(
                known or at_rest or entries[-1].recorded.position > dispatcher.position,
                "the_daemon_knows_every_job_that_is_not_at_rest",
                f"{job_id} is {entries[-1].job.status}",
            )
        for job_id, held in dispatcher.held.items():
            late_ms = self.monotonic_ms() - held.until_ms
            self.expect(
                late_ms < LATE_MS, "a_job_that_was_held_back_is_tried_again", f"{job_id}: {late_ms} ms late"
            )

    async def _note_end(self, dispatcher: Dispatcher, places: list[Place]) -> None:
        try:
            noted = await dispatcher.note_interrupted(places, reason="SIGTERM", run_id=People(self).new())
            self.happened["interrupted"] += noted
        except (CafError, EventStoreError):  # a full disk: the next start does without
            self.count("end not recorded")

    async def _calm_life(self, *, to_the_end: bool) -> None:
        people = People(self)
        async with anyio.create_task_group() as group:
            for job_id in self.specs:
                await people.do("submit", job_id)
            await decide_daemon(
                FaultyStore(self, mortal=False), people, lambda daemon: unpause(daemon, by="ada")
            )  # type: ignore[arg-type]
            dispatcher = self._dispatcher()
            await group.start(dispatcher.serve)
            await self._rest(dispatcher)
            for job_id, entries in self.jobs().items():
                self.broken += [f"{job_id}: {problem}" for problem in check_at_rest(entries, self.edge.files)]
            for action in ROUNDS if to_the_end else ():
                for job_id in self.jobs():
                    if self.job(job_id).status == "waiting":
                        await people.do(action, job_id, **({"from_stage": None} if action == "retry" else {}))
                await self._rest(dispatcher)
            for job_id in self.jobs() if to_the_end else ():
                for _ in range(2):
                    await people.do("post", job_id, platform="x")
            group.cancel_scope.cancel()
        if to_the_end:
            for job_id in self.jobs():
                job = self.job(job_id)
                self.expect(
                    is_over(job), "every_job_ends", f"{job_id} is {job.status} though all was answered"
                )

    async def _rest(self, dispatcher: Dispatcher) -> None:
        """Until the daemon has nothing to do."""
        for _ in range(CALM_LOOKS):
            await asyncio.sleep(LOOK_S)
            for held in dispatcher.held.values():
                if held.due.tries > HOPELESS:
                    self.expect(False, "every_job_ends", f"{held.due.job_id} never goes on: {held.fault!r}")
                    return
            if not (dispatcher.due or dispatcher.active or dispatcher.held):
                return
        self.expect(False, "every_job_ends", f"{[*dispatcher.due, *dispatcher.active]} never come to rest")

    def _dispatcher(self) -> Dispatcher:
        lanes = self._lanes()
        edge = SimulatedEdge(self, lanes)

        async def run(job_id: str, *, feed: JobFeed) -> Job:  # by this name, as the daemon's own
            with self.working_on(job_id):
                return await run_feed(feed, edge.perform)

        def failed(job_id: str, fault: Exception) -> None:
            self.count("held back" if job_id else "log out of reach")
            told = isinstance(fault, CafError | EventStoreError)
            self.expect(told, "every_run_comes_to_rest", f"{job_id}: {fault!r}")

        return Dispatcher(
            self.mortal_store(),
            run=run,
            unfinished=self._unfinished,
            lanes=lanes,
            jobs_at_once=self.chance.randint(1, 3),
            clock=self,
            failed=failed,
        )

    def _lanes(self) -> Lanes:
        return Lanes(
            render=Lane("render", self.chance.randint(1, 2), self),
            native=Lane("native", self.chance.randint(1, 2), self),
            twins=Twins(self),
        )

    async def _unfinished(self, position: int) -> Iterable[Due]:
        if self.rows is not None:
            self.rows.catch_up(self, self.chance)
            return self.rows.unfinished(position)
        found = []
        for job_id, entries in self.jobs().items():
            job, last = entries[-1].job, entries[-1].recorded.position
            if job.submitted and (job.status in ("submitted", "running") or last > position):
                due = Due(job_id=job_id, priority=job.spec.priority, over=is_over(job), position=last)
                found.append(due)
        return found

    def _put_checkpoints_back(self) -> None:
        """What an actor answered comes to it again, as to a consumer that lost its place."""
        for consumer, position in list(self.log._checkpoints.items()):
            if "/" in consumer and self.happens(self.faults.redelivery, "redelivery"):
                back = self.chance.randint(0, position)
                self.log.save_checkpoint(Checkpoint(consumer=consumer, position=back))
                # The dispatcher's says that every actor has answered everything up to there.
                settled = min(back, self.log.checkpoint(CONSUMER))
                self.log.save_checkpoint(Checkpoint(consumer=CONSUMER, position=settled))

    def _reorder(self, ready: Any) -> None:
        if self.happens(self.faults.reordered_wakeups, "reordered wake-ups"):
            self.chance.shuffle(ready)

    def _wake(self) -> None:
        news, self.news = self.news, asyncio.Event()
        news.set()

    def _score(self, metric: str, sha256: str) -> float | None:
        luck = share(self.seed, metric, sha256)
        return None if luck < 0.07 else luck * 0.9 if luck < 0.35 else 1.0

    def _fails(self, effect: RunStage) -> Failure | None:
        if self.happens(self.faults.transient_failure, "transient failure"):
            return Failure(kind="worker_died", message="It died.", remedy="Again.", transient=True)
        likelihood = self.faults.lasting_failure
        if likelihood and share(self.seed, "lasting", effect.stage, effect.parameters) < likelihood:
            self.count("lasting failure")
            return Failure(kind="not_a_video", message="It is no video.", remedy="Give a video.")
        return None


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """A generator that is collected is closed in the loop: when that is must not hang on what ran before."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
