"""What people and their programs do to a running daemon, at the worst moments."""

import uuid
from typing import TYPE_CHECKING, Any

import anyio

from caf import commands
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

ACTIONS = ["proceed"] * 3 + ["retry"] * 6 + ["abort", "cancel", "pause", "unpause", "unpause"]
ACTIONS += ["submit again", "submit twice", "take up again", "post", "post"]


class People:
    """Act on random jobs; what is refused is told to them and to nobody else."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation
        self._store: Any = FaultyStore(simulation, mortal=False)
        self._chance = simulation.chance

    async def act(self) -> None:
        """Now and then, for ever."""
        while True:
            await anyio.sleep(self._chance.expovariate(1 / 15.0))
            await self.do(self._chance.choice(ACTIONS), self._chance.choice(self._simulation.job_ids()))

    async def do(self, action: str, job_id: str) -> None:
        """One thing; a refusal, or a full disk, is counted and forgotten."""
        self._simulation.count(action)
        try:
            await self._do(action, job_id)
        except (CafError, EventStoreError):
            self._simulation.count("refused")

    async def submit(self, job_id: str) -> None:
        """A job of this seed is submitted, again if the disk was full."""
        while True:
            try:
                await record_submission(
                    self._store, self, self._simulation.specs[job_id], event_id=self._id_of(job_id)
                )
            except EventStoreError:
                await anyio.sleep(1)
            else:
                return

    def new(self) -> str:
        """A fresh id, as `caf.ports.Ids`."""
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    async def _do(self, action: str, job_id: str) -> None:
        if action == "submit again":
            await record_submission(self._store, self, self._simulation.specs[self._first(job_id)])
        elif action == "submit twice":
            await self.submit(self._first(job_id))
        elif action == "take up again":
            job = await load(self._store, job_id)
            name = JobId(f"{job_id}-2")
            event = commands.retry(job, job_id=name, from_stage=self._chance.choice(STAGES), by="ada")
            await record_submission(self._store, self, event)
        elif action == "pause":
            await decide_daemon(self._store, self, lambda daemon: pause(daemon, by="ada", reason=""))
        elif action == "unpause":
            await decide_daemon(self._store, self, lambda daemon: unpause(daemon, by="ada"))
        else:
            late = self._chance.random() < 0.3  # decided by what a page showed a while ago
            seen = await load(self._store, job_id) if late else None
            if late:
                await anyio.sleep(self._chance.expovariate(1 / 10.0))
            await decide_job(self._store, self, job_id, lambda job: self._decide(action, job, seen))

    def _decide(self, action: str, job: Job, seen: Job | None) -> list[Event]:
        if seen is not None and seen.escalation is None and action in ("proceed", "retry", "abort"):
            return commands.answer(seen, action=action, by="ada")
        if action == "cancel":
            return commands.cancel(job, by="ada", reason="enough")
        if action == "post":
            platform = self._chance.choice(["youtube", "x"])
            return commands.register_post(job, posted(platform))
        given: dict[str, Any] = {}
        if action == "retry":
            given = {
                "from_stage": self._chance.choice([None, *STAGES]),
                "source": "/clips/other.mp4" if self._chance.random() < 0.2 else None,
                "parameters": {"frame": {"denoise": 0.2}} if self._chance.random() < 0.2 else None,
            }
        return commands.answer(job, action=action, by="ada", **given)

    def _first(self, job_id: str) -> str:
        """The job of this seed that one was taken up from."""
        return next(name for name in self._simulation.specs if job_id.startswith(name))

    def _id_of(self, job_id: str) -> str:
        """The same for every submission of one job: an idempotency key."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._simulation.seed}/{job_id}"))
