"""The jobs that wait to be begun, in their order; the next one is found at once, also among very many."""

import heapq
import itertools
from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from caf.lanes import AGEING_MS

__all__ = ["Backlog", "Due", "Unsettled"]

ENDING, BEGINNING, LATE = 0, 1, 2
"""What only wants its documents goes first, and last what was over before there was a daemon."""
WHILE_THE_QUEUE_STANDS: Final = (ENDING, LATE)


class Due(Struct, kw_only=True):
    """A job that has work to be done and is not under way."""

    job_id: str
    priority: int
    over: bool
    """Nothing but its documents is left to do; it goes first, and also while the queue stands."""
    position: int
    """Of an event that may not be answered yet."""
    late: bool = False
    """It was over before the first daemon came; it goes last."""
    ticket: int = 0
    since_ms: int = 0
    tries: int = 0
    """How often it was held back in a row."""

    @property
    def kind(self) -> int:
        return LATE if self.late else ENDING if self.over else BEGINNING

    @property
    def rank(self) -> tuple[int, int, int]:
        """The smallest goes first. Who came earlier by one step of ageing stands as high as one step of priority."""
        return self.kind, self.since_ms - self.priority * AGEING_MS, self.ticket


class Backlog(Mapping[str, Due]):
    """By job."""

    def __init__(self) -> None:
        self._due: dict[str, Due] = {}
        self._heaps: dict[int, list[tuple[int, int, str]]] = {ENDING: [], BEGINNING: [], LATE: []}
        self._tickets = itertools.count()

    def __getitem__(self, job_id: str) -> Due:
        return self._due[job_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._due)

    def __len__(self) -> int:
        return len(self._due)

    def add(self, due: Due, now_ms: int) -> None:
        """Let a job wait from now on."""
        due.ticket, due.since_ms = next(self._tickets), now_ms
        self._due[due.job_id] = due
        self._push(due)

    def note_over(self, job_id: str) -> None:
        """A job that waits has come to its end meanwhile."""
        due = self._due[job_id]
        due.over = True
        self._push(due)

    def take(self, *, stands: bool) -> Due | None:
        """The first job, which waits no more; while the queue `stands`, only one that wants its documents."""
        for kind in WHILE_THE_QUEUE_STANDS if stands else (ENDING, BEGINNING, LATE):
            heap = self._heaps[kind]
            while heap:
                _, ticket, job_id = heapq.heappop(heap)
                due = self._due.get(job_id)
                if due is not None and (due.ticket, due.kind) == (ticket, kind):
                    return self._due.pop(job_id)
        return None

    def line(self) -> list[Due]:
        """All of them in the order in which they will be taken as things stand."""
        return sorted(self._due.values(), key=lambda due: due.rank)

    def _push(self, due: Due) -> None:
        kind, *rank = due.rank
        heapq.heappush(self._heaps[kind], (rank[0], rank[1], due.job_id))


class Unsettled:
    """Positions of events that may not be answered yet, one a job; the lowest is known at once."""

    def __init__(self) -> None:
        self._positions: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def add(self, job_id: str, position: int) -> None:
        """From this position on, the job may have something to be done."""
        if self._positions.get(job_id) != position:
            self._positions[job_id] = position
            heapq.heappush(self._heap, (position, job_id))

    def settle(self, job_id: str) -> None:
        """Everything about this job was answered."""
        del self._positions[job_id]

    def lowest(self) -> int | None:
        """The lowest position; None where all was answered."""
        while self._heap and self._positions.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
