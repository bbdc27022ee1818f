"""The simulator: the daemon's own dispatcher, loop and lanes in invented time, through everything that can go wrong."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, NamedTuple, NoReturn

import anyio

from caf.actors.effects import RunStage
from caf.actors.feed import JobFeed
from caf.actors.loop import run_feed
from caf.actors.stages import Lanes
from caf.daemon.dispatcher import Dispatcher, Due
from caf.daemon.state import unpause
from caf.decide import decide_daemon
from caf.events import Failure, JobSubmitted
from caf.job import INITIAL, Job, is_over
from caf.lanes import Lane
from caf.log import CATEGORY, Entry, entry_of, job_of, stream_of
from eventstore import Checkpoint, MemoryLog
from tests.simulation.edge import SimulatedEdge
from tests.simulation.loop import VirtualLoop
from tests.simulation.people import People
from tests.simulation.store import FaultyStore
from tests.simulation.world import any_job
from tests.support.edge import InventedEdge, share

__all__ = ["CrashError", "Simulation"]

LONGEST_LIFE_S: Final = 200.0
CALM_LOOKS: Final = 20_000
LOOK_S: Final = 30.0


class Faults(NamedTuple):
    """How likely each thing is, at every opportunity."""

    crash_before_effect: float = 0.005
    crash_after_effect: float = 0.008
    crash_before_append: float = 0.005
    crash_after_append: float = 0.008
    slow_append: float = 0.05
    late_news: float = 0.05
    disk_full: float = 0.01
    machine: float = 0.01
    defect: float = 0.01
    slow_work: float = 0.01
    transient_failure: float = 0.08
    redelivery: float = 0.5
    clock_jump: float = 0.05


CALM: Final = Faults(*[0.0] * len(Faults._fields))


class CrashError(BaseException):
    """The process is gone: what it had only in its head is lost, and nobody catches this."""


class Simulation:
    """Several jobs under one seed. `run` is some stormy lives of the daemon, and a calm one after them."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.faults = Faults()
        self.now_s = 0.0
        self.skew_ms = 0
        self.dead = False
        self.log = MemoryLog(clock_ms=self.now_ms)
        self.edge = InventedEdge(score=self._score, fails=self._fails)
        self.specs: dict[str, JobSubmitted] = {}
        self.acknowledged: list[str] = []
        self.happened: Counter[str] = Counter()
        self.broken: list[str] = []
        """Promises that were seen to be broken while it ran."""
        self._loop: VirtualLoop | None = None
        self._entries: dict[str, list[Entry]] = {}
        for number in range(self.chance.randint(1, 3)):
            spec = any_job(self.chance, number)
            self.specs[spec.job_id] = spec

    def run(self) -> None:
        for number in range(self.chance.randint(1, 4)):
            self.live(self._stormy_life, first=number == 0)
        self.settle()

    def settle(self) -> None:
        """No more faults, no more people: every job comes to rest."""
        self.faults = CALM
        self.live(self._calm_life)

    def live(self, life: Callable[..., Coroutine[Any, Any, None]], **given: Any) -> None:
        """One process, from its start to its end; the time goes on where the last one stopped."""
        self.dead = False
        self._loop = VirtualLoop(self.now_s)
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(life(**given))
        self.now_s = self._loop.now_s + self.chance.expovariate(1 / 5.0)
        self._loop = None

    def job_ids(self) -> list[str]:
        """Every job that the log knows, and those that are to come."""
        known = [name for name in self.log._streams if name.startswith(f"{CATEGORY}-")]
        return list(dict.fromkeys([*self.specs, *map(job_of, known)]))

    def entries(self, job_id: str) -> list[Entry]:
        """What the log holds of a job; what was folded before is not folded again."""
        found = self._entries.setdefault(job_id, [])
        for recorded in self.log.read(stream_of(job_id), after_version=len(found)):
            found.append(entry_of(found[-1].job if found else INITIAL, recorded))
        return found

    def jobs(self) -> dict[str, list[Entry]]:
        """The entries of every job that was submitted."""
        found = {job_id: self.entries(job_id) for job_id in self.job_ids()}
        return {job_id: entries for job_id, entries in found.items() if entries}

    def say(self, job_id: str, action: str) -> None:
        """A person answers or cancels, between two lives."""
        self.live(lambda: People(self).do(action, job_id))

    def crash(self) -> NoReturn:
        if not self.dead:
            self.happened["crash"] += 1
        self.dead = True
        raise CrashError

    def expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.broken.append(otherwise)

    def count(self, what: str) -> None:
        self.happened[what] += 1

    def happens(self, likelihood: float) -> bool:
        return likelihood > 0 and self.chance.random() < likelihood

    def now_ms(self) -> int:
        if self.happens(self.faults.clock_jump):
            self.skew_ms += self.chance.choice([-3_600_000, 3_600_000])
        return 1_700_000_000_000 + self.skew_ms + self.monotonic_ms()

    def monotonic_ms(self) -> int:
        return round(1000 * (self._loop.now_s if self._loop else self.now_s))

    async def _stormy_life(self, *, first: bool) -> None:
        people = People(self)
        if not first:
            self._put_checkpoints_back()
        try:
            async with anyio.create_task_group() as group:
                for job_id in self.specs if first else ():
                    await people.submit(job_id)
                dispatcher = self._dispatcher()
                await group.start(dispatcher.serve)
                group.start_soon(people.act)
                await anyio.sleep(self.chance.uniform(1.0, LONGEST_LIFE_S))
                if self.chance.random() < 0.5:
                    self.crash()
                await self._stop(dispatcher, group.cancel_scope)
        except BaseExceptionGroup as faults:
            if faults.split(CrashError)[1] is not None:
                raise

    async def _stop(self, dispatcher: Dispatcher, scope: anyio.CancelScope) -> None:
        self.count("drain")
        places = await dispatcher.drain(self.chance.expovariate(1 / 5.0))
        scope.cancel()
        with anyio.CancelScope(shield=True):
            try:
                noted = await dispatcher.note_interrupted(places, reason="SIGTERM", run_id=People(self).new())
                self.happened["interrupted"] += noted
            except Exception:  # noqa: BLE001 - a full disk: the next start does without
                self.count("end not recorded")

    async def _calm_life(self) -> None:
        async with anyio.create_task_group() as group:
            people = People(self)
            for job_id in self.specs:
                await people.submit(job_id)
            await decide_daemon(
                FaultyStore(self, mortal=False), people, lambda daemon: unpause(daemon, by="ada")
            )  # type: ignore[arg-type]
            dispatcher = self._dispatcher()
            await group.start(dispatcher.serve)
            for _ in range(CALM_LOOKS):
                await anyio.sleep(LOOK_S)
                if not (dispatcher.due or dispatcher.active or dispatcher.held):
                    break
            else:
                raise AssertionError(f"seed {self.seed}: the daemon never comes to rest")
            group.cancel_scope.cancel()

    def _dispatcher(self) -> Dispatcher:
        lanes = Lanes(render=Lane("render", 1, self), native=Lane("native", 2, self))
        edge = SimulatedEdge(self, lanes)

        async def run(job_id: str, *, feed: JobFeed) -> Job:
            return await run_feed(feed, edge.perform)

        def failed(job_id: str, fault: Exception) -> None:
            self.count("held back")

        return Dispatcher(
            FaultyStore(self, mortal=True),  # type: ignore[arg-type]
            run=run,
            unfinished=self._unfinished,
            lanes=lanes,
            jobs_at_once=2,
            clock=self,
            failed=failed,
        )

    async def _unfinished(self, position: int) -> Iterable[Due]:
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
            if "/" in consumer and self.happens(self.faults.redelivery):
                back = self.chance.randint(0, position)
                self.log.save_checkpoint(Checkpoint(consumer=consumer, position=back))
                self.count("redelivery")

    def _score(self, metric: str, sha256: str) -> float | None:
        luck = share(self.seed, metric, sha256)
        return None if luck < 0.07 else luck * 0.9 if luck < 0.35 else 1.0

    def _fails(self, effect: RunStage) -> Failure | None:
        if self.happens(self.faults.transient_failure):
            return Failure(kind="worker_died", message="It died.", remedy="Again.", transient=True)
        if share(self.seed, "lasting", effect.stage, effect.parameters) < 0.03:
            return Failure(kind="not_a_video", message="It is no video.", remedy="Give a video.")
        return None
