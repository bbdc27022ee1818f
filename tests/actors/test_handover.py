"""Work is noted in the job's stream before a server has it: once, on top of what came, never of a job that is over."""

from typing import Final

import pytest

from caf.actors.effects import RunStage
from caf.actors.handover import Handover, Previews
from caf.errors import RefusedError
from caf.events import Event, JobCancelled, PromptSubmitted, attempt_id
from caf.log import Entry, new_events, read_job, stream_of
from eventstore.memory import MemoryStore
from tests.support.jobs import JOB_ID, RUN_1, attempt, failed, started, submitted, up_to

EFFECT: Final = RunStage(stage="motion", attempt_id=RUN_1, engine="comfyui", parameters={})


async def store_with(*events: Event) -> MemoryStore:
    store = MemoryStore()
    ids = [f"00000000-0000-4000-8000-{index:012}" for index in range(len(events))]
    records = new_events(events, ids, job_id=JOB_ID, causation_id=None)
    await store.append(stream_of(JOB_ID), records, expected_version=0)
    return store


async def entries(store: MemoryStore) -> list[Entry]:
    return [entry async for entry in read_job(store, JOB_ID)]


async def handover(store: MemoryStore, effect: RunStage = EFFECT) -> Handover:
    return Handover(
        store,
        effect,
        (await entries(store))[-1],
        workspace_id="here",
        tick=lambda *told: None,
        show=lambda *told: None,
    )


async def begun() -> MemoryStore:
    return await store_with(*up_to("frame"), started("motion"))


async def noted(store: MemoryStore) -> list[tuple[str, str]]:
    return [
        (entry.event.key, entry.event.handle)
        for entry in await entries(store)
        if isinstance(entry.event, PromptSubmitted)
    ]


async def test_what_is_handed_over_is_in_the_log_with_its_cause() -> None:
    store = await begun()
    cause = (await entries(store))[-1].recorded.event_id
    await (await handover(store)).submitted("frame-000000", "http://a#1")
    last = (await entries(store))[-1]
    assert isinstance(last.event, PromptSubmitted)
    assert (last.event.stage, last.event.attempt_id, last.event.engine) == ("motion", RUN_1, "comfyui")
    assert last.recorded.causation_id == cause


async def test_the_same_note_twice_is_one_and_another_handle_is_another() -> None:
    store = await begun()
    out = await handover(store)
    for handle in ("http://a#1", "http://a#1", "http://a#2"):
        await out.submitted("frame-000000", handle)
    await (await handover(store)).submitted("frame-000001", "http://a#3")
    assert await noted(store) == [
        ("frame-000000", "http://a#1"),
        ("frame-000000", "http://a#2"),
        ("frame-000001", "http://a#3"),
    ]


async def test_a_restart_finds_the_newest_handle_of_each_key() -> None:
    store = await begun()
    first = await handover(store)
    await first.submitted("frame-000000", "http://a#1")
    await first.submitted("frame-000001", "http://a#2")
    await first.submitted("frame-000000", "http://a#3")
    entry = next(item for item in await entries(store) if item.event == started("motion"))
    again = Handover(
        store, EFFECT, entry, workspace_id="here", tick=lambda *told: None, show=lambda *told: None
    )
    assert await again.known() == {"frame-000000": "http://a#3", "frame-000001": "http://a#2"}


async def test_another_stage_s_and_another_attempt_s_work_is_not_taken_up() -> None:
    store = await begun()
    await (await handover(store)).submitted("frame-000000", "http://a#1")
    other = RunStage(stage="frame", attempt_id=RUN_1, engine="comfyui", parameters={})
    assert await (await handover(store, other)).known() == {}
    later = [failed("motion"), attempt(2, from_stage="motion"), started("motion", 2)]
    version = await store.version(stream_of(JOB_ID))
    ids = [f"00000000-0000-4000-9000-{index:012}" for index in range(len(later))]
    records = new_events(later, ids, job_id=JOB_ID, causation_id=None)
    await store.append(stream_of(JOB_ID), records, expected_version=version)
    second = RunStage(stage="motion", attempt_id=attempt_id(2), engine="comfyui", parameters={})
    assert await (await handover(store, second)).known() == {}


async def test_a_note_goes_on_top_of_what_somebody_else_appended() -> None:
    store = await begun()
    one, other = await handover(store), await handover(store)
    await one.submitted("frame-000000", "http://a#1")
    await other.submitted("frame-000001", "http://a#2")
    await one.submitted("frame-000002", "http://a#3")
    assert [key for key, _ in await noted(store)] == ["frame-000000", "frame-000001", "frame-000002"]


async def test_nothing_more_of_a_job_that_is_called_off_is_handed_over() -> None:
    store = await store_with(submitted(), attempt(), started("motion"))
    out = await handover(store)
    records = new_events(
        [JobCancelled(by="ada", reason="")],
        ["00000000-0000-4000-a000-000000000000"],
        job_id=JOB_ID,
        causation_id=None,
    )
    await store.append(stream_of(JOB_ID), records, expected_version=3)
    with pytest.raises(RefusedError, match="is cancelled"):
        await out.submitted("frame-000000", "http://a#1")
    assert await noted(store) == []


def test_only_the_newest_pictures_of_a_few_jobs_are_kept() -> None:
    previews = Previews()
    for number in range(40):
        previews.show(f"job-{number}", "image/jpeg", b"old")
        previews.show(f"job-{number}", "image/jpeg", b"new")
    assert list(previews.newest) == [f"job-{number}" for number in range(24, 40)]
    assert {shown[1:] for shown in previews.newest.values()} == {("image/jpeg", b"new")}
    assert len({shown.number for shown in previews.newest.values()}) == len(previews.newest)
