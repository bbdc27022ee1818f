"""The loop: one job to its end or to a question, through cancellation, crashes and other writers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from caf import commands
from caf.actors import handoff, loop, render
from caf.actors.effects import Effect, MeasureStage, PreparePayloads, RemoveDocument, RunStage, WriteDocument
from caf.actors.loop import ACTORS, Actor, Perform, run_job
from caf.contracts import FailureClass
from caf.errors import CafError, TryAgainError
from caf.events import Event, JobSubmitted
from caf.job import Job, is_over
from caf.log import Entry, UnreadableLog, load, new_events, read_job, stream_of
from eventstore import Checkpoint, EventStore, MemoryLog, MemoryStore, NewEvent, SqliteStore
from tests.simulation.checkers import check, check_at_rest
from tests.support.edge import InventedEdge, always, share
from tests.support.jobs import JOB_ID, fold, gate, policy_of, posted, preset, submitted

Opened = Callable[[], AbstractAsyncContextManager[EventStore]]


@pytest.fixture(params=["memory", "sqlite"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Opened:
    """Opens the same log again and again, as processes do that come one after another."""
    log = MemoryLog()

    @asynccontextmanager
    async def memory() -> AsyncIterator[EventStore]:
        async with MemoryStore(log) as store:
            yield store

    @asynccontextmanager
    async def sqlite() -> AsyncIterator[EventStore]:
        async with SqliteStore.open(tmp_path / "log.db") as store:
            yield store

    return memory if request.param == "memory" else sqlite


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "FIRST_PAUSE_S", 0.0)


_fresh = (f"00000000-0000-4000-8000-{number:012d}" for number in range(10**9))


async def append(store: EventStore, *events: Event, job_id: str = JOB_ID) -> None:
    ids = [next(_fresh) for _ in events]
    await store.append(stream_of(job_id), new_events(events, ids, job_id=job_id, causation_id=None))


async def entries(store: EventStore, job_id: str = JOB_ID) -> list[Entry]:
    return [entry async for entry in read_job(store, job_id)]


async def types(store: EventStore, job_id: str = JOB_ID) -> list[str]:
    return [entry.recorded.type for entry in await entries(store, job_id)]


def repairable() -> JobSubmitted:
    """Fails at motion once, passes with the preset."""
    return submitted(
        policy=policy_of(
            gate("loop_seam"),
            classes=[FailureClass(class_id="seam", metrics=("loop_seam",), action="RETRY_STAGE")],
            presets=[preset("seam", "softer", temporal_smoothing=0.9)],
        ),
        platforms=("youtube",),
    )


def repaired_edge() -> InventedEdge:
    seen: dict[str, float] = {}

    def score(metric: str, sha256: str) -> float:
        return seen.setdefault(sha256, 0.1 if not seen else 1.0)

    return InventedEdge(score=score)


CANONICAL = [
    "JobSubmitted",
    "AttemptStarted",
    *["StageStarted", "StageCompleted"],
    *["StageStarted", "PoseCoverageMeasured", "StageCompleted"],
    *["StageStarted", "StageCompleted", "QCPassed", "RepairDecided"] * 3,
    "JobCompleted",
]
REPAIRED = [
    *CANONICAL[:11],
    *["StageStarted", "StageCompleted", "QCFailed", "RepairDecided", "AttemptStarted"],
    *["StageStarted", "StageCompleted", "QCPassed", "RepairDecided"] * 2,
    "JobCompleted",
    "HandoffPrepared",
]


async def test_a_healthy_job_takes_the_canonical_way(opened: Opened) -> None:
    async with opened() as store:
        await append(store, submitted())
        edge = InventedEdge(score=always(1.0))
        job = await run_job(store, JOB_ID, edge.perform)
        assert job.status == "completed"
        assert await types(store) == CANONICAL
        assert check(await entries(store)) + check_at_rest(await entries(store), edge.files) == []


async def test_a_job_that_is_over_is_left_as_it_is(opened: Opened) -> None:
    async with opened() as store:
        await append(store, submitted())
        await run_job(store, JOB_ID, InventedEdge(score=always(1.0)).perform)
        again = InventedEdge(score=always(0.0))
        await run_job(store, JOB_ID, again.perform)
        assert again.done == []
        assert await types(store) == CANONICAL


async def test_everything_is_told_to_whoever_watches_in_order(opened: Opened) -> None:
    async with opened() as store:
        await append(store, repairable())
        seen: list[Entry] = []
        job = await run_job(store, JOB_ID, repaired_edge().perform, seen=seen.append)
        assert [entry.recorded.version for entry in seen] == list(range(1, job.version + 1))
        assert seen[-1].job == job == await load(store, JOB_ID)


async def test_a_failed_gate_is_repaired_and_the_stages_before_it_are_not_run_again(opened: Opened) -> None:
    async with opened() as store:
        await append(store, repairable())
        edge = repaired_edge()
        await run_job(store, JOB_ID, edge.perform)
        assert await types(store) == REPAIRED
        ran = [effect.stage for effect in edge.done if isinstance(effect, RunStage)]
        assert ran == ["artifact", "pose", "frame", "motion", "motion", "video"]


async def test_a_job_that_asks_is_answered_and_goes_on(opened: Opened) -> None:
    async with opened() as store:
        await append(store, submitted(costume_required=True))
        edge = InventedEdge(score=lambda metric, sha256: 0.5 if metric == "costume_fidelity" else 1.0)
        job = await run_job(store, JOB_ID, edge.perform)
        assert job.status == "waiting"
        assert check_at_rest(await entries(store), edge.files) == []
        await append(store, *commands.answer(job, action="proceed", by="ada"))
        job = await run_job(store, JOB_ID, edge.perform)
        assert job.status == "completed"
        assert len(job.attempts) == 1
        assert check(await entries(store)) + check_at_rest(await entries(store), edge.files) == []


# Interrupted, and resumed.


class KilledError(BaseException):
    """The process ends here; nothing below catches it."""


def killed_at(perform: Perform, call: int, *, after: bool) -> Perform:
    """Ends everything at the n-th effect, before it was done or before anyone knew that it was."""
    calls = iter(range(1, 10**6))

    async def killing(effect: Effect, entry: Entry) -> list[Event]:
        if next(calls) != call:
            return await perform(effect, entry)
        if after:
            await perform(effect, entry)
        raise KilledError

    return killing


@pytest.mark.parametrize("after", [False, True], ids=["before the effect", "after the effect"])
async def test_a_run_killed_at_any_effect_and_resumed_leaves_the_log_of_an_unbroken_one(
    opened: Opened, after: bool
) -> None:
    call = 1
    while True:
        spec = submitted(job_id=f"killed-at-{call:03d}", policy=repairable().policy, platforms=("youtube",))
        edge = repaired_edge()
        async with opened() as store:
            await append(store, spec, job_id=spec.job_id)
            killing = killed_at(edge.perform, call, after=after)
            killed = False
            try:
                await run_job(store, spec.job_id, killing)
            except* KilledError:
                killed = True
        async with opened() as store:
            job = await run_job(store, spec.job_id, edge.perform)
            assert await types(store, spec.job_id) == REPAIRED, f"killed at effect {call}"
            assert check(await entries(store, spec.job_id)) == []
            assert check_at_rest(await entries(store, spec.job_id), edge.files) == []
            assert job.status == "completed"
        if not killed:
            break
        call += 1
    assert call > 15, "the run has fewer effects than it has stages and gates"


async def test_a_run_killed_at_any_event_and_resumed_leaves_the_log_of_an_unbroken_one(
    opened: Opened,
) -> None:
    for version in range(1, len(REPAIRED) + 1):
        spec = submitted(
            job_id=f"killed-by-{version:03d}", policy=repairable().policy, platforms=("youtube",)
        )
        edge = repaired_edge()

        def kill(entry: Entry, version: int = version) -> None:
            if entry.recorded.version == version:
                raise KilledError

        async with opened() as store:
            await append(store, spec, job_id=spec.job_id)
            with pytest.raises(BaseExceptionGroup) as faults:
                await run_job(store, spec.job_id, edge.perform, seen=kill)
            assert faults.value.subgroup(KilledError) is not None
        async with opened() as store:
            await run_job(store, spec.job_id, edge.perform)
            assert await types(store, spec.job_id) == REPAIRED, f"killed by event {version}"
            assert check(await entries(store, spec.job_id)) == []


async def test_a_run_that_is_cancelled_from_outside_ends_at_once_and_can_be_resumed(opened: Opened) -> None:
    edge = InventedEdge(score=always(1.0))

    async with opened() as store:
        await append(store, submitted())
        with anyio.CancelScope() as scope:

            async def interrupted(effect: Effect, entry: Entry) -> list[Event]:
                if isinstance(effect, RunStage) and effect.stage == "frame":
                    scope.cancel()
                return await edge.perform(effect, entry)

            await run_job(store, JOB_ID, interrupted)
        assert scope.cancelled_caught
        assert (await types(store))[-1] == "StageStarted"
        await run_job(store, JOB_ID, edge.perform)
        assert await types(store) == CANONICAL


# Faults of an actor, and of the machine.


def breaking(actor: Actor, when: Callable[[Event], bool], times: int) -> tuple[Actor, ...]:
    """The four actors, one of which fails on some event so many times."""
    left = iter(range(times))

    def react(job: Job, event: Event, cause: Any) -> list[Event | Effect]:
        if when(event) and next(left, None) is not None:
            raise ZeroDivisionError("a bug")
        return actor.react(job, event, cause)

    return tuple(Actor(one.name, react) if one.name == actor.name else one for one in ACTORS)


RENDER = next(actor for actor in ACTORS if actor.name == render.NAME)
HANDOFF = next(actor for actor in ACTORS if actor.name == handoff.NAME)


def is_pose(event: Event) -> bool:
    return type(event).__name__ == "StageCompleted" and getattr(event, "stage", None) == "pose"


async def test_an_actor_that_fails_twice_is_tried_again_and_nobody_hears_of_it(opened: Opened) -> None:
    async with opened() as store:
        await append(store, submitted())
        await run_job(
            store,
            JOB_ID,
            InventedEdge(score=always(1.0)).perform,
            actors=breaking(RENDER, is_pose, loop.TRIES - 1),
        )
        assert await types(store) == CANONICAL


async def test_an_event_that_fails_an_actor_again_and_again_becomes_a_question(opened: Opened) -> None:
    async with opened() as store:
        await append(store, submitted())
        edge = InventedEdge(score=always(1.0))
        job = await run_job(store, JOB_ID, edge.perform, actors=breaking(RENDER, is_pose, loop.TRIES))
        assert job.status == "waiting"
        assert job.escalation is not None
        assert job.escalation.stage == "pose"
        assert job.escalation.detail == (
            "render failed 3 times on StageCompleted, version 7: ZeroDivisionError: a bug"
        )
        assert (await types(store))[-1] == "Escalated"
        await append(store, *commands.answer(job, action="proceed", by="ada"))
        job = await run_job(store, JOB_ID, edge.perform)
        assert job.status == "completed"
        ran = [effect.stage for effect in edge.done if isinstance(effect, RunStage)]
        assert ran == ["artifact", "pose", "frame", "motion", "video"]


async def test_an_edge_that_breaks_in_an_unforeseen_way_becomes_a_question_too(opened: Opened) -> None:
    async def broken(effect: Effect, entry: Entry) -> list[Event]:
        if isinstance(effect, MeasureStage):
            raise OSError(5, "Input/output error", "/clips/\udcff.mp4")
        return await InventedEdge(score=always(1.0)).perform(effect, entry)

    async with opened() as store:
        await append(store, submitted())
        job = await run_job(store, JOB_ID, broken)
        assert job.status == "waiting"
        assert job.escalation is not None
        assert job.escalation.stage == "frame"
        assert "OSError" in job.escalation.detail


async def test_what_cannot_be_recorded_becomes_a_question_and_not_an_unreadable_job(opened: Opened) -> None:
    async def infinite(effect: Effect, entry: Entry) -> list[Event]:
        done = await InventedEdge(score=always(1.0)).perform(effect, entry)
        if isinstance(effect, RunStage) and effect.stage == "frame":
            return [msgspec.structs.replace(done[0], facts={"shift_px": float("inf")})]
        return done

    async with opened() as store:
        await append(store, submitted())
        job = await run_job(store, JOB_ID, infinite)
        assert job.status == "waiting"
        assert (await load(store, JOB_ID)).escalation is not None


QUESTION = f"sandbox/logs/{JOB_ID}/qc/user_action_required.json"


async def put_back(store: EventStore, actor: str, position: int) -> None:
    """An actor's events from there on come again, as to one that lost its place."""
    await store.save_checkpoint(Checkpoint(consumer=f"{actor}/{JOB_ID}", position=position))


async def test_an_answered_event_that_comes_again_and_fails_is_told_and_not_taken_for_done(
    opened: Opened,
) -> None:
    edge = InventedEdge(score=lambda metric, sha256: 0.5 if metric == "costume_fidelity" else 1.0)

    async def keeps_files(effect: Effect, entry: Entry) -> list[Event]:
        if isinstance(effect, RemoveDocument):
            raise ZeroDivisionError("a bug")
        return await edge.perform(effect, entry)

    async with opened() as store:
        await append(store, submitted(costume_required=True))
        job = await run_job(store, JOB_ID, edge.perform)
        assert job.status == "waiting"
        assert QUESTION in edge.files
        await append(store, *commands.answer(job, action="abort", by="ada"))
        await run_job(store, JOB_ID, edge.perform)
        asked = [entry for entry in await entries(store) if type(entry.event).__name__ == "Escalated"]
        told = await types(store)
        await put_back(store, "supervisor", asked[0].recorded.position - 1)
        with pytest.raises(CafError) as caught:
            await run_job(store, JOB_ID, keeps_files)
        assert caught.value.kind == "actor_failed"
        assert QUESTION in edge.files
        await run_job(store, JOB_ID, edge.perform)
        assert QUESTION not in edge.files
        assert await types(store) == told


async def test_a_question_that_cannot_be_written_down_is_asked_once_and_told(opened: Opened) -> None:
    edge = InventedEdge(score=lambda metric, sha256: 0.5 if metric == "costume_fidelity" else 1.0)

    async def no_place_for_it(effect: Effect, entry: Entry) -> list[Event]:
        if isinstance(effect, WriteDocument) and effect.path == QUESTION:
            raise IsADirectoryError(21, "Is a directory", effect.path)
        return await edge.perform(effect, entry)

    async with opened() as store:
        await append(store, submitted(costume_required=True))
        with pytest.raises(CafError, match="is waiting, but supervisor failed 3 times on Escalated") as told:
            await run_job(store, JOB_ID, no_place_for_it)
        assert told.value.kind == "actor_failed"
        assert (await types(store)).count("Escalated") == 1
        job = await run_job(store, JOB_ID, edge.perform)
        assert job.status == "waiting"
        assert QUESTION in edge.files


async def test_a_question_about_an_event_that_comes_again_is_not_asked_again(opened: Opened) -> None:
    async with opened() as store:
        await append(store, submitted())
        edge = InventedEdge(score=always(1.0))
        await run_job(store, JOB_ID, edge.perform, actors=breaking(RENDER, is_pose, loop.TRIES))
        told = await types(store)
        await put_back(store, "render", 0)
        job = await run_job(store, JOB_ID, edge.perform, actors=breaking(RENDER, is_pose, loop.TRIES))
        assert job.status == "waiting"
        assert await types(store) == told


async def test_a_failure_after_the_end_is_told_and_does_not_reopen_the_job(opened: Opened) -> None:
    spec = submitted(platforms=("youtube",))

    def is_end(event: Event) -> bool:
        return type(event).__name__ == "JobCompleted"

    async with opened() as store:
        await append(store, spec)
        edge = InventedEdge(score=always(1.0))
        with pytest.raises(
            CafError, match=r"is completed, but handoff failed 3 times on JobCompleted"
        ) as told:
            await run_job(store, JOB_ID, edge.perform, actors=breaking(HANDOFF, is_end, loop.TRIES))
        assert told.value.remedy.endswith(f"caf resume {JOB_ID}")
        assert await types(store) == CANONICAL
        job = await run_job(store, JOB_ID, edge.perform)
        assert job.status == "completed"
        assert await types(store) == [*CANONICAL, "HandoffPrepared"]


async def test_a_fault_of_the_machine_stops_the_run_and_leaves_the_job_as_it_was(opened: Opened) -> None:
    full = TryAgainError("The disk is full.", remedy="Free some space.", kind="disk_full")
    edge = InventedEdge(score=always(1.0))

    async def on_a_full_disk(effect: Effect, entry: Entry) -> list[Event]:
        if isinstance(effect, RunStage) and effect.stage == "motion":
            raise full
        return await edge.perform(effect, entry)

    async with opened() as store:
        await append(store, submitted())
        with pytest.raises(TryAgainError) as told:
            await run_job(store, JOB_ID, on_a_full_disk)
        assert told.value is full
        assert (await types(store))[-1] == "StageStarted"
        await run_job(store, JOB_ID, edge.perform)
        assert await types(store) == CANONICAL


async def test_an_event_of_the_future_stops_the_job_with_its_place(opened: Opened) -> None:
    async with opened() as store:
        await append(store, submitted())
        future = NewEvent(event_id=next(_fresh), type="JobTeleported", data=b"{}")
        await store.append(stream_of(JOB_ID), [future])
        with pytest.raises(UnreadableLog, match=rf"Position 2 of the log, job-{JOB_ID} version 2"):
            await run_job(store, JOB_ID, InventedEdge(score=always(1.0)).perform)


# Other writers.


async def test_a_cancelled_job_s_running_stage_is_ended_and_nothing_follows(opened: Opened) -> None:
    ended = []

    async with opened() as store:

        async def endless(effect: Effect, entry: Entry) -> list[Event]:
            if not (isinstance(effect, RunStage) and effect.stage == "frame"):
                return await InventedEdge(score=always(1.0)).perform(effect, entry)
            try:
                await append(store, *commands.cancel(entry.job, by="ada", reason="enough"))
                await anyio.sleep_forever()
            finally:
                ended.append(effect.stage)
            return []

        await append(store, submitted())
        job = await run_job(store, JOB_ID, endless)
        assert job.status == "cancelled"
        assert ended == ["frame"]
        assert (await types(store))[-2:] == ["StageStarted", "JobCancelled"]
        again = InventedEdge(score=always(1.0))
        assert (await run_job(store, JOB_ID, again.perform)).status == "cancelled"
        assert not any(isinstance(effect, RunStage | MeasureStage) for effect in again.done)


async def test_what_a_stage_gave_in_the_moment_of_a_cancel_is_not_recorded(opened: Opened) -> None:
    async with opened() as store:

        async def cancelled_meanwhile(effect: Effect, entry: Entry) -> list[Event]:
            done = await InventedEdge(score=always(1.0)).perform(effect, entry)
            if isinstance(effect, RunStage) and effect.stage == "pose":
                with anyio.CancelScope(shield=True):
                    await append(store, *commands.cancel(entry.job, by="ada", reason="enough"))
            return done

        await append(store, submitted())
        job = await run_job(store, JOB_ID, cancelled_meanwhile)
        assert job.status == "cancelled"
        assert (await types(store))[-1] == "JobCancelled"
        assert check(await entries(store)) == []


async def test_another_writer_in_between_costs_nothing_but_another_try(opened: Opened) -> None:
    async with opened() as store:
        platforms = iter(range(10**6))

        async def meddled(effect: Effect, entry: Entry) -> list[Event]:
            seen = posted(f"p{next(platforms)}", observed_from="a state file")
            await append(store, seen)
            return await InventedEdge(score=always(1.0)).perform(effect, entry)

        await append(store, submitted())
        job = await run_job(store, JOB_ID, meddled)
        assert job.status == "completed"
        assert [name for name in await types(store) if name != "Posted"] == CANONICAL
        assert check(await entries(store)) == []


async def test_two_runs_of_one_job_at_once_still_decide_everything_once(opened: Opened) -> None:
    """The lock of the workspace forbids it; should it ever happen, the log stays sound."""
    spec = repairable()
    edge = InventedEdge(score=lambda metric, sha256: 1.0 if share(sha256) > 0.5 else 0.1)
    async with opened() as store:
        await append(store, spec)
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(run_job, store, JOB_ID, edge.perform)
        assert check(await entries(store)) == []
        job = await load(store, JOB_ID)
        assert job.status == "waiting" or is_over(job)


async def test_other_jobs_of_the_log_are_left_alone(opened: Opened) -> None:
    async with opened() as store:
        await append(store, submitted())
        await append(store, submitted(job_id="other-cat-01"), job_id="other-cat-01")
        await run_job(store, JOB_ID, InventedEdge(score=always(1.0)).perform)
        assert await types(store, "other-cat-01") == ["JobSubmitted"]


async def test_several_jobs_run_side_by_side(opened: Opened) -> None:
    names = [f"cat-number-{number}" for number in range(4)]
    async with opened() as store:
        for name in names:
            await append(store, submitted(job_id=name), job_id=name)
        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(run_job, store, name, InventedEdge(score=always(1.0)).perform)
        for name in names:
            assert await types(store, name) == CANONICAL


class AnsweredWhileAsked(MemoryStore):
    """A person answers in the moment in which the loop asks how far the stream is."""

    def __init__(self, answer: Callable[[EventStore], Awaitable[None]]) -> None:
        super().__init__()
        self.answer = answer
        self.answered = False

    async def version(self, stream: str) -> int:
        version = await super().version(stream)
        job = await load(self, JOB_ID)
        if job.status == "waiting" and not self.answered:
            self.answered = True
            await self.answer(self)
            await anyio.wait_all_tasks_blocked()
        return version


async def test_an_answer_in_the_last_moment_is_taken_into_the_same_run() -> None:
    async def answer(store: EventStore) -> None:
        await append(store, *commands.answer(await load(store, JOB_ID), action="abort", by="ada"))

    async with AnsweredWhileAsked(answer) as store:
        await append(store, submitted(costume_required=True))
        job = await run_job(store, JOB_ID, InventedEdge(score=always(0.5)).perform)
        assert job.status == "aborted"


# What the loop promises about effects.


async def test_what_is_delivered_again_is_written_again_and_neither_run_nor_recorded_again(
    opened: Opened,
) -> None:
    """Decisions once, effects at least once."""
    async with opened() as store:
        await append(store, submitted(platforms=("youtube",)))
        edge = InventedEdge(score=always(1.0))
        await run_job(store, JOB_ID, edge.perform)
        before = await types(store)
        for actor in ACTORS:
            await store.save_checkpoint(Checkpoint(consumer=f"{actor.name}/{JOB_ID}", position=0))
        repeated = InventedEdge(score=always(1.0))
        await run_job(store, JOB_ID, repeated.perform)
        assert await types(store) == before
        assert repeated.files == edge.files
        assert any(isinstance(effect, PreparePayloads) for effect in repeated.done)
        assert not any(isinstance(effect, RunStage | MeasureStage) for effect in repeated.done)


def test_the_fold_of_what_a_run_recorded_is_what_the_run_returned() -> None:
    async def story() -> tuple[Job, list[Event]]:
        async with MemoryStore() as store:
            await append(store, repairable())
            job = await run_job(store, JOB_ID, repaired_edge().perform)
            return job, [entry.event for entry in await entries(store)]

    job, events = anyio.run(story)
    assert fold(*events) == job
