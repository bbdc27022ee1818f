"""Render: runs the stage it was told to, with the parameters it was told, and does nothing else."""

import msgspec

from caf.actors import render
from caf.actors.effects import PublishOutput, RunStage
from caf.events import Event, Stage, StageStarted
from tests.support.jobs import (
    CAUSE,
    RUN_1,
    answered,
    attempt,
    completed,
    decided,
    effects_in,
    escalated,
    events_in,
    failed,
    fold,
    job_cancelled,
    job_completed,
    judged,
    posted,
    started,
    submitted,
    up_to,
)

SPEC = submitted()


def reaction(*events: Event) -> list[object]:
    return list(render.react(fold(*events), events[-1], CAUSE))


def test_an_attempt_begins_with_its_own_stage_and_that_stage_s_parameters() -> None:
    parameters = {"motion": {"pose_weight": 0.95}, "frame": {"identity_weight": 0.9}}
    events = [*up_to("motion"), attempt(2, from_stage="motion", parameters=parameters)]
    [event] = render.react(fold(*events), events[-1], CAUSE)
    assert isinstance(event, StageStarted)
    assert (event.stage, event.attempt_id, event.engine) == ("motion", "run-0002", "local")
    assert event.parameters == {"pose_weight": 0.95}


def test_the_engines_of_intake_and_poses_are_not_the_workflow_s() -> None:
    [first] = reaction(SPEC, attempt())
    [second] = reaction(SPEC, attempt(), started("artifact"), completed("artifact"))
    assert isinstance(first, StageStarted)
    assert isinstance(second, StageStarted)
    assert (first.engine, second.engine) == ("caf", "mediapipe")


def test_a_started_stage_is_run_exactly_as_it_was_recorded() -> None:
    told = msgspec.structs.replace(started("frame"), parameters={"sharpen": 0.2}, engine="local")
    [effect] = reaction(SPEC, attempt(parameters={"frame": {"sharpen": 0.9}}), told)
    assert effect == RunStage(stage="frame", attempt_id=RUN_1, engine="local", parameters={"sharpen": 0.2})


def test_stages_without_a_gate_are_followed_at_once_by_the_next() -> None:
    pairs: tuple[tuple[Stage, Stage], ...] = (("artifact", "pose"), ("pose", "frame"))
    for stage, following in pairs:
        [event] = reaction(SPEC, attempt(), completed(stage))
        assert isinstance(event, StageStarted)
        assert event.stage == following


def test_a_gated_stage_is_followed_by_nothing_until_the_supervisor_has_spoken() -> None:
    assert reaction(*up_to("frame")) == []
    assert reaction(*up_to("frame"), judged(SPEC, "frame")) == []


def test_proceed_starts_the_next_stage() -> None:
    [event] = reaction(*up_to("frame"), judged(SPEC, "frame"), decided("frame"))
    assert isinstance(event, StageStarted)
    assert event.stage == "motion"


def test_proceed_after_the_last_stage_starts_nothing() -> None:
    assert reaction(*up_to("video"), judged(SPEC, "video"), decided("video")) == []


def test_a_decision_other_than_proceed_is_not_render_s_to_carry_out() -> None:
    for action in ("RETRY_STAGE", "SWITCH_POLICY", "ESCALATE_USER", "ABORT"):
        assert reaction(*up_to("frame"), decided("frame", action=action)) == []


def test_a_failed_stage_is_neither_retried_nor_worked_around() -> None:
    assert reaction(SPEC, attempt(), started("artifact"), failed("artifact")) == []


def test_a_failed_gate_is_nothing_to_render() -> None:
    assert reaction(*up_to("motion"), judged(SPEC, "motion", temporal_stability=0.0)) == []


def test_nothing_is_run_for_a_job_that_waits_or_is_over_or_for_an_earlier_attempt() -> None:
    assert reaction(*up_to("frame"), escalated("frame"), decided("frame")) == []
    assert reaction(*up_to("frame"), job_cancelled(), started("motion")) == []
    assert reaction(*up_to("frame"), attempt(2), started("motion")) == []
    assert reaction(*up_to("frame"), attempt(2), completed("pose")) == []


def test_an_answered_job_goes_on_when_the_supervisor_says_so() -> None:
    assert reaction(*up_to("frame"), escalated("frame"), answered("proceed", "frame")) == []
    [event] = reaction(*up_to("frame"), escalated("frame"), answered("proceed", "frame"), decided("frame"))
    assert isinstance(event, StageStarted)


def test_a_completed_job_is_published_with_its_documents_and_never_rendered_again() -> None:
    events = [*up_to("video"), judged(SPEC, "video"), decided("video"), job_completed()]
    [effect] = reaction(*events)
    assert isinstance(effect, PublishOutput)
    assert effect.final_sha256 == "video-1"
    assert effect.path == f"sandbox/output/{SPEC.job_id}/final.mp4"
    assert [document.path.rpartition("/")[2] for document in effect.documents] == [
        "production_metrics.v1.json",
        "result.json",
    ]
    assert reaction(*events, posted()) == []
    assert effects_in(render.react(fold(*events, started("frame")), started("frame"), CAUSE)) == []


def test_render_reacts_with_nothing_but_started_stages_runs_and_the_output() -> None:
    events = [*up_to("video"), judged(SPEC, "video"), decided("video"), job_completed()]
    for count in range(1, len(events) + 1):
        job, event = fold(*events[:count]), events[count - 1]
        answer = render.react(job, event, CAUSE)
        assert all(isinstance(item, StageStarted) for item in events_in(answer))
        assert all(isinstance(item, RunStage | PublishOutput) for item in effects_in(answer))
