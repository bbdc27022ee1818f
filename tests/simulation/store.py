"""A store that fails as disks and processes do: late, full, dead before the commit or between it and the answer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

from caf.events import JobAborted, JobCancelled, JobCompleted
from eventstore import (
    ANY,
    Appended,
    Checkpoint,
    MemoryLog,
    NewEvent,
    RecordedEvent,
    StoreBusy,
    StoreFull,
)
from eventstore.chain import record

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

__all__ = ["FaultyStore", "UnchainedLog"]

ENDS = frozenset(kind.__name__ for kind in (JobAborted, JobCancelled, JobCompleted))


class UnchainedLog(MemoryLog):
    """A log without its chain of digests, which takes a third of an append and has tests of its own."""

    def _record(self, stream: str, events: Sequence[NewEvent]) -> None:
        now_ms = self._clock_ms()
        own = self._streams.setdefault(stream, [])
        for event in events:
            recorded = record(
                event,
                stream=stream,
                version=len(own) + 1,
                position=len(self._events) + 1,
                recorded_at_ms=now_ms,
            )
            self._events.append(recorded)
            own.append(recorded)
            self._by_id[event.event_id] = recorded


class FaultyStore:
    """One process's view of the log. `mortal`: what kills the daemon ends it too; people's programs go on."""

    def __init__(self, simulation: "Simulation", *, mortal: bool) -> None:
        self._simulation = simulation
        self._mortal = mortal

    async def append(
        self,
        stream: str,
        events: Sequence[NewEvent],
        *,
        expected_version: int = ANY,
        checkpoint: Checkpoint | None = None,
    ) -> Appended:
        simulation, faults = self._simulation, self._simulation.faults
        await self._pause(faults.slow_append, "slow append")
        self._maybe_full()
        self._maybe_crash(faults.crash_before_append, "before append")
        answer = simulation.log.append(
            stream, events, expected_version=expected_version, checkpoint=checkpoint
        )
        if any(event.type in ENDS for event in events):
            simulation.over_since_s.setdefault(stream, simulation.time_s())
        self._maybe_crash(faults.crash_after_append, "after append")
        await self._pause(faults.slow_append, "slow append")
        simulation.acknowledged += [event.event_id for event in events]
        return answer

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        await self._turn()
        self._maybe_full()
        self._maybe_crash(self._simulation.faults.crash_before_append, "before append")
        self._simulation.log.save_checkpoint(checkpoint)

    async def read(
        self, stream: str, *, after_version: int = 0, limit: int | None = None
    ) -> AsyncIterator[RecordedEvent]:
        await self._turn()
        self._maybe_busy()
        events = list(self._simulation.log.read(stream, after_version=after_version, limit=limit))
        await self._pause(self._simulation.faults.slow_read, "slow read")
        for event in events:
            yield event

    async def subscribe(self, *, after_position: int = 0) -> AsyncIterator[RecordedEvent]:
        simulation, faults, position = self._simulation, self._simulation.faults, after_position
        while True:
            await self._turn()
            self._maybe_busy()
            news = simulation.news
            for event in simulation.log.read_all(after_position=position):
                await self._pause(faults.late_news, "late news")
                yield event
                position = event.position
                if simulation.happens(faults.news_twice, "news twice"):
                    yield event
            if simulation.log.head() <= position:
                await news.wait()

    async def version(self, stream: str) -> int:
        await self._turn()
        self._maybe_busy()
        return self._simulation.log.version(stream)

    async def head(self) -> int:
        await self._turn()
        self._maybe_busy()
        return self._simulation.log.head()

    async def checkpoint(self, consumer: str) -> int:
        await self._turn()
        self._maybe_busy()
        return self._simulation.log.checkpoint(consumer)

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        self._alive()

    async def _pause(self, likelihood: float, name: str) -> None:
        late = self._simulation.happens(likelihood, name)
        await asyncio.sleep(self._simulation.chance.expovariate(2.0) if late else 0)
        self._alive()

    def _maybe_full(self) -> None:
        if self._simulation.happens(self._simulation.faults.disk_full, "disk full"):
            raise StoreFull("There is no room.", remedy="Free some.")

    def _maybe_busy(self) -> None:
        if self._simulation.happens(self._simulation.faults.log_busy, "log busy"):
            raise StoreBusy("Another one holds the log.", remedy="Try again.")

    def _maybe_crash(self, likelihood: float, where: str) -> None:
        if self._mortal and self._simulation.happens(likelihood, f"crash {where}"):
            self._simulation.crash()

    def _alive(self) -> None:
        if self._mortal and self._simulation.dead:
            self._simulation.crash()
