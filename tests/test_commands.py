"""What people ask for: each command gives events, or is refused with what to do instead."""

from typing import Any

import pytest
from msgspec.structs import replace

from caf.commands import answer, cancel, register_post
from caf.errors import RefusedError
from caf.events import EscalationAnswered, Event, Parameters, Stage
from tests.support.jobs import (
    answered,
    attempt,
    completed,
    decided,
    escalated,
    failed,
    fold,
    job_aborted,
    job_cancelled,
    job_completed,
    judged,
    posted,
    submitted,
    up_to,
)


def test_a_running_or_waiting_job_can_be_cancelled_and_once_is_enough() -> None:
    assert cancel(fold(*up_to("frame")), by="ada", reason="no") != []
    assert cancel(fold(*up_to("frame"), escalated("frame")), by="ada", reason="no") != []
    assert cancel(fold(*up_to("frame"), job_cancelled()), by="ada", reason="no") == []


@pytest.mark.parametrize("end", [job_completed(), job_aborted()])
def test_a_job_that_ended_cannot_be_cancelled(end: Event) -> None:
    with pytest.raises(RefusedError, match="cannot be cancelled") as refusal:
        cancel(fold(*up_to("video"), end), by="ada", reason="no")
    assert refusal.value.kind == "job_over"
    assert "caf show" in refusal.value.remedy


def test_only_a_question_can_be_answered() -> None:
    for events in ([*up_to("frame")], [*up_to("frame"), escalated("frame"), job_cancelled()]):
        with pytest.raises(RefusedError, match="asks nothing"):
            answer(fold(*events), action="proceed", by="ada")


def test_an_answer_that_was_meant_for_an_earlier_question_is_not_taken_for_this_one() -> None:
    first = [*up_to("frame"), escalated("frame")]
    asked = fold(*first).question
    assert asked == len(first)
    assert answer(fold(*first), action="retry", by="ada", question=asked)
    again = fold(
        *first, answered("proceed", "frame"), *up_to("motion")[len(up_to("frame")) :], escalated("motion")
    )
    with pytest.raises(
        RefusedError, match=f"asks question {again.question} by now; this answers question {asked}"
    ):
        answer(again, action="proceed", by="bob", question=asked)
    assert answer(again, action="proceed", by="bob", question=again.question)
    assert answer(again, action="proceed", by="bob")


def test_an_answer_says_where_the_job_stood() -> None:
    for action in ("proceed", "retry", "abort"):
        [event] = answer(fold(*up_to("motion"), escalated("motion")), action=action, by="ada", note="so")
        assert isinstance(event, EscalationAnswered)
        assert (event.action, event.stage, event.by, event.note) == (action, "motion", "ada", "so")


def test_a_retry_starts_at_nothing_that_the_attempt_has_not_reached() -> None:
    """An old event's question may come when a new attempt has only just begun, with another clip."""
    job = fold(*up_to("frame"), attempt(number=2, from_stage="artifact"), escalated("frame"))
    assert "frame" not in job.attempt.stages
    [event] = answer(job, action="retry", by="ada", from_stage="frame")
    assert isinstance(event, EscalationAnswered)
    assert event.from_stage == "artifact"


def test_a_retry_starts_at_nothing_that_nobody_has_judged() -> None:
    """A question about an earlier attempt may come while a later one waits for its gate."""
    events = [
        *up_to("video"),
        answered("retry", "video", from_stage="pose"),
        attempt(2, from_stage="pose"),
        completed("pose", 2),
        completed("frame", 2),
    ]
    asked = fold(*events, escalated("video"))
    [given] = answer(asked, action="retry", by="ada", from_stage="motion")
    assert isinstance(given, EscalationAnswered)
    assert given.from_stage == "frame"
    poor = judged(submitted(), "frame", 2, identity_consistency=0.1)
    for seen, first in (
        ([judged(submitted(), "frame", 2)], "motion"),
        ([replace(decided("frame", 2), reasoned_by="person")], "motion"),
        ([poor], "frame"),
        ([poor, decided("frame", 2)], "motion"),
    ):
        [given] = answer(
            fold(*events, *seen, escalated("video")), action="retry", by="ada", from_stage="motion"
        )
        assert isinstance(given, EscalationAnswered)
        assert given.from_stage == first


def test_an_answer_that_is_none_is_refused_with_the_three_there_are() -> None:
    with pytest.raises(RefusedError, match="'maybe' is no answer") as refusal:
        answer(fold(*up_to("frame"), escalated("frame")), action="maybe", by="ada")
    assert "proceed, retry or abort" in refusal.value.remedy


@pytest.mark.parametrize("action", ["proceed", "abort"])
@pytest.mark.parametrize(
    "correction",
    [
        {"from_stage": "frame"},
        {"parameters": {"motion": {"pose_weight": 1.0}}},
        {"source": "/better.mp4"},
        {"reference": "/better.png"},
    ],
)
def test_a_correction_goes_with_a_retry_and_is_never_dropped(action: str, correction: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="goes with 'retry'"):
        answer(fold(*up_to("motion"), escalated("motion")), action=action, by="ada", **correction)


def test_a_job_cannot_proceed_from_a_stage_that_gave_nothing() -> None:
    job = fold(
        submitted(), attempt(), completed("artifact"), failed("pose", transient=False), escalated("pose")
    )
    with pytest.raises(RefusedError, match="gave nothing to go on with"):
        answer(job, action="proceed", by="ada")
    assert answer(job, action="retry", by="ada") != []


def test_a_question_from_before_the_first_attempt_cannot_be_waved_through() -> None:
    with pytest.raises(RefusedError, match="cannot proceed"):
        answer(fold(submitted(), escalated("artifact")), action="proceed", by="ada")


@pytest.mark.parametrize(
    ("from_stage", "parameters", "source", "starts"),
    [
        (None, {}, None, "motion"),
        ("frame", {}, None, "frame"),
        ("motion", {}, None, "motion"),
        (None, {"motion": {"pose_weight": 0.5}}, None, "motion"),
        (None, {"frame": {"denoise": 0.5}}, None, "frame"),
        ("motion", {"frame": {"denoise": 0.5}}, None, "frame"),
        (None, {"video": {"crf": 20}}, None, "motion"),
        ("motion", {}, "/clips/other.mp4", "artifact"),
    ],
)
def test_a_retry_starts_early_enough_for_what_was_changed(
    from_stage: Stage | None, parameters: Parameters, source: str | None, starts: Stage
) -> None:
    [event] = answer(
        fold(*up_to("motion"), escalated("motion")),
        action="retry",
        by="ada",
        from_stage=from_stage,
        parameters=parameters,
        source=source,
    )
    assert isinstance(event, EscalationAnswered)
    assert (event.from_stage, event.parameters, event.source) == (starts, parameters, source)


def test_a_retry_cannot_jump_over_a_stage_and_its_gates() -> None:
    with pytest.raises(
        RefusedError, match="stands at the frame stage; it cannot go on from video"
    ) as refusal:
        answer(fold(*up_to("frame"), escalated("frame")), action="retry", by="ada", from_stage="video")
    assert "caf answer cat-dances-01 proceed" in refusal.value.remedy


def test_what_is_no_unicode_cannot_be_recorded_and_is_told_so() -> None:
    job = fold(*up_to("frame"), escalated("frame"))
    with pytest.raises(RefusedError, match=r"udcff.mp4' is not Unicode") as refusal:
        answer(job, action="retry", by="ada", source="/clips/\udcff.mp4")
    assert refusal.value.kind == "not_unicode"
    with pytest.raises(RefusedError, match="not Unicode"):
        cancel(job, by="ada", reason="\udc80")


def test_a_post_is_registered_once_for_each_platform() -> None:
    done = fold(*up_to("video"), decided("video"), job_completed())
    assert register_post(done, posted("x")) == [posted("x")]
    live = fold(*up_to("video"), job_completed(), posted("x"))
    assert register_post(live, posted("x", post_url="https://example.org/another")) == []
    assert register_post(live, posted("youtube")) == [posted("youtube")]


def test_a_person_can_only_register_a_completed_job() -> None:
    with pytest.raises(RefusedError, match="only a completed job") as refusal:
        register_post(fold(*up_to("frame")), posted())
    assert refusal.value.kind == "not_completed"


def test_what_a_publishing_tool_has_seen_is_a_fact_whatever_the_job_s_state() -> None:
    seen = posted(observed_from="sandbox/dist_artifacts/cat-dances-01/youtube.state.json")
    assert register_post(fold(*up_to("frame")), seen) == [seen]
    assert register_post(fold(), seen) == [seen]
