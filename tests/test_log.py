"""Events in the store and back: names, ids, places; and that any log at all can be folded."""

from collections.abc import Sequence
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caf.clock import RandomIds
from caf.decide import record_submission
from caf.errors import RefusedError
from caf.events import AttemptStarted, Event, HandoffApproved, JobSubmitted
from caf.job import INITIAL, Job, evolve
from caf.log import (
    Entry,
    UnreadableLog,
    entry_of,
    fold,
    job_of,
    load,
    new_events,
    read_job,
    stream_of,
)
from eventstore import Appended, EventStore, MemoryLog, MemoryStore, NewEvent
from tests.contracts.strategies import documents
from tests.support.jobs import (
    JOB_ID,
    answered,
    attempt,
    completed,
    coverage,
    decided,
    escalated,
    failed,
    job_aborted,
    job_cancelled,
    job_completed,
    judged,
    posted,
    started,
    submitted,
    up_to,
)

IDS = [f"00000000-0000-4000-8000-{number:012d}" for number in range(40)]


async def append(store: EventStore, *events: Event) -> None:
    records = new_events(events, IDS[: len(events)], job_id=JOB_ID, causation_id=None)
    await store.append(stream_of(JOB_ID), records)


def test_a_job_s_stream_is_named_after_it_and_back() -> None:
    assert stream_of("cat-01") == "job-cat-01"
    assert job_of("job-cat-01") == "cat-01"
    assert job_of(stream_of("job-job-1")) == "job-job-1"


async def test_a_job_is_the_fold_of_its_stream_up_to_any_version() -> None:
    events = up_to("frame")
    async with MemoryStore() as store:
        await append(store, *events)
        job = INITIAL
        for version, event in enumerate(events, 1):
            job = evolve(job, event)
            assert await load(store, JOB_ID, at_version=version) == job
        assert await load(store, JOB_ID) == await load(store, JOB_ID, at_version=999) == job


async def test_the_entries_of_a_job_carry_event_place_and_fold() -> None:
    events = up_to("pose")
    async with MemoryStore() as store:
        await append(store, *events)
        entries = [entry async for entry in read_job(store, JOB_ID)]
        assert [entry.event for entry in entries] == events
        assert [entry.recorded.version for entry in entries] == [entry.job.version for entry in entries]
        assert all(entry.recorded.correlation_id == JOB_ID for entry in entries)
        assert [entry async for entry in read_job(store, JOB_ID, at_version=2)] == entries[:2]
        assert [entry async for entry in read_job(store, JOB_ID, at_version=0)] == []


async def test_an_unknown_job_is_refused_with_how_to_find_the_known_ones() -> None:
    async with MemoryStore() as store:
        assert await fold(store, "no-such-cat") == INITIAL
        with pytest.raises(RefusedError, match="no job 'no-such-cat'") as refusal:
            await load(store, "no-such-cat")
        assert "caf jobs" in refusal.value.remedy


async def test_a_post_of_a_job_that_this_log_never_ran_makes_no_job() -> None:
    async with MemoryStore() as store:
        await append(store, posted(observed_from="a state file"))
        assert (await fold(store, JOB_ID)).posted != {}
        with pytest.raises(RefusedError, match="no job"):
            await load(store, JOB_ID)


async def test_an_event_that_cannot_be_read_is_told_with_its_place() -> None:
    async with MemoryStore() as store:
        await append(store, submitted())
        await store.append(stream_of(JOB_ID), [NewEvent(event_id=IDS[-1], type="Posted", data=b"{")])
        with pytest.raises(
            UnreadableLog, match=rf"Position 2 of the log, job-{JOB_ID} version 2: .*'Posted'"
        ):
            await load(store, JOB_ID)
        assert (await load(store, JOB_ID, at_version=1)).status == "submitted"


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (submitted(job_id="another-cat"), "it is of another job, 'another-cat'"),
        (
            submitted(platforms=("youtube", "../../tiktok")),
            "'../../tiktok' cannot be a part of a file's name",
        ),
        (attempt(attempt_id="../run-0001"), "'../run-0001' cannot be a part of a file's name"),
        (
            HandoffApproved(platform="x/y", by="ada", note="", observed_from="person"),
            "'x/y' cannot be a part of a file's name",
        ),
    ],
)
async def test_names_that_would_lead_out_of_a_job_s_folders_are_not_believed(event: Event, why: str) -> None:
    async with MemoryStore() as store:
        await append(store, event)
        with pytest.raises(UnreadableLog) as caught:
            await fold(store, JOB_ID)
    assert why in caught.value.message


async def test_a_job_whose_very_id_leads_away_is_not_read() -> None:
    strange = "../../../etc"
    async with MemoryStore() as store:
        records = new_events([submitted(job_id=strange)], IDS[:1], job_id=strange, causation_id=None)
        await store.append(stream_of(strange), records)
        with pytest.raises(UnreadableLog, match="cannot be a part of a file's name"):
            await load(store, strange)


ORDINARY: list[Event] = [
    submitted(),
    *[attempt(number) for number in (1, 2, 3)],
    attempt(2, from_stage="motion", source="/clips/b.mp4"),
    *[started(stage, number) for stage in ("artifact", "frame", "video") for number in (1, 2)],
    *[
        completed(stage, number)
        for stage in ("artifact", "pose", "frame", "motion", "video")
        for number in (1, 2)
    ],
    *[failed(stage, number) for stage in ("artifact", "motion") for number in (1, 2)],
    coverage(),
    *[judged(submitted(), stage, 1) for stage in ("frame", "motion", "video")],
    judged(submitted(), "motion", 2, loop_seam=0.1),
    decided("frame"),
    decided("motion", 2, "RETRY_STAGE"),
    escalated("frame"),
    *[answered(action, "frame") for action in ("proceed", "retry", "abort")],
    job_completed(),
    job_cancelled(),
    job_aborted(),
    posted(),
    posted("x"),
]


def any_log() -> st.SearchStrategy[list[Event]]:
    """Events that make sense by themselves in orders that do not, and events that nobody would record."""
    invented = st.one_of([documents(kind) for kind in get_args(Event)])
    return st.lists(st.one_of(st.sampled_from(ORDINARY), st.sampled_from(ORDINARY), invented), max_size=25)


@given(events=any_log())
def test_any_prefix_of_any_log_folds(events: list[Event]) -> None:
    job = INITIAL
    for version, event in enumerate(events, 1):
        job = evolve(job, event)
        assert job.version == version
        assert [one.number for one in job.attempts] == list(range(1, len(job.attempts) + 1))
        _ = job.artifact("final")


@given(events=any_log())
def test_a_log_that_was_stored_folds_as_the_one_in_memory(events: list[Event]) -> None:
    log = MemoryLog()
    log.append(stream_of(JOB_ID), new_events(events, IDS[: len(events)], job_id=JOB_ID, causation_id=None))
    stored, direct = INITIAL, INITIAL
    for recorded, event in zip(log.read(stream_of(JOB_ID)), events, strict=True):
        try:
            entry: Entry = entry_of(stored, recorded)
        except UnreadableLog:
            assert isinstance(event, JobSubmitted | AttemptStarted | HandoffApproved)
            continue  # an invented name would lead out of the job's folders
        stored, direct = entry.job, evolve(direct, event)
        assert stored == direct


@given(events=any_log(), cut=st.integers(0, 25))
def test_folding_in_two_pieces_is_folding_at_once(events: list[Event], cut: int) -> None:
    def onward(job: Job, more: list[Event]) -> Job:
        for event in more:
            job = evolve(job, event)
        return job

    assert onward(onward(INITIAL, events[:cut]), events[cut:]) == onward(INITIAL, events)


class Interrupted(MemoryStore):
    """A store in which somebody notes a post of the job just before its first append."""

    async def append(self, stream: str, events: Sequence[NewEvent], **given: Any) -> Appended:
        if await self.version(stream) == 0:
            post = new_events([posted()], [IDS[-1]], job_id=JOB_ID, causation_id=None)
            await super().append(stream, post)
        return await super().append(stream, events, **given)


async def test_a_post_that_is_noted_meanwhile_does_not_make_a_new_job_a_known_one() -> None:
    async with Interrupted() as store:
        await record_submission(store, RandomIds(), submitted())
        job = await load(store, JOB_ID)
        assert job.submitted is not None
        assert list(job.posted) == ["youtube"]
        with pytest.raises(RefusedError, match="in the log already"):
            await record_submission(store, RandomIds(), submitted())
