"""What the documentation promises of the whole, shown on a log that the real actors wrote."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from caf.actors.loop import ACTORS
from caf.app import App, open_app
from caf.config import Config
from caf.contracts import UserActionRequired
from caf.contracts.read import read_document
from caf.errors import TryAgainError
from caf.events import GATED, QCFailed, QCPassed, RepairDecided, StageCompleted, StageStarted
from caf.events.codec import derived_id
from caf.log import Entry, read_job
from caf.submission import Wish
from caf.workspace import Workspace
from tests.docs.small_log import COSTUME, REPAIRED, STEADY, go_on, submit

DECISIONS = {"AttemptStarted", "RepairDecided", "Escalated", "JobCompleted", "JobAborted"}


@asynccontextmanager
async def opened(root: Path) -> AsyncIterator[App]:
    async with open_app(root, Config()) as app:
        yield app


async def entries(app: App, job_id: str) -> list[Entry]:
    return [entry async for entry in read_job(app.store, job_id)]


def throw_rows_away(workspace: Path) -> None:
    files = list(workspace.glob(".caf/projections.db*"))
    assert files
    for file in files:
        file.unlink()


async def test_rows_that_were_thrown_away_come_back_the_same(workspace: Path) -> None:
    async with opened(workspace) as app:
        await app.models.catch_up(app.store)
        before = await app.models.dump()
    throw_rows_away(workspace)
    async with opened(workspace) as app:
        await app.models.catch_up(app.store)
        assert await app.models.dump() == before
        assert before["jobs"]


async def test_only_the_supervisor_decides_and_every_decision_has_its_cause(workspace: Path) -> None:
    async with opened(workspace) as app:
        decided = [
            entry.recorded
            for job in (STEADY, REPAIRED, COSTUME)
            for entry in await entries(app, job)
            if entry.recorded.type in DECISIONS
        ]
    assert {recorded.type for recorded in decided} == DECISIONS - {"JobAborted"}
    for recorded in decided:
        assert recorded.causation_id is not None
        own = {derived_id("supervisor", recorded.causation_id, index) for index in range(4)}
        assert recorded.event_id in own


async def test_no_gated_stage_is_left_before_it_was_judged(workspace: Path) -> None:
    async with opened(workspace) as app:
        events = [entry.event for entry in await entries(app, REPAIRED)]
    waiting: list[str] = []
    judged = 0
    for event in events:
        match event:
            case StageCompleted(stage=stage) if stage in GATED:
                waiting = ["judged", "decided"]
            case QCPassed() | QCFailed():
                assert waiting.pop(0) == "judged"
                judged += 1
            case RepairDecided():
                assert waiting.pop(0) == "decided"
            case StageStarted():
                assert waiting == []
    assert judged == 4


async def test_an_escalation_is_a_question_that_can_be_answered(workspace: Path) -> None:
    document = workspace / "sandbox" / "logs" / COSTUME / "qc" / "user_action_required.json"
    asked = read_document(document.read_bytes(), UserActionRequired, where=document.name)
    assert (asked.job_id, asked.reason) == (COSTUME, "IDENTITY_CONFLICT")
    async with opened(workspace) as app:
        await app.answer(COSTUME, action="proceed", by="someone", note="the hat is fine")
        job = await go_on(app, COSTUME)
        events = [entry.event for entry in await entries(app, COSTUME)]
    assert job.status == "completed"
    assert any(isinstance(event, QCFailed) for event in events)
    said = [event.reasoned_by for event in events if isinstance(event, RepairDecided)]
    assert said == ["policy", "person", "policy", "policy"]
    assert not document.exists()


async def test_each_actor_has_a_checkpoint_for_each_job(workspace: Path) -> None:
    async with opened(workspace) as app:
        heads = {
            job: [entry.recorded.position for entry in await entries(app, job)] for job in (STEADY, REPAIRED)
        }
        for job, positions in heads.items():
            for actor in ACTORS:
                position = await app.store.checkpoint(f"{actor.name}/{job}")
                reacted = actor.name != "handoff" or job == STEADY
                assert position in positions if reacted else position == 0


async def test_a_run_that_is_started_again_adds_nothing(workspace: Path) -> None:
    async with opened(workspace) as app:
        before = await app.store.head()
        assert (await go_on(app, REPAIRED)).status == "completed"
        assert await app.store.head() == before


def test_a_job_that_another_process_works_on_is_left_alone(workspace: Path) -> None:
    place = Workspace(workspace)
    with place.working_on(REPAIRED):
        with pytest.raises(TryAgainError, match=REPAIRED), place.working_on(REPAIRED):
            pass
        with place.working_on(STEADY):
            pass
    with place.working_on(REPAIRED):
        pass


async def test_a_repair_is_not_tried_twice_on_a_deterministic_engine(workspace: Path) -> None:
    async with opened(workspace) as app:
        await submit(app, Wish(clip=workspace / "clip.mp4", job_id="drifting-0001"))
        failing = {(f"run-000{number}", "identity_drift"): 0.5 for number in (1, 2, 3)}
        job = await go_on(app, "drifting-0001", failing)
    assert job.escalation is not None
    assert job.escalation.request.reason == "RETRY_BUDGET_EXCEEDED"
    assert len(job.attempts) == 2
    assert len({str(attempt.parameters) for attempt in job.attempts}) == 2
