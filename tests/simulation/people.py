"""What people and their programs do to a running daemon, at the worst moments."""

import asyncio
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from anyio.abc import TaskGroup

from caf import commands
from caf.actors.loop import run_job
from caf.daemon.state import pause, unpause
from caf.decide import decide_daemon, decide_job, record_submission
from caf.errors import CafError
from caf.events import STAGES, Event, JobId
from caf.job import Job
from caf.log import load
from eventstore import EventStoreError
from tests.simulation.store import FaultyStore
from tests.support.jobs import posted

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

__all__ = ["People"]

PLATFORMS: Final = ("youtube", "x", "tiktok")
ACTIONS: Final = (
    *["proceed", "proceed", "proceed", "retry", "retry", "retry", "retry", "retry", "abort"],
    *["answer twice", "cancel", "pause", "unpause", "unpause", "unpause"],
    *["submit", "submit again", "submit twice", "take up again", "resume", "resume"],
    *["post", "post", "tool posts", "approve"],
)
OF_THE_QUEUE: Final[dict[str, Callable[..., Any]]] = {
    "pause": lambda daemon: pause(daemon, by="ada", reason=""),
    "unpause": lambda daemon: unpause(daemon, by="ada"),
}


class People:
    """Act on random jobs; what is refused is told to them and to nobody else."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation
        self._store: Any = FaultyStore(simulation, mortal=False)
        self._chance = simulation.chance

    async def live(self, group: TaskGroup) -> None:
        """Submit what is new, then do one thing now and then, for ever."""
        for job_id in self._simulation.specs:
            if self._chance.random() < 0.7:
                await self.do("submit", job_id)
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / 12.0))
            action, job_id = (
                self._chance.choice(ACTIONS),
                self._chance.choice(self._simulation.job_ids()),
            )
            if action == "resume":
                group.start_soon(self._resume, job_id)
            else:
                await self.do(action, job_id)

    async def do(self, action: str, job_id: str, **given: Any) -> None:
        """One thing; a refusal, or a full disk, is counted and forgotten."""
        self._simulation.count(action)
        try:
            await self._do(action, job_id, **given)
        except (CafError, EventStoreError):
            self._simulation.count(f"{action} refused")

    async def submit(self, job_id: str) -> None:
        """A job of this seed is submitted under its own key, which makes many submissions one."""
        spec, key = self._simulation.specs[job_id], self._key(job_id)
        await record_submission(self._store, self, spec, event_id=key)
        self._simulation.promised[job_id] = key

    def new(self) -> str:
        """A fresh id, as `caf.ports.Ids`."""
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    async def _do(self, action: str, job_id: str, **given: Any) -> None:
        store = self._store
        if action == "submit":
            await self.submit(self._first(job_id))
        elif action == "submit twice":
            await self.submit(self._first(job_id))
            await self.submit(self._first(job_id))
        elif action == "submit again":
            await record_submission(store, self, self._simulation.specs[self._first(job_id)])
        elif action == "take up again":
            job = await load(store, job_id)
            name = JobId(f"{job_id}-2")
            event = commands.retry(job, job_id=name, from_stage=self._chance.choice(STAGES), by="ada")
            await record_submission(store, self, event)
        elif action in OF_THE_QUEUE:
            await decide_daemon(store, self, OF_THE_QUEUE[action])
        elif action == "answer twice":
            key = self.new()
            for _ in range(2):
                await decide_job(
                    store,
                    self,
                    job_id,
                    lambda job: commands.answer(job, action="retry", by="ada"),
                    event_id=key,
                )
                await asyncio.sleep(self._chance.expovariate(1 / 5.0))
        else:
            await self._decide(action, job_id, **given)

    async def _decide(self, action: str, job_id: str, **given: Any) -> None:
        """A command on a job; at times judged by what a page showed a while ago."""
        if self._simulation.happens(0.3 if self._simulation.faults.slow_append else 0.0, "late"):
            seen = await load(self._store, job_id)
            self._events(action, seen, **given)
            await self._somebody_else(job_id, seen)
            if (
                seen.escalation is not None
                and (await load(self._store, job_id)).escalation != seen.escalation
            ):
                self._simulation.count("late answer")
        await decide_job(self._store, self, job_id, lambda job: self._events(action, job, **given))

    async def _somebody_else(self, job_id: str, seen: Job) -> None:
        """Is quicker, at times."""
        await asyncio.sleep(self._chance.expovariate(1 / 10.0))
        if seen.escalation is not None and self._chance.random() < 0.5:
            action = self._chance.choice(("retry", "proceed"))
            await decide_job(
                self._store, self, job_id, lambda job: commands.answer(job, action=action, by="bob")
            )

    def _events(self, action: str, job: Job, *, platform: str | None = None, **given: Any) -> list[Event]:
        if action == "cancel":
            return commands.cancel(job, by="ada", reason="enough")
        if action == "post":
            return commands.register_post(job, posted(platform or self._chance.choice(PLATFORMS)))
        if action == "tool posts":  # it can post only what was handed to it
            handed = job.prepared.platforms if job.prepared else ()
            return [
                event
                for platform in handed[:1]
                for event in commands.register_post(job, posted(platform, observed_from="state.json"))
            ]
        if action == "approve":
            return commands.approve(job, platform=self._chance.choice(PLATFORMS), by="ada", note="")
        if action == "retry" and not given:
            given = {
                "from_stage": self._chance.choice([None, *STAGES]),
                "source": "/clips/other.mp4" if self._chance.random() < 0.2 else None,
                "parameters": {"frame": {"denoise": 0.2}} if self._chance.random() < 0.2 else None,
            }
        return commands.answer(job, action=action, by="ada", **given)

    async def _resume(self, job_id: str) -> None:
        """Another process works on a job until that comes to rest: `caf resume`."""
        simulation = self._simulation
        simulation.count("resume")
        perform = simulation.new_edge().perform
        try:
            with simulation.working_on(job_id):
                await load(self._store, job_id)
                await run_job(simulation.mortal_store(), job_id, perform)
        except (CafError, EventStoreError):
            simulation.count("resume refused")
        except Exception as fault:  # noqa: BLE001 - told with the seed
            simulation.expect(False, "every_run_comes_to_rest", f"{job_id}: {fault!r}")

    def _first(self, job_id: str) -> str:
        """The job of this seed that one was taken up from."""
        return next(name for name in self._simulation.specs if job_id.startswith(name))

    def _key(self, job_id: str) -> str:
        """The same for every submission of one job: an idempotency key."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._simulation.seed}/{job_id}"))
