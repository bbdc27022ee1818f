"""The daemon's edge in a simulation: lanes as in earnest, work that takes invented time, and breaks."""

from typing import TYPE_CHECKING, Final

import anyio

from caf.actors.effects import Effect, MeasureStage, RunStage
from caf.actors.stages import Lanes
from caf.errors import TryAgainError
from caf.events import Event
from caf.job import Job
from caf.lanes import Turn
from caf.log import Entry

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

__all__ = ["SimulatedEdge"]

ENGINE_STAGES: Final = frozenset({"frame", "motion", "video"})


class SimulatedEdge:
    """Performs effects for one life of the daemon; the files it writes outlive it."""

    def __init__(self, simulation: "Simulation", lanes: Lanes) -> None:
        self._simulation = simulation
        self._lanes = lanes
        self._running: dict[str, RunStage] = {}

    async def perform(self, effect: Effect, entry: Entry) -> list[Event]:
        simulation, faults = self._simulation, self._simulation.faults
        self._maybe_crash(faults.crash_before_effect)
        if simulation.happens(faults.machine):
            raise TryAgainError("There is no room left.", remedy="Free some.", kind="disk_full")
        if simulation.happens(faults.defect):
            raise ZeroDivisionError("a defect of the edge")
        if isinstance(effect, RunStage | MeasureStage):
            done = await self._in_its_lane(effect, entry.job)
        else:
            done = simulation.edge.do(effect, entry.job)
        self._maybe_crash(faults.crash_after_effect)
        return done

    async def _in_its_lane(self, effect: RunStage | MeasureStage, job: Job) -> list[Event]:
        simulation = self._simulation
        gate = isinstance(effect, MeasureStage)
        lane = self._lanes.native if gate or effect.stage not in ENGINE_STAGES else self._lanes.render
        turn = Turn(
            job_id=job.spec.job_id,
            stage=effect.stage,
            attempt_id=effect.attempt_id,
            gate=gate,
            priority=job.spec.priority,
        )
        async with lane.turn(turn):
            simulation.expect(len(lane.running) <= lane.capacity, f"{lane.name} holds {len(lane.running)}")
            if isinstance(effect, RunStage):
                await self._run(effect, job)
            else:
                await self._take_time()
            return simulation.edge.do(effect, job)

    async def _run(self, effect: RunStage, job: Job) -> None:
        """A stage runs; no other attempt of its job may run meanwhile."""
        job_id = job.spec.job_id
        other = self._running.get(job_id)
        self._simulation.expect(
            other is None, f"{job_id} runs {effect.attempt_id} {effect.stage} while {other} runs"
        )
        self._running[job_id] = effect
        try:
            await self._take_time()
        finally:
            del self._running[job_id]

    async def _take_time(self) -> None:
        simulation = self._simulation
        mean_s = 3600.0 if simulation.happens(simulation.faults.slow_work) else 5.0
        await anyio.sleep(simulation.chance.expovariate(1 / mean_s))
        self._maybe_crash(0.0)

    def _maybe_crash(self, likelihood: float) -> None:
        if self._simulation.dead or self._simulation.happens(likelihood):
            self._simulation.crash()
