"""Builds that break one promise each, to see that the simulator notices: what is changed, and who must say so."""

import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import pytest
from msgspec import Struct

from caf import commands, policy
from caf.actors import loop, render, supervisor
from caf.actors.feed import JobFeed
from caf.daemon.dispatcher import CONSUMER, Dispatcher
from caf.events import Event, Posted
from caf.job import Job
from caf.lanes import Lane, Place
from caf.log import new_events, stream_of
from caf.projections.rows import RowCache
from eventstore import ANY, Appended, Checkpoint, NewEvent
from tests.simulation import edge, people
from tests.simulation.simulator import Simulation
from tests.simulation.store import FaultyStore

__all__ = ["BUILDS", "Broken"]

Patch = Callable[[pytest.MonkeyPatch], None]


class Broken(Struct, frozen=True):
    """A build with one fault, and the checkers of which one must find it."""

    name: str
    patch: Patch
    caught_by: tuple[str, ...]
    thorough: bool = False


def _set(place: object, name: str, fault: Any) -> Patch:
    return lambda monkeypatch: monkeypatch.setattr(place, name, fault)


def _fresh_ids() -> Callable[..., str]:
    numbers = iter(range(10**9))
    return lambda *cause: str(uuid.UUID(int=next(numbers) + 2**64, version=4))


_append = FaultyStore.append


async def _acknowledge_first(
    self: Any,
    stream: str,
    events: Sequence[NewEvent],
    *,
    expected_version: int = ANY,
    checkpoint: Checkpoint | None = None,
) -> Appended:
    simulation = self._simulation
    if expected_version in (ANY, simulation.log.version(stream)):
        simulation.acknowledged += [event.event_id for event in events]
    return await _append(self, stream, events, expected_version=expected_version, checkpoint=checkpoint)


async def _expect_nothing(
    self: Any,
    stream: str,
    events: Sequence[NewEvent],
    *,
    expected_version: int = ANY,
    checkpoint: Checkpoint | None = None,
) -> Appended:
    return await _append(self, stream, events, checkpoint=checkpoint)


async def _two_appends(
    self: Any,
    stream: str,
    events: Sequence[NewEvent],
    *,
    expected_version: int = ANY,
    checkpoint: Checkpoint | None = None,
) -> Appended:
    if checkpoint is not None:
        await self.save_checkpoint(checkpoint)
    return await _append(self, stream, events, expected_version=expected_version)


async def _one_by_one(
    self: Any,
    stream: str,
    events: Sequence[NewEvent],
    *,
    expected_version: int = ANY,
    checkpoint: Checkpoint | None = None,
) -> Appended:
    for event in events[:-1]:
        await _append(self, stream, [event], expected_version=expected_version)
        expected_version = ANY
    return await _append(self, stream, events[-1:], expected_version=expected_version, checkpoint=checkpoint)


async def _unsettled(self: Any) -> None:
    await self.store.save_checkpoint(Checkpoint(consumer=CONSUMER, position=self.position))


async def _forgetful(self: Any, position: int) -> Iterable[Any]:
    return []


async def _submit_anyway(store: Any, ids: Any, event: Any, *, event_id: str | None = None) -> None:
    records = new_events([event], [ids.new()], job_id=event.job_id, causation_id=None)
    await store.append(stream_of(event.job_id), records)


def _note_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    note = Dispatcher.note_interrupted

    async def twice(self: Any, places: list[Place], **given: Any) -> int:
        return await note(self, [*places, *places], **given)

    monkeypatch.setattr(Dispatcher, "note_interrupted", twice)


def _never_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dispatcher, "_give_held_back", lambda self: None)
    monkeypatch.setattr(Dispatcher, "_next_hold_s", lambda self: None)


def _one_attempt_more(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts_left = policy.attempts_left
    monkeypatch.setattr(policy, "attempts_left", lambda job: attempts_left(job) + 1)


def _post_again(job: Job, post: Posted) -> list[Event]:
    return [post] if job.status == "completed" else []


def _post_early(job: Job, post: Posted) -> list[Event]:
    return [] if post.platform in job.posted or job.submitted is None else [post]


def _cancel_late(job: Job, **given: Any) -> list[Event]:
    return [commands.JobCancelled(**given)]


def _overfull(self: Any) -> None:
    self._open, self.capacity, capacity = True, 99, self.capacity
    try:
        grant(self)
    finally:
        self.capacity = capacity


grant = Lane._grant


def _skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are written as if there were none before: what an earlier piece said is lost."""
    monkeypatch.setattr(RowCache, "_load", lambda self, table, job_id: {})


def _unlocked(self: Any, job_id: str) -> AbstractContextManager[None]:
    return nullcontext()


def _half_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies between two documents takes the effect for done at the next start."""
    half_way = edge.SimulatedEdge._maybe_stop_half_way

    def checkpointed(self: Any, effect: Any) -> None:
        log = self._simulation.log
        for consumer in [name for name in log._checkpoints if name.startswith("render/")]:
            log.save_checkpoint(Checkpoint(consumer=consumer, position=log.head()))
        half_way(self, effect)

    monkeypatch.setattr(edge.SimulatedEdge, "_maybe_stop_half_way", checkpointed)


NO_TWO = "no_stage_runs_while_another_one_of_its_job_does"
ENDS = ("every_job_ends", "a_job_ended_or_waits_with_a_question", "every_run_comes_to_rest")

BUILDS: Final = (
    Broken(
        "reactions have fresh ids, so that what comes again is recorded again",
        lambda monkeypatch: monkeypatch.setattr(loop, "derived_id", _fresh_ids()),
        ("nothing_is_decided_twice", "nothing_is_measured_twice"),
    ),
    Broken(
        "all reactions of an actor have one id",
        _set(loop, "derived_id", lambda actor, cause, index: str(uuid.uuid5(uuid.NAMESPACE_OID, actor))),
        ENDS,
    ),
    Broken(
        "an append is acknowledged before it is recorded",
        _set(FaultyStore, "append", _acknowledge_first),
        ("no_acknowledged_event_is_lost",),
    ),
    Broken(
        "an append does not say which version it expects",
        _set(FaultyStore, "append", _expect_nothing),
        ("nothing_after_the_end", "every_attempt_but_the_first_was_decided"),
    ),
    Broken(
        "a checkpoint is saved before the append and not with it",
        _set(FaultyStore, "append", _two_appends),
        (*ENDS, "each_verdict_was_decided_on"),
    ),
    Broken("the events of an append are recorded one by one", _set(FaultyStore, "append", _one_by_one), ENDS),
    Broken("one attempt more than is allowed", _one_attempt_more, ("attempts_stay_within_the_budget",)),
    Broken(
        "what is known to be of no use is tried again",
        _set(policy, "outcome_known", lambda *given: False),
        ("a_deterministic_engine_is_never_asked_the_same_again",),
    ),
    Broken(
        "two processes work on one job",
        _set(Simulation, "working_on", _unlocked),
        (NO_TWO,),
    ),
    Broken(
        "a lane gives more turns than it has",
        _set(Lane, "_grant", _overfull),
        ("lanes_hold_no_more_than_they_may",),
    ),
    Broken(
        "work that was done is done again when its event comes again",
        _set(loop, "_answer_to", lambda *given: None),
        (NO_TWO,),
    ),
    Broken(
        "what was told before the end is recorded after it",
        _set(loop, "_is_superseded", lambda entry, feed: False),
        ("nothing_after_the_end",),
    ),
    Broken(
        "the work of a cancelled job goes on",
        _set(JobFeed, "cancel_when", lambda self, scope, holds: lambda: None),
        ("a_job_that_is_over_is_not_worked_on",),
    ),
    Broken(
        "the daemon forgets at its start what was under way",
        _set(Simulation, "_unfinished", _forgetful),
        ENDS,
    ),
    Broken(
        "a job that was held back is never given back",
        _never_given_back,
        ("a_job_that_was_held_back_is_tried_again",),
    ),
    Broken(
        "a job that was held back is dropped",
        _set(Dispatcher, "_hold", lambda *given: None),
        ("the_daemon_knows_every_job_that_is_not_at_rest",),
    ),
    Broken(
        "the daemon takes all as answered up to where it has read",
        _set(Dispatcher, "_note_settled", _unsettled),
        (
            *["an_open_question_is_on_disk_and_no_other", "the_clip_of_a_completed_job_is_on_disk"],
            *["the_last_documents_are_on_disk", "payloads_are_prepared_once_for_each_platform"],
        ),
    ),
    Broken("an interruption is recorded twice", _note_twice, ("an_interruption_is_recorded_once",)),
    Broken(
        "a post is registered again",
        _set(commands, "register_post", _post_again),
        ("a_post_follows_the_completion_and_comes_once",),
    ),
    Broken(
        "a post is registered before the job is completed",
        _set(commands, "register_post", _post_early),
        ("a_post_follows_the_completion_and_comes_once",),
    ),
    Broken(
        "a job that is over can be cancelled",
        _set(commands, "cancel", _cancel_late),
        ("nothing_after_the_end",),
    ),
    Broken(
        "the same submission made twice is two",
        _set(people, "record_submission", _submit_anyway),
        ("a_job_is_submitted_once",),
    ),
    Broken(
        "read models lose what an earlier piece said",
        _skipped,
        ("rows_that_grew_equal_rebuilt_ones",),
        thorough=True,
    ),
    Broken(
        "a document that was half written is taken for written",
        _half_published,
        ("the_clip_of_a_completed_job_is_on_disk",),
    ),
    Broken(
        "the question lies in another place",
        _set(supervisor, "_question_path", lambda job: "elsewhere.json"),
        ("an_open_question_is_on_disk_and_no_other",),
    ),
    Broken("nothing follows a stage", _set(render, "_next", lambda *given: []), ENDS),
)
