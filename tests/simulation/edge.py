"""One process's edge in a simulation: lanes as in earnest, work that takes invented time, and breaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from caf.actors.effects import Effect, MeasureStage, PreparePayloads, PublishOutput, RunStage
from caf.actors.stages import Lanes
from caf.errors import TryAgainError
from caf.events import Event, Failure, StageFailed
from caf.job import Job
from caf.lanes import Turn
from caf.log import Entry, stream_of
from tests.support.edge import share

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

__all__ = ["SimulatedEdge"]

ENGINE_STAGES: Final = frozenset({"frame", "motion", "video"})
DEADLINE_S: Final = 7200.0
SOON_S: Final = 120.0
"""By then everybody has heard that a job is over, however late the news."""
Work = RunStage | MeasureStage


class SimulatedEdge:
    """Performs effects for one process; the files that it writes outlive it."""

    def __init__(self, simulation: "Simulation", lanes: Lanes) -> None:
        self._simulation = simulation
        self._lanes = lanes

    async def perform(self, effect: Effect, entry: Entry) -> list[Event]:
        simulation, faults = self._simulation, self._simulation.faults
        await asyncio.sleep(0)
        self._maybe_crash(faults.crash_before_effect, "before effect")
        if simulation.happens(faults.machine, "machine"):
            raise TryAgainError("There is no room left.", remedy="Free some.", kind="disk_full")
        if simulation.happens(faults.defect, "defect") or self._never_works(effect, entry):
            raise ZeroDivisionError("a defect of the edge")
        if isinstance(effect, Work):
            done = await self._in_its_lane(effect, entry.job)
        else:
            self._maybe_stop_half_way(effect)
            done = simulation.edge.do(effect, entry.job)
        self._maybe_crash(faults.crash_after_effect, "after effect")
        return done

    async def _in_its_lane(self, effect: Work, job: Job) -> list[Event]:
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
            simulation.expect(
                len(lane.running) <= lane.capacity, "lanes_hold_no_more_than_they_may", f"{lane.name}"
            )
            async with self._under_way(effect, job.spec.job_id):
                failure = await self._take_time()
            if failure is not None and isinstance(effect, RunStage):
                return [
                    StageFailed(
                        stage=effect.stage, attempt_id=effect.attempt_id, failure=failure, duration_ms=5
                    )
                ]
            return simulation.edge.do(effect, job)

    @asynccontextmanager
    async def _under_way(self, effect: Work, job_id: str) -> AsyncIterator[None]:
        """Work on a job, which nothing else may work on meanwhile, and which may not be over for long."""
        simulation, working = self._simulation, self._simulation.working
        simulation.expect(
            job_id not in working,
            "no_stage_runs_while_another_one_of_its_job_does",
            f"{job_id}: {_told(effect)} runs while {_told(working.get(job_id))} does",
        )
        working[job_id] = effect
        try:
            yield
        finally:
            working.pop(job_id, None)
            over_s = simulation.over_since_s.get(stream_of(job_id))
            simulation.expect(
                simulation.dead or over_s is None or simulation.time_s() - over_s < SOON_S,
                "a_job_that_is_over_is_not_worked_on",
                f"{job_id}: {_told(effect)} ran on though the job was over",
            )

    async def _take_time(self) -> Failure | None:
        simulation, faults = self._simulation, self._simulation.faults
        if simulation.happens(faults.hung_work, "hung work"):
            await asyncio.sleep(DEADLINE_S)
            return Failure(
                kind="worker_stalled", message="It hung.", remedy="It is tried again.", transient=True
            )
        slow = simulation.happens(faults.slow_work, "slow work")
        await asyncio.sleep(simulation.chance.expovariate(1 / (1800.0 if slow else 5.0)))
        self._maybe_crash(0.0, "")
        return None

    def _never_works(self, effect: Effect, entry: Entry) -> bool:
        simulation, likelihood = self._simulation, self._simulation.faults.lasting_defect
        if not likelihood:
            return False
        place = (simulation.seed, simulation.life, entry.recorded.position, type(effect).__name__)
        if share(*place) >= likelihood:
            return False
        simulation.count("lasting defect")
        return True

    def _maybe_stop_half_way(self, effect: Effect) -> None:
        """A process dies between the first document of several and the others."""
        if isinstance(effect, PublishOutput | PreparePayloads):
            for document in effect.documents[:1]:
                self._simulation.edge.files[document.path] = document.content
            self._maybe_crash(self._simulation.faults.crash_in_effect, "in effect")

    def _maybe_crash(self, likelihood: float, where: str) -> None:
        if self._simulation.dead or self._simulation.happens(likelihood, f"crash {where}"):
            self._simulation.crash()


def _told(effect: Work | None) -> str:
    return f"{type(effect).__name__} {effect.attempt_id} {effect.stage}" if effect else "nothing"
