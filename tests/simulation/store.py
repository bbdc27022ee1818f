"""A store that fails as disks and processes do: late, full, dead before the commit or between it and the answer."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio

from eventstore import ANY, Appended, Checkpoint, MemoryStore, NewEvent, RecordedEvent, StoreFull

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

__all__ = ["FaultyStore"]


class FaultyStore:
    """One process's view of the log. `mortal`: what kills the daemon ends it too; people's programs go on."""

    def __init__(self, simulation: "Simulation", *, mortal: bool) -> None:
        self._simulation = simulation
        self._mortal = mortal
        self._inner = MemoryStore(simulation.log)

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int = ANY,
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        simulation, faults = self._simulation, self._simulation.faults
        await self._pause(faults.slow_append)
        if simulation.happens(faults.disk_full):
            simulation.count("disk full")
            raise StoreFull("There is no room.", remedy="Free some.")
        self._maybe_crash(faults.crash_before_append)
        answer = simulation.log.append(
            stream, events, expected_version=expected_version, checkpoint=checkpoint
        )
        self._maybe_crash(faults.crash_after_append)
        await self._pause(faults.slow_append)
        simulation.acknowledged += [event.event_id for event in events]
        return answer

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        self._maybe_crash(self._simulation.faults.crash_before_append)
        self._simulation.log.save_checkpoint(checkpoint)

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async with aclosing(self._inner.subscribe(after_position=after_position)) as log:  # type: ignore[type-var]
            async for recorded in log:
                await self._pause(self._simulation.faults.late_news)
                yield recorded

    def __getattr__(self, name: str) -> Any:
        self._alive()
        return getattr(self._inner, name)

    async def _pause(self, likelihood: float) -> None:
        if self._simulation.happens(likelihood):
            await anyio.sleep(self._simulation.chance.expovariate(2.0))
        self._alive()

    def _maybe_crash(self, likelihood: float) -> None:
        self._alive()
        if self._mortal and self._simulation.happens(likelihood):
            self._simulation.crash()

    def _alive(self) -> None:
        if self._mortal and self._simulation.dead:
            self._simulation.crash()
