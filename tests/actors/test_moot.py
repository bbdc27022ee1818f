"""The loop: what came since an event can leave nothing to do for it, and nothing is done then."""

import itertools

import anyio
import pytest

from caf import commands
from caf.actors import loop
from caf.actors.effects import Effect, MeasureStage, RunStage, WriteDocument
from caf.actors.loop import ACTORS, run_job
from caf.errors import CafError
from caf.events import Event
from caf.log import Entry, load, new_events, read_job, stream_of
from eventstore import Checkpoint, EventStore, MemoryStore
from tests.support.edge import InventedEdge, always
from tests.support.jobs import JOB_ID, submitted

_fresh = (f"00000000-0000-4000-8000-{number:012d}" for number in itertools.count())


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "FIRST_PAUSE_S", 0.0)


async def append(store: EventStore, *events: Event) -> None:
    ids = [next(_fresh) for _ in events]
    await store.append(stream_of(JOB_ID), new_events(events, ids, job_id=JOB_ID, causation_id=None))


async def types(store: EventStore) -> list[str]:
    return [entry.recorded.type async for entry in read_job(store, JOB_ID)]


class Failing(InventedEdge):
    """Cannot write documents of some name; and tells what ran."""

    def __init__(self, name: str = "none", *, score: float = 1.0) -> None:
        super().__init__(score=always(score))
        self.name = name

    async def perform(self, effect: Effect, entry: Entry) -> list[Event]:
        if isinstance(effect, WriteDocument) and self.name in effect.path:
            raise ZeroDivisionError
        return await super().perform(effect, entry)

    def ran(self) -> list[str]:
        return [effect.stage for effect in self.done if isinstance(effect, RunStage)]


async def test_what_was_run_of_a_job_under_way_is_not_run_again_when_its_event_comes_again() -> None:
    """It would run beside what the job is at now."""

    class FullAtMotion(Failing):
        async def perform(self, effect: Effect, entry: Entry) -> list[Event]:
            if isinstance(effect, RunStage) and effect.stage == "motion":
                raise CafError("There is no room.", remedy="Free some.")
            return await super().perform(effect, entry)

    async with MemoryStore() as store:
        await append(store, submitted())
        with pytest.raises(CafError):
            await run_job(store, JOB_ID, FullAtMotion().perform)
        for actor in ACTORS:
            await store.save_checkpoint(Checkpoint(consumer=f"{actor.name}/{JOB_ID}", position=0))
        edge = Failing()
        assert (await run_job(store, JOB_ID, edge.perform)).status == "completed"
        assert edge.ran() == ["motion", "video"]
        measured = [effect.stage for effect in edge.done if isinstance(effect, MeasureStage)]
        assert measured == ["motion", "video"]


async def test_a_job_that_asks_because_an_actor_failed_is_not_worked_on_meanwhile() -> None:
    """QC cannot write its report, while Render is at the next stage already."""

    class Slow(Failing):
        ended = 0

        async def perform(self, effect: Effect, entry: Entry) -> list[Event]:
            if isinstance(effect, RunStage) and effect.stage == "motion":
                try:
                    await anyio.sleep_forever()
                finally:
                    self.ended += 1
            return await super().perform(effect, entry)

    async with MemoryStore() as store:
        await append(store, submitted())
        edge = Slow("qc_report")
        with anyio.fail_after(20):
            job = await run_job(store, JOB_ID, edge.perform)
        assert job.status == "waiting"
        assert job.escalation is not None
        assert "qc failed 3 times on QCPassed" in job.escalation.detail
        assert edge.ended <= 1
        assert edge.ran() == ["artifact", "pose", "frame"]
        assert (await types(store))[-1] == "Escalated"
        await append(store, *commands.answer(await load(store, JOB_ID), action="proceed", by="ada"))
        assert (await run_job(store, JOB_ID, InventedEdge(score=always(1.0)).perform)).status == "completed"


async def test_what_a_question_interrupted_stays_ended_when_it_is_answered_before_its_event_comes_again() -> (
    None
):
    """The answer's own decision starts the stage; the old start of it is not a second one."""

    class Slow(Failing):
        async def perform(self, effect: Effect, entry: Entry) -> list[Event]:
            if isinstance(effect, RunStage) and effect.stage == "motion":
                await anyio.sleep_forever()
            return await super().perform(effect, entry)

    async with MemoryStore() as store:
        await append(store, submitted())
        with anyio.fail_after(20):
            await run_job(store, JOB_ID, Slow("qc_report").perform)
        await append(store, *commands.answer(await load(store, JOB_ID), action="proceed", by="ada"))
        for actor in ACTORS:
            await store.save_checkpoint(Checkpoint(consumer=f"{actor.name}/{JOB_ID}", position=0))
        edge = Failing()
        assert (await run_job(store, JOB_ID, edge.perform)).status == "completed"
        assert edge.ran() == ["motion", "video"]
        after = (await types(store)).index("EscalationAnswered")
        assert (await types(store))[after:].count("StageCompleted") == 2


async def test_a_job_asks_one_question_at_a_time_and_what_cannot_be_done_meanwhile_is_tried_again() -> None:
    """The gate fails and asks a person; that its report cannot be written, too, is for whoever runs the job."""
    async with MemoryStore() as store:
        await append(store, submitted(costume_required=True))
        with pytest.raises(CafError, match="qc failed 3 times"):
            await run_job(store, JOB_ID, Failing("qc_report", score=0.5).perform)
        assert (await types(store)).count("Escalated") == 1
        edge = Failing(score=0.5)
        job = await run_job(store, JOB_ID, edge.perform)
        assert job.status == "waiting"
        assert any("qc_report" in path for path in edge.files)
