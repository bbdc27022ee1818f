"""One job's stream as its actors follow it: the entries so far, and a wait for the next."""

from collections.abc import Callable

import anyio
import anyio.abc

from caf.job import INITIAL, Job, is_over
from caf.log import Entry, entry_of, stream_of
from eventstore import EventStore

__all__ = ["JobFeed"]


class JobFeed:
    """Follows a job's stream from its beginning; every entry carries the fold up to it."""

    def __init__(
        self, store: EventStore, job_id: str, seen: Callable[[Entry], None] = lambda entry: None
    ) -> None:
        self.store = store
        self.job_id = job_id
        self.seen = seen
        self.entries: list[Entry] = []
        self._changed = anyio.Event()
        self._scopes: set[anyio.CancelScope] = set()

    @property
    def job(self) -> Job:
        """The job as of the newest entry that was seen."""
        return self.entries[-1].job if self.entries else INITIAL

    @property
    def version(self) -> int:
        return len(self.entries)

    async def follow(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Read what is there, then what comes, for ever; started when all there was has been read."""
        head = await self.store.head()
        async for recorded in self.store.read(stream_of(self.job_id)):
            self._add(entry_of(self.job, recorded))
        task_status.started()
        async for recorded in self.store.subscribe(after_position=head):
            if recorded.stream == stream_of(self.job_id) and recorded.version > self.version:
                self._add(entry_of(self.job, recorded))

    async def after(self, version: int) -> Entry:
        """The entry after `version`, waiting for it if need be."""
        while self.version <= version:
            await self._changed.wait()
        return self.entries[version]

    async def caught_up(self, version: int) -> None:
        """Wait until the entry `version` was seen."""
        while self.version < version:
            await self._changed.wait()

    def cancel_when_over(self, scope: anyio.CancelScope) -> Callable[[], None]:
        """Cancel `scope` as soon as the job is over; returns what undoes that."""
        self._scopes.add(scope)
        if is_over(self.job):
            scope.cancel()
        return lambda: self._scopes.discard(scope)

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.seen(entry)
        self._changed.set()
        self._changed = anyio.Event()
        if is_over(entry.job):
            for scope in self._scopes:
                scope.cancel()
