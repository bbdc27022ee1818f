"""The loop that serves all four actors: follow the log, react, perform, append, remember how far."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import anyio
from anyio.abc import TaskStatus
from msgspec import Struct

from caf.actors import handoff, qc, render, supervisor
from caf.actors.deadletter import dead_letter, given_up
from caf.actors.effects import Cause, Effect, MeasureStage, RunStage
from caf.actors.feed import JobFeed
from caf.contracts.times import timestamp
from caf.errors import CafError
from caf.events import Event
from caf.events.codec import derived_id
from caf.job import Job, is_over
from caf.log import Entry, new_events, stream_of
from eventstore import Checkpoint, DuplicateEvent, EventStore, EventStoreError, VersionConflict

__all__ = ["ACTORS", "Actor", "Perform", "cause_of", "run_feed", "run_job"]

React = Callable[[Job, Event, Cause], list[Event | Effect]]
Perform = Callable[[Effect, Entry], Awaitable[list[Event]]]

TRIES: Final = 3
"""How often an actor may fail on one event before a person is asked."""
FIRST_PAUSE_S: Final = 0.1
LONG_WORK: Final = (RunStage, MeasureStage)
FAULTS_OF_THE_MACHINE: Final = (CafError, EventStoreError)
"""Nothing that this event did: they stop the run, and the job is resumed later."""


class Actor(Struct, frozen=True):
    """A name and a pure reaction; its mailbox is the log."""

    name: str
    react: React


ACTORS: Final = (
    Actor(render.NAME, render.react),
    Actor(qc.NAME, qc.react),
    Actor(supervisor.NAME, supervisor.react),
    Actor(handoff.NAME, handoff.react),
)


class _Progress:
    """How far each actor has come on one job; settled when all have answered the newest event."""

    def __init__(self, actors: tuple[Actor, ...]) -> None:
        self.handled = {actor.name: 0 for actor in actors}
        self._moved: anyio.Event | None = None

    def mark(self, actor: str, version: int) -> None:
        self.handled[actor] = version
        moved, self._moved = self._moved, None
        if moved is not None:
            moved.set()

    async def moved(self) -> None:
        """Wait until an actor has answered one event more."""
        if self._moved is None:
            self._moved = anyio.Event()
        await self._moved.wait()


async def run_job(
    store: EventStore,
    job_id: str,
    perform: Perform,
    *,
    actors: tuple[Actor, ...] = ACTORS,
    seen: Callable[[Entry], None] = lambda entry: None,
) -> Job:
    """Let the actors work on one job until nothing is left to do: it is over, or waits for a person.

    `seen` is told every entry of the stream, the old ones included. A `CafError` of the edge (disk full, model
    missing) stops the run and is raised; the job stays as it is and can be resumed.
    """
    feed = JobFeed(store, job_id, seen)
    return await _run(feed, perform, actors, feed.follow)


async def run_feed(feed: JobFeed, perform: Perform, *, actors: tuple[Actor, ...] = ACTORS) -> Job:
    """As `run_job`, for a feed that somebody else delivers to."""

    async def load(*, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        await feed.load()
        task_status.started()

    return await _run(feed, perform, actors, load)


async def _run(
    feed: JobFeed,
    perform: Perform,
    actors: tuple[Actor, ...],
    bring: Callable[..., Coroutine[Any, Any, None]],
) -> Job:
    progress = _Progress(actors)
    try:
        async with anyio.create_task_group() as group:
            await group.start(bring)
            for actor in actors:
                group.start_soon(_serve, actor, feed, perform, progress)
            await _settled(feed, progress)
            group.cancel_scope.cancel()
    except BaseExceptionGroup as faults:
        told = _first(faults)
        if told is not None:
            raise told from faults
        raise
    return feed.job


def _first(faults: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """The first fault of the machine among those that ended a group together."""
    for fault in faults.exceptions:
        found = _first(fault) if isinstance(fault, BaseExceptionGroup) else fault
        if isinstance(found, FAULTS_OF_THE_MACHINE):
            return found
    return None


async def _settled(feed: JobFeed, progress: _Progress) -> None:
    """Wait until every actor has answered everything and nobody has appended more."""
    while True:
        done = min(progress.handled.values())
        if done < feed.version:
            await progress.moved()
        elif await feed.store.version(stream_of(feed.job_id)) > done:
            await feed.caught_up(done + 1)
        elif done == feed.version:  # and nothing came while the store was asked
            assert feed.job.status != "running", f"job {feed.job_id} stands still at version {done}"
            return


async def _serve(actor: Actor, feed: JobFeed, perform: Perform, progress: _Progress) -> None:
    consumer = f"{actor.name}/{feed.job_id}"
    position = await feed.store.checkpoint(consumer)
    version = 0
    while True:
        entry = await feed.after(version)
        if entry.recorded.position > position:
            await _handle(actor, consumer, entry, feed, perform)
        version = entry.recorded.version
        progress.mark(actor.name, version)


async def _handle(actor: Actor, consumer: str, entry: Entry, feed: JobFeed, perform: Perform) -> None:
    """Answer one event; an event that fails the actor again and again becomes a question to a person."""
    for attempt in range(1, TRIES + 1):
        try:
            await _answer(actor, consumer, entry, feed, perform)
        except FAULTS_OF_THE_MACHINE:
            raise
        except Exception as fault:  # contained here: one event of one job
            if attempt == TRIES and is_over(entry.job):
                # A job that is over asks nothing any more: tell whoever runs it, and try again then.
                raise given_up(actor.name, entry, fault, TRIES) from fault
            if attempt == TRIES:
                question = dead_letter(actor.name, entry, fault, TRIES)
                await _append(actor, consumer, entry, feed, [question])
                return
            await anyio.sleep(FIRST_PAUSE_S * 4 ** (attempt - 1))
        else:
            return


async def _answer(actor: Actor, consumer: str, entry: Entry, feed: JobFeed, perform: Perform) -> None:
    reaction = actor.react(entry.job, entry.event, cause_of(entry))
    if not reaction:
        return
    effects = [item for item in reaction if isinstance(item, Effect)]
    events: list[Event] = [item for item in reaction if not isinstance(item, Effect)]
    for effect in effects:
        done = await _perform_unless_over(effect, entry, feed, perform)
        if done is None:
            await feed.store.save_checkpoint(Checkpoint(consumer=consumer, position=entry.recorded.position))
            return
        events += done
    await _append(actor, consumer, entry, feed, events)


def cause_of(entry: Entry) -> Cause:
    """What an actor is told of the recording of an event."""
    return Cause(
        event_id=entry.recorded.event_id,
        version=entry.recorded.version,
        recorded_at=timestamp(entry.recorded.recorded_at_ms),
    )


async def _perform_unless_over(
    effect: Effect, entry: Entry, feed: JobFeed, perform: Perform
) -> list[Event] | None:
    """What came of the effect; None when the job was called off before or meanwhile.

    Only long work is ended: a document tells what was recorded, and the last decision's comes after the end.
    """
    if is_over(entry.job) or not isinstance(effect, LONG_WORK):
        return await perform(effect, entry)
    with anyio.CancelScope() as scope:
        undo = feed.cancel_when_over(scope)
        try:
            return await perform(effect, entry)
        finally:
            undo()
    return None


async def _append(actor: Actor, consumer: str, entry: Entry, feed: JobFeed, events: list[Event]) -> None:
    """Append with ids derived from the cause, on top of what was seen; never after the job is over."""
    checkpoint = Checkpoint(consumer=consumer, position=entry.recorded.position)
    cause = entry.recorded.event_id
    ids = [derived_id(actor.name, cause, index) for index in range(len(events))]
    records = new_events(events, ids, job_id=feed.job_id, causation_id=cause)
    while True:
        if is_over(feed.job) and not is_over(entry.job):
            await feed.store.save_checkpoint(checkpoint)
            return
        try:
            await feed.store.append(
                stream_of(feed.job_id), records, expected_version=feed.version, checkpoint=checkpoint
            )
        except VersionConflict as conflict:
            await feed.caught_up(conflict.actual)
        except DuplicateEvent:
            # This cause was answered before, in other words (a duration, say): the first answer stands.
            await feed.store.save_checkpoint(checkpoint)
            return
        else:
            return
