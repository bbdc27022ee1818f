"""Commands against the log: judged by the present state, recorded once, judged again when somebody was quicker."""

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from caf.daemon.state import Daemon
from caf.errors import RefusedError
from caf.events import DaemonEvent, Event, JobSubmitted
from caf.job import Job
from caf.log import DAEMON, fold, fold_daemon, load, new_event, new_events, stream_of
from caf.ports import Ids
from eventstore import DuplicateEvent, EventStore, VersionConflict

__all__ = ["decide_daemon", "decide_job", "known", "record_submission"]


async def decide_job(
    store: EventStore,
    ids: Ids,
    job_id: str,
    decide: Callable[[Job], list[Event]],
    *,
    unknown: bool = False,
    event_id: str | None = None,
) -> list[Event]:
    """Record what a command gives, judged by the job's present state.

    `unknown` also takes a job that was never submitted here. `event_id` is that of the first event: a command that
    was recorded under it before gives nothing now, however things stand. Raises `RefusedError`.
    """
    while True:
        if event_id is not None and await _is_recorded(store, stream_of(job_id), event_id):
            return []
        job = await fold(store, job_id) if unknown else await load(store, job_id)
        events = decide(job)
        if not events:
            return []
        fresh = [ids.new() for _ in events]
        if event_id is not None:
            fresh[0] = event_id
        records = new_events(events, fresh, job_id=job_id, causation_id=None)
        try:
            await store.append(stream_of(job_id), records, expected_version=job.version)
        except VersionConflict:
            continue
        return events


async def decide_daemon(
    store: EventStore,
    ids: Ids,
    decide: Callable[[Daemon], Sequence[DaemonEvent]],
    *,
    known: Daemon | None = None,
) -> Sequence[DaemonEvent]:
    """The same for the daemon's own stream: pause, unpause, what was refused. `known`: some earlier state of it."""
    daemon = known or Daemon()
    while True:
        daemon = await fold_daemon(store, daemon)
        events = decide(daemon)
        if not events:
            return []
        records = new_events(events, [ids.new() for _ in events], job_id=None, causation_id=None)
        try:
            await store.append(DAEMON, records, expected_version=daemon.version)
        except VersionConflict:
            continue
        return events


async def record_submission(
    store: EventStore,
    ids: Ids,
    event: JobSubmitted,
    *,
    event_id: str | None = None,
    metadata: bytes = b"",
) -> None:
    """Record a submission. `event_id`: the same one made twice is one. Raises `RefusedError` for a known job.

    `metadata`: a small JSON object that the log keeps with it.
    """
    record = new_event(event, event_id=event_id or ids.new(), job_id=event.job_id, causation_id=None)
    records = [replace(record, metadata=metadata)]
    while True:
        before = await fold(store, event.job_id)
        if before.submitted is not None and event_id is None:
            raise known(event.job_id)
        expected = 0 if before.submitted is not None else before.version
        try:
            await store.append(stream_of(event.job_id), records, expected_version=expected)
        except DuplicateEvent as fault:
            raise known(event.job_id) from fault
        except VersionConflict as fault:
            if before.submitted is not None:
                raise known(event.job_id) from fault
            continue  # a post of it was noted just then, say
        return


def known(job_id: str) -> RefusedError:
    """The error for a submission of a job that the log has already."""
    return RefusedError(
        f"Job {job_id} is in the log already.",
        remedy=f"Go on with it: caf resume {job_id}. Or submit it under another id: --job-id NEW.",
        kind="job_exists",
    )


async def _is_recorded(store: EventStore, stream: str, event_id: str) -> bool:
    async for recorded in store.read(stream):
        if recorded.event_id == event_id:
            return True
    return False
