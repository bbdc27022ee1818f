"""Lanes: work that at most so many jobs may do at once, given out by priority, and within one in turn.

Measuring goes before other work of its priority: the engines wait for what a gate lets through, not for what is begun.
"""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final, Generic, TypeVar

import anyio
from msgspec import Struct

from caf.events import AttemptId, Stage
from caf.ports import Clock

T = TypeVar("T")

__all__ = ["AGEING_MS", "Lane", "Place", "Same", "Turn", "Twins"]

AGEING_MS: Final = 600_000
"""Ten minutes of waiting count as much as one step of priority, so that no job waits for ever."""

COMING_S: Final = 30.0
"""What an earlier run left behind on a slow disk is removed in that time."""


class Turn(Struct, frozen=True, kw_only=True):
    """What a job wants a lane for, or has it for."""

    job_id: str
    stage: Stage
    attempt_id: AttemptId
    gate: bool = False
    """True when QC measures what the stage gave."""
    priority: int = 0
    begun: bool = False
    """True when a server outside has some of it already, which would be done again if another job began it anew."""


class Place(Struct, frozen=True, kw_only=True):
    """A turn in its lane: since when it runs, or waits."""

    lane: str
    turn: Turn
    since_ms: int
    """By the clock that never jumps."""
    before: tuple[str, ...] = ()
    """The jobs that come first; empty for one that runs."""


class _Waiter:
    def __init__(self, turn: Turn, ticket: int, since_ms: int) -> None:
        self.turn = turn
        self.ticket = ticket
        self.since_ms = since_ms
        self.granted = anyio.Event()

    def rank(self, now_ms: int) -> tuple[int, bool, bool, int]:
        """The smallest goes first."""
        aged = self.turn.priority + (now_ms - self.since_ms) // AGEING_MS
        return -aged, not self.turn.gate, not self.turn.begun, self.ticket


class Lane:
    """`capacity` turns at a time. A job asks again for each stage, so jobs of one priority take turns."""

    def __init__(self, name: str, capacity: int, clock: Clock) -> None:
        self.name = name
        self.capacity = capacity
        self.busy_ms = 0
        """How long at least one turn was running, up to the last change."""
        self._clock = clock
        self._open = True
        self._tickets = itertools.count()
        self._running: dict[int, Place] = {}
        self._waiting: dict[int, _Waiter] = {}
        self._busy_since_ms: int | None = None

    @asynccontextmanager
    async def turn(self, turn: Turn) -> AsyncIterator[int]:
        """Wait for a turn and hold it; gives the milliseconds that were waited."""
        waiter = _Waiter(turn, next(self._tickets), self._clock.monotonic_ms())
        self._waiting[waiter.ticket] = waiter
        self._grant()
        try:
            await waiter.granted.wait()
            yield self._running[waiter.ticket].since_ms - waiter.since_ms
        finally:
            self._waiting.pop(waiter.ticket, None)
            if self._running.pop(waiter.ticket, None) is not None:
                self._count_time()
                self._grant()

    def close(self) -> None:
        """Give no more turns; those that run go on."""
        self._open = False

    def open(self) -> None:
        """Give turns again."""
        self._open = True
        self._grant()

    @property
    def running(self) -> list[Place]:
        """The turns that run, the oldest first."""
        return list(self._running.values())

    @property
    def waiting(self) -> list[Place]:
        """The turns that wait, in the order in which they will be given as things stand."""
        line = self._line()
        jobs = [waiter.turn.job_id for waiter in line]
        return [
            Place(lane=self.name, turn=item.turn, since_ms=item.since_ms, before=tuple(jobs[:ahead]))
            for ahead, item in enumerate(line)
        ]

    def _line(self) -> list[_Waiter]:
        now_ms = self._clock.monotonic_ms()
        return sorted(self._waiting.values(), key=lambda waiter: waiter.rank(now_ms))

    def _grant(self) -> None:
        while self._open and self._waiting and len(self._running) < self.capacity:
            first = self._line()[0]
            del self._waiting[first.ticket]
            now_ms = self._clock.monotonic_ms()
            self._running[first.ticket] = Place(lane=self.name, turn=first.turn, since_ms=now_ms)
            self._count_time()
            first.granted.set()

    def _count_time(self) -> None:
        """Note how long the lane was busy, at every change of what runs."""
        now_ms = self._clock.monotonic_ms()
        if self._busy_since_ms is not None:
            self.busy_ms += now_ms - self._busy_since_ms
        self._busy_since_ms = now_ms if self._running else None


class Same(Generic[T]):
    """One piece of work, and what came of it for whoever wants the same."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.result: T | None = None


class Twins(Generic[T]):
    """Lets one job at a time do a piece of work; who comes meanwhile waits, and finds what came of it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._works: dict[str, Same[T]] = {}
        self._coming: dict[str, anyio.Event] = {}

    @contextmanager
    def coming(self, job_id: str) -> Iterator[None]:
        """A job is taken up, and may have begun work that others would begin anew; see `let_come`."""
        self._coming[job_id] = anyio.Event()
        try:
            yield
        finally:
            self.came(job_id)

    def came(self, job_id: str) -> None:
        """Nobody has to wait for this job any more: it has its place, or has begun nothing."""
        if arrived := self._coming.pop(job_id, None):
            arrived.set()

    async def let_come(self) -> None:
        """Before work is begun anew: let the jobs that are being taken up find their places, if it takes no age."""
        with anyio.move_on_after(COMING_S):
            for arrived in list(self._coming.values()):
                await arrived.wait()

    @asynccontextmanager
    async def alone(self, key: str, turn: Turn) -> AsyncIterator[Same[T]]:
        """Hold the work of this key; its `result` is what the one before left, None if there was none or it failed."""
        same = self._works.setdefault(key, Same(Lane("same work", 1, self._clock)))
        try:
            # On entering, the turn has its place before anybody else runs.
            self.came(turn.job_id)
            async with same.lane.turn(turn):
                yield same
        finally:
            if not same.lane.running and not same.lane.waiting:
                self._works.pop(key, None)

    @property
    def waiting(self) -> list[tuple[Place, str]]:
        """Who waits for the same work of another job, and that job."""
        return [
            (place, holder.turn.job_id)
            for same in self._works.values()
            for holder in same.lane.running
            for place in same.lane.waiting
        ]
