"""One job's stream as its actors follow it: the entries so far, and a wait for the next."""

from collections.abc import Callable

import anyio
import anyio.abc

from caf.events import Escalated
from caf.job import INITIAL, Job
from caf.log import Entry, UnreadableLog, entry_of, stream_of
from eventstore import EventStore, RecordedEvent

__all__ = ["JobFeed"]


class JobFeed:
    """Follows a job's stream from its beginning; every entry carries the fold up to it.

    What comes live is brought by `follow`, or by somebody who follows the log for many jobs, with `deliver`.
    """

    def __init__(
        self, store: EventStore, job_id: str, seen: Callable[[Entry], None] = lambda entry: None
    ) -> None:
        self.store = store
        self.job_id = job_id
        self.stream = stream_of(job_id)
        self.seen = seen
        self.entries: list[Entry] = []
        self._changed: anyio.Event | None = None
        self._watches: list[tuple[anyio.CancelScope, Callable[[Job], bool]]] = []
        self.last_question = 0
        """The version of the last event that asked a person; 0: none did."""
        self._early: list[RecordedEvent] | None = []
        """What was delivered before the stream was read; None once it was."""
        self._fault: UnreadableLog | None = None

    @property
    def job(self) -> Job:
        """The job as of the newest entry that was seen."""
        return self.entries[-1].job if self.entries else INITIAL

    @property
    def version(self) -> int:
        return len(self.entries)

    async def load(self) -> None:
        """Read what is there. Raises `UnreadableLog`."""
        async for recorded in self.store.read(self.stream):
            self._add(recorded)
        early, self._early = self._early or [], None
        for recorded in early:
            self._add(recorded)
        if self._fault is not None:
            raise self._fault

    def deliver(self, recorded: RecordedEvent) -> None:
        """An event of the log, in its order; those of other streams and known ones are passed over."""
        if recorded.stream != self.stream:
            return
        if self._early is not None:
            self._early.append(recorded)
        else:
            self._add(recorded)

    async def follow(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Read what is there, then what comes, for ever; started when all there was has been read."""
        head = await self.store.head()
        await self.load()
        task_status.started()
        async for recorded in self.store.subscribe(after_position=head):
            self.deliver(recorded)

    async def after(self, version: int) -> Entry:
        """The entry after `version`, waiting for it if need be. Raises `UnreadableLog` if it cannot be read."""
        await self.caught_up(version + 1)
        return self.entries[version]

    async def caught_up(self, version: int) -> None:
        """Wait until the entry `version` was seen. Raises `UnreadableLog` when it cannot be."""
        while self.version < version:
            if self._fault is not None:
                raise self._fault
            if self._changed is None:
                self._changed = anyio.Event()
            await self._changed.wait()

    def cancel_when(self, scope: anyio.CancelScope, holds: Callable[[Job], bool]) -> Callable[[], None]:
        """Cancel `scope` as soon as this holds of the job; returns what undoes that."""
        watch = scope, holds
        self._watches.append(watch)
        if holds(self.job):
            scope.cancel()
        return lambda: self._watches.remove(watch)

    def find(self, event_id: str, *, after: int) -> Entry | None:
        """The entry after this version that has that id, if any."""
        return next((entry for entry in self.entries[after:] if entry.recorded.event_id == event_id), None)

    def _add(self, recorded: RecordedEvent) -> None:
        if recorded.version <= self.version or self._fault is not None:
            return
        assert recorded.version == self.version + 1, f"{self.stream} lacks version {self.version + 1}"
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set()
        try:
            entry = entry_of(self.job, recorded)
        except UnreadableLog as fault:
            self._fault = fault
            return
        self.entries.append(entry)
        if isinstance(entry.event, Escalated):
            self.last_question = entry.recorded.version
        self.seen(entry)
        for scope, holds in self._watches:
            if holds(entry.job):
                scope.cancel()
