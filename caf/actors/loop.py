"""The loop that serves all four actors: follow the log, react, perform, append, remember how far."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

import anyio
from anyio.abc import TaskStatus
from msgspec import Struct

from caf.actors import handoff, qc, render, supervisor
from caf.actors.deadletter import dead_letter, given_up, is_dead_letter
from caf.actors.effects import Cause, Effect, MeasureStage, RunStage, is_current
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
            if attempt == TRIES:
                if not await _asked(actor, consumer, entry, feed, fault):
                    raise given_up(actor.name, entry, fault, TRIES) from fault
                return
            await anyio.sleep(FIRST_PAUSE_S * 4 ** (attempt - 1))
        else:
            return


async def _asked(actor: Actor, consumer: str, entry: Entry, feed: JobFeed, fault: Exception) -> bool:
    """Whether a person is asked what to do about an event.

    Not of a job that is over, or asks already; and not of an event that came again and was answered before, since the
    job has gone on from there: whoever runs it is told of those, and they are tried again.
    """
    question = dead_letter(actor.name, entry, fault, TRIES)
    before = _answer_to(actor, entry, feed)
    if before is not None and is_dead_letter(before.event, actor.name, entry):
        await feed.store.save_checkpoint(_checkpoint(consumer, entry))
        return True
    if before is not None or is_over(entry.job):
        return False
    return await _append(actor, consumer, entry, feed, [question], moot=_asks_already)


async def _answer(actor: Actor, consumer: str, entry: Entry, feed: JobFeed, perform: Perform) -> None:
    reaction = actor.react(entry.job, entry.event, cause_of(entry))
    if not reaction:
        return
    effects = [item for item in reaction if isinstance(item, Effect)]
    events: list[Event] = [item for item in reaction if not isinstance(item, Effect)]
    for effect in effects:
        if isinstance(effect, LONG_WORK):
            known = _answer_to(actor, entry, feed)
            done = None if known is not None else await _work_unless_moot(effect, entry, feed, perform)
        else:
            done = await perform(effect, entry)
        if done is None:
            await feed.store.save_checkpoint(_checkpoint(consumer, entry))
            return
        events += done
    if not await _append(actor, consumer, entry, feed, events):
        await feed.store.save_checkpoint(_checkpoint(consumer, entry))


def _checkpoint(consumer: str, entry: Entry) -> Checkpoint:
    return Checkpoint(consumer=consumer, position=entry.recorded.position)


def cause_of(entry: Entry) -> Cause:
    """What an actor is told of the recording of an event."""
    return Cause(
        event_id=entry.recorded.event_id,
        version=entry.recorded.version,
        recorded_at=timestamp(entry.recorded.recorded_at_ms),
    )


def _answer_to(actor: Actor, entry: Entry, feed: JobFeed) -> Entry | None:
    """The first of what came of this event, where the log has it: it came again, as to an actor that lost its place."""
    first = derived_id(actor.name, entry.recorded.event_id, 0)
    return feed.find(first, after=entry.recorded.version)


async def _work_unless_moot(
    effect: RunStage | MeasureStage, entry: Entry, feed: JobFeed, perform: Perform
) -> list[Event] | None:
    """What came of long work; None when before or meanwhile the job was called off, asked something, or began anew.

    Documents are written all the same: they tell what was recorded, and the last decision's comes after the end.
    """
    with anyio.CancelScope() as scope:
        undo = feed.cancel_when(
            scope, lambda job: not is_current(job, effect.attempt_id) or _is_superseded(entry, feed)
        )
        try:
            return await perform(effect, entry)
        finally:
            undo()
    return None


async def _append(
    actor: Actor,
    consumer: str,
    entry: Entry,
    feed: JobFeed,
    events: list[Event],
    *,
    moot: Callable[[Entry, JobFeed], bool] | None = None,
) -> bool:
    """Append with ids derived from the cause, on top of what was seen; False when that has made the answer moot."""
    is_moot = moot or _is_superseded
    checkpoint, cause = _checkpoint(consumer, entry), entry.recorded.event_id
    ids = [derived_id(actor.name, cause, index) for index in range(len(events))]
    records = new_events(events, ids, job_id=feed.job_id, causation_id=cause)
    while not is_moot(entry, feed):
        try:
            await feed.store.append(
                stream_of(feed.job_id), records, expected_version=feed.version, checkpoint=checkpoint
            )
        except VersionConflict as conflict:
            await feed.caught_up(conflict.actual)
        except DuplicateEvent:
            # This cause was answered before, in other words (a duration, say): the first answer stands.
            await feed.store.save_checkpoint(checkpoint)
            return True
        else:
            return True
    return False


def _is_superseded(entry: Entry, feed: JobFeed) -> bool:
    """True when what came after an event leaves nothing to say to it.

    The job is over; or it has asked a person: from there on it goes by the answer alone, also once it has that.
    """
    return _ended_since(entry, feed) or feed.last_question > entry.recorded.version


def _asks_already(entry: Entry, feed: JobFeed) -> bool:
    """True when a job cannot be asked one more question; also one about its question would take that one's place."""
    return feed.job.escalation is not None or _ended_since(entry, feed)


def _ended_since(entry: Entry, feed: JobFeed) -> bool:
    return is_over(feed.job) and not is_over(entry.job)
