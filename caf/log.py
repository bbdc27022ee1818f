"""caf's use of the event store: stream names, and events to stored records and back."""

from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from caf.contracts.types import AttemptIdText, JobIdText, Platform
from caf.daemon.state import Daemon, evolve_daemon
from caf.errors import CafError, RefusedError
from caf.events import (
    AttemptStarted,
    DaemonEvent,
    DocumentRejected,
    Event,
    HandoffApproved,
    JobId,
    JobSubmitted,
)
from caf.events.codec import UnreadableEvent, decode, encode
from caf.job import INITIAL, Job, evolve
from eventstore import EventStore, NewEvent, RecordedEvent

__all__ = [
    "CATEGORY",
    "DAEMON",
    "Entry",
    "UnreadableLog",
    "entry_of",
    "fold",
    "fold_daemon",
    "job_of",
    "load",
    "new_event",
    "new_events",
    "read_job",
    "stream_of",
]

CATEGORY: Final = "job"
DAEMON: Final = "daemon-serve"
"""The one stream of the daemon's own facts."""
_NOTHING: Final = Daemon()


class UnreadableLog(CafError):  # noqa: N818 - a state of the log, told to a person
    """A job's stream holds an event that this version of caf cannot read."""

    exit_code = 1
    default_kind = "log_unreadable"


class Entry(Struct, frozen=True, kw_only=True):
    """One event of a job's stream, as recorded and as understood, with the job after it."""

    recorded: RecordedEvent
    event: Event
    job: Job


def stream_of(job_id: str) -> str:
    """The stream of a job: `job-<job_id>`."""
    return f"{CATEGORY}-{job_id}"


def job_of(stream: str) -> JobId:
    """The job of a stream."""
    return JobId(stream.removeprefix(f"{CATEGORY}-"))


def new_event(
    event: Event | DaemonEvent, *, event_id: str, job_id: str | None, causation_id: str | None
) -> NewEvent:
    """An event ready to be appended; the job's id is the thread that ties its events together."""
    name, version, data = encode(event)
    return NewEvent(
        event_id=event_id,
        type=name,
        type_version=version,
        data=data,
        correlation_id=job_id,
        causation_id=causation_id,
    )


def entry_of(before: Job, recorded: RecordedEvent) -> Entry:
    """The next entry of a job's stream. Raises `UnreadableLog` with the place."""
    try:
        event = decode(recorded.type, recorded.type_version, recorded.data)
        if not isinstance(event, Event):
            raise UnreadableEvent(recorded.type, "it is no event of a job")
        _check_names(event, recorded)
    except UnreadableEvent as fault:
        raise UnreadableLog(
            f"Position {recorded.position} of the log, {recorded.stream} version {recorded.version}: {fault}.",
            remedy="Use the version of caf that wrote it, or a newer one; other jobs are not affected.",
        ) from fault
    return Entry(recorded=recorded, event=event, job=evolve(before, event))


def _check_names(event: Event, recorded: RecordedEvent) -> None:
    """Of what becomes parts of paths. No caf records others, but a log may have been imported from anywhere.

    Raises `UnreadableEvent`.
    """
    names: list[tuple[str, object]]
    match event:
        case JobSubmitted(job_id=job_id, platforms=platforms):
            if job_id != job_of(recorded.stream):
                raise UnreadableEvent(recorded.type, f"it is of another job, {job_id!r}")
            names = [(job_id, JobIdText), *((platform, Platform) for platform in platforms)]
        case AttemptStarted(attempt_id=attempt_id):
            names = [(attempt_id, AttemptIdText)]
        case HandoffApproved(platform=platform):
            names = [(platform, Platform)]
        case _:
            return
    for name, kind in names:
        try:
            msgspec.convert(name, kind)
        except msgspec.ValidationError as fault:
            raise UnreadableEvent(recorded.type, f"{name!r} cannot be a part of a file's name") from fault


async def read_job(store: EventStore, job_id: str, *, at_version: int | None = None) -> AsyncIterator[Entry]:
    """A job's entries, oldest first, up to `at_version`. Nothing when the job is unknown."""
    job = INITIAL
    if at_version is not None and at_version <= 0:
        return
    async for recorded in store.read(stream_of(job_id), limit=at_version):
        entry = entry_of(job, recorded)
        job = entry.job
        yield entry


async def fold(store: EventStore, job_id: str, *, at_version: int | None = None) -> Job:
    """A job's state from the log alone; the initial state when the log knows nothing of it."""
    job = INITIAL
    async for entry in read_job(store, job_id, at_version=at_version):
        job = entry.job
    return job


async def fold_daemon(store: EventStore, known: Daemon = _NOTHING) -> Daemon:
    """What the daemon's own stream says, from what is `known` of it; an event that cannot be read changes nothing."""
    daemon = known
    rejected = dict(known.rejected)  # one copy for all, of what may have become many
    async for recorded in store.read(DAEMON, after_version=known.version):
        try:
            event = decode(recorded.type, recorded.type_version, recorded.data)
        except UnreadableEvent:
            event = None
        if isinstance(event, DocumentRejected):
            rejected[event.path] = event
            event = None
        told = event if isinstance(event, DaemonEvent) else None
        daemon = evolve_daemon(daemon, told, recorded.recorded_at_ms)
    return replace(daemon, rejected=rejected)


async def load(store: EventStore, job_id: str, *, at_version: int | None = None) -> Job:
    """A job's state from the log alone. Raises `RefusedError` when there is no such job."""
    job = await fold(store, job_id, at_version=at_version)
    if job.submitted is None:
        raise RefusedError(
            f"There is no job {job_id!r} in this workspace's log.",
            remedy="List the jobs with: caf jobs",
            kind="unknown_job",
        )
    return job


def new_events(
    events: Sequence[Event | DaemonEvent],
    ids: Sequence[str],
    *,
    job_id: str | None,
    causation_id: str | None,
) -> list[NewEvent]:
    """Several events with their ids, ready for one append."""
    return [
        new_event(event, event_id=event_id, job_id=job_id, causation_id=causation_id)
        for event, event_id in zip(events, ids, strict=True)
    ]
