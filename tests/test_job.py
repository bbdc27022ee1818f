"""The fold: what a job is after each of its events."""

import tracemalloc
from itertools import accumulate

import msgspec
import pytest

from caf.events import Event, PromptSubmitted
from caf.job import INITIAL, Job, evolve, in_json, is_over
from tests.support.jobs import (
    RUN_1,
    answered,
    attempt,
    completed,
    coverage,
    decided,
    escalated,
    failed,
    fold,
    job_aborted,
    job_cancelled,
    job_completed,
    judged,
    posted,
    started,
    submitted,
    up_to,
)

SPEC = submitted()


def test_an_empty_stream_is_a_job_that_nobody_knows() -> None:
    assert INITIAL.status == "unknown"
    assert INITIAL.version == 0
    assert not is_over(INITIAL)


def test_every_event_raises_the_version_by_one() -> None:
    events: list[Event] = [
        *up_to("video"),
        judged(SPEC, "video"),
        decided("video"),
        job_completed(),
        posted(),
    ]
    assert [fold(*events[:count]).version for count in range(len(events) + 1)] == list(range(len(events) + 1))


def test_a_submitted_job_runs_once_its_first_attempt_began() -> None:
    assert fold(SPEC).status == "submitted"
    assert fold(SPEC, attempt()).status == "running"


def test_a_started_stage_is_running_until_it_is_completed() -> None:
    before: list[Event] = [SPEC, attempt(), started("artifact")]
    assert fold(*before).attempt.running == "artifact"
    assert fold(*before, completed("artifact")).attempt.running is None


def test_a_failed_stage_leaves_its_cause_in_the_attempt() -> None:
    job = fold(SPEC, attempt(), started("artifact"), failed("artifact", kind="not_a_video"))
    assert job.attempt.failed_stage == "artifact"
    assert job.attempt.failure is not None
    assert job.attempt.failure.kind == "not_a_video"
    assert job.status == "running"


def test_the_probe_s_findings_are_kept_and_give_the_target_that_the_job_did_not_name() -> None:
    job = fold(SPEC, attempt())
    assert job.target is None
    job = fold(SPEC, attempt(), completed("artifact"))
    assert job.target is not None
    assert (job.target.width, job.target.height, job.target.fps) == (640, 360, 30.0)


def test_an_artifact_is_found_by_its_role_the_newest_stage_first() -> None:
    job = fold(*up_to("motion"))
    frames, motion = job.artifact("frames"), job.artifact("motion")
    assert frames is not None
    assert motion is not None
    assert (frames.sha256, motion.sha256) == ("frame-1", "motion-1")
    assert job.artifact("final") is None
    assert INITIAL.artifact("source") is None


def test_a_retry_keeps_what_lies_before_its_stage_and_nothing_else() -> None:
    job = fold(
        *up_to("motion"), judged(SPEC, "motion", temporal_stability=0.1), attempt(2, from_stage="motion")
    )
    assert sorted(job.attempt.stages) == ["artifact", "frame", "pose"]
    assert [gate.stage for gate in job.attempt.gates] == ["frame"]
    assert job.attempt.pose is not None
    assert job.attempt.decisions == ()
    assert [known.number for known in job.attempts] == [1, 2]
    assert sorted(job.attempts[0].stages) == ["artifact", "frame", "motion", "pose"]


def test_a_retry_from_the_beginning_keeps_nothing() -> None:
    job = fold(*up_to("motion"), attempt(2, from_stage="artifact", source="/clips/other.mp4"))
    assert job.attempt.stages == {}
    assert job.attempt.gates == ()
    assert job.attempt.pose is None
    assert job.source == "/clips/other.mp4"


def test_a_corrected_reference_stands_until_another_one_comes() -> None:
    job = fold(SPEC, attempt(), attempt(2, reference="/cats/mochi.png"), attempt(3))
    assert job.reference == "/cats/mochi.png"
    assert job.source == SPEC.source


def test_what_comes_late_from_an_earlier_attempt_changes_nothing_but_the_version() -> None:
    now = fold(*up_to("frame"), attempt(2))
    for late in (
        started("motion"),
        completed("motion"),
        failed("motion"),
        coverage(),
        judged(SPEC, "frame"),
        decided("frame"),
    ):
        after = evolve(now, late)
        assert after.attempts == now.attempts, type(late).__name__
        assert after.version == now.version + 1


def test_a_gate_that_is_judged_again_replaces_its_earlier_verdict() -> None:
    job = fold(*up_to("frame"), judged(SPEC, "frame", identity_drift=0.1), judged(SPEC, "frame"))
    assert [(gate.stage, gate.passed) for gate in job.attempt.gates] == [("frame", True)]


def test_an_escalation_waits_until_it_is_answered() -> None:
    waiting = fold(
        *up_to("frame"), judged(SPEC, "frame", identity_drift=0.1), decided("frame"), escalated("frame")
    )
    assert waiting.status == "waiting"
    assert waiting.escalation is not None
    answered_job = evolve(waiting, answered("proceed", "frame"))
    assert answered_job.status == "running"
    assert answered_job.escalation is None


@pytest.mark.parametrize(("action", "extra"), [("retry", 1), ("proceed", 0), ("abort", 0)])
def test_only_a_retry_that_a_person_asked_for_adds_to_the_budget(action: str, extra: int) -> None:
    asked = [*up_to("frame"), escalated("frame"), answered(action, "frame")]
    assert fold(*asked, attempt(2, from_stage="frame")).retries_asked == extra


def test_a_retry_that_another_question_overtook_adds_nothing_to_the_budget() -> None:
    asked = [*up_to("frame"), escalated("frame"), answered("retry", "frame"), escalated("frame")]
    assert fold(*asked, answered("retry", "frame"), attempt(2, from_stage="frame")).retries_asked == 1


@pytest.mark.parametrize(
    ("end", "status"),
    [(job_completed(), "completed"), (job_cancelled(), "cancelled"), (job_aborted(), "aborted")],
)
def test_each_end_is_an_end_and_asks_nothing_any_more(end: Event, status: str) -> None:
    job = fold(*up_to("video"), escalated("video"), end)
    assert job.status == status
    assert job.escalation is None
    assert is_over(job)


def test_a_job_that_waits_is_not_over() -> None:
    assert not is_over(fold(*up_to("frame"), escalated("frame")))


def test_a_post_is_known_from_its_first_record_on() -> None:
    job = fold(
        *up_to("video"), job_completed(), posted(post_url="https://a.example/1"), posted(post_url="b:2")
    )
    assert job.posted["youtube"].post_url == "https://a.example/1"
    assert job.status == "completed"


def test_the_current_attempt_is_the_newest() -> None:
    assert fold(*up_to("frame")).attempt.id == RUN_1
    with pytest.raises(AssertionError, match="no attempt has begun"):
        _ = fold(SPEC).attempt
    with pytest.raises(AssertionError, match="no JobSubmitted"):
        _ = INITIAL.spec


def prompt(number: int) -> PromptSubmitted:
    return PromptSubmitted(
        stage="motion",
        attempt_id=RUN_1,
        engine="comfyui",
        handle=f"http://a#{number}",
        key=f"frame-{number:06}",
    )


def test_the_prompts_of_an_attempt_are_told_in_the_order_in_which_they_were_sent() -> None:
    job = fold(*up_to("frame"), started("motion"))
    told = []
    for number in range(70):
        job = evolve(job, prompt(number))
        told.append([one.handle for one in job.attempt.prompts])
    assert told == [[f"http://a#{number}" for number in range(sent + 1)] for sent in range(70)]


def test_whoever_keeps_the_job_after_each_of_its_prompts_keeps_little_for_each_however_many_there_are() -> (
    None
):
    job = fold(*up_to("frame"), started("motion"))

    def kept_bytes(prompts: int) -> int:
        events = [prompt(number) for number in range(prompts)]
        tracemalloc.start()
        states = list(accumulate(events, evolve, initial=job))
        taken, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return taken // len(states)

    assert kept_bytes(2_000) < 2.5 * kept_bytes(250)


def test_the_prompts_of_a_job_s_state_are_told_as_a_list_in_json_however_many_there_are() -> None:
    begun = fold(*up_to("frame"), started("motion"))
    for count in (0, 1, 7):
        events = [prompt(number) for number in range(count)]
        state = fold_on(begun, events)
        told = msgspec.json.decode(msgspec.json.encode(state, enc_hook=in_json))
        assert told["attempts"][0]["prompts"] == msgspec.to_builtins(events)
        assert state == fold_on(begun, events)
        assert count == 0 or state != fold_on(begun, events[1:])
        assert state.attempt.prompts[-1:] == tuple(events[-1:])
    with pytest.raises(NotImplementedError):
        in_json(object())


def fold_on(job: Job, events: list[PromptSubmitted]) -> Job:
    for event in events:
        job = evolve(job, event)
    return job
