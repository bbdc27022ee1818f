"""Which stage of a job a server works in, with what, and what a repair, a person or a switch changes about it."""

from typing import Any

import pytest

from caf import commands, policy
from caf.actors import supervisor
from caf.actors.effects import RunStage
from caf.actors.render import react
from caf.contracts import FailureClass, node_defaults
from caf.errors import InputError
from caf.events import AttemptStarted, Event, JobSubmitted, StageStarted
from caf.job import Job
from caf.outside import outside_stage, outside_work, parameters_of, touched_stages
from caf.repairs import effective_parameters
from tests.comfy.workflows import cat_graph, frame_graph
from tests.support.jobs import (
    CAUSE,
    attempt,
    decided,
    escalated,
    failed,
    fold,
    gate,
    judged,
    policy_of,
    preset,
    registry_of,
    started,
    submitted,
    up_to,
    workflow,
)

PAINT = {"workflow_id": "paint", "caf_mode": "motion_frame_sequence", "nodes": cat_graph()}
SHARPEN = {"workflow_id": "sharpen", "caf_mode": "frame_sequence", "nodes": frame_graph()}


def spec(workflow_id: str = "paint", **changes: Any) -> JobSubmitted:
    return submitted(
        **{
            "workflow_id": workflow_id,
            "registry": registry_of(
                workflow("paint", "comfyui", **{"3": {"cfg": 5.0}}), workflow("sharpen", "comfyui")
            ),
            "workflows": {"paint": PAINT, "sharpen": SHARPEN},
            **changes,
        }
    )


def at(stage: Any, told: JobSubmitted, **parameters: Any) -> tuple[Job, list[Event]]:
    events = [told, attempt(workflow_id=told.workflow_id, parameters=parameters), started(stage)]
    return fold(*events), events


def test_the_mode_names_the_stage_that_a_server_works_in() -> None:
    assert outside_stage(at("motion", spec())[0]) == "motion"
    assert outside_stage(at("motion", spec("sharpen"))[0]) == "frame"
    assert outside_stage(at("motion", submitted())[0]) is None


def test_nodes_are_told_to_their_stage_alone_and_stages_keep_their_own() -> None:
    parameters = {"3": {"cfg": 7.5}, "motion": {"temporal_smoothing": 0.5}, "video": {"crf": 20}}
    job, _ = at("motion", spec(), **parameters)
    assert parameters_of(job, "frame") == {}
    assert parameters_of(job, "motion") == {"temporal_smoothing": 0.5, "3.cfg": 7.5}
    assert parameters_of(job, "video") == {"crf": 20}


def test_render_records_what_the_server_will_be_told() -> None:
    events = up_to("frame", spec(), workflow_id="paint", parameters={"3": {"cfg": 7.5}})
    events = [*events, judged(spec(), "frame"), decided("frame")]
    [event] = react(fold(*events), events[-1], CAUSE)
    assert isinstance(event, StageStarted)
    assert (event.stage, event.engine, event.parameters) == ("motion", "comfyui", {"3.cfg": 7.5})
    [effect] = react(fold(*events, event), event, CAUSE)
    assert isinstance(effect, RunStage)


def test_the_work_names_the_job_s_own_server_and_patience() -> None:
    document = {"comfyui": {"base_url": "http://gpu:8188", "poll": {"timeout_seconds": 90}}}
    job, _ = at("motion", spec(document=document))
    work = outside_work(job, "motion")
    assert work is not None
    assert (work.workflow, work.urls, work.patience_s) == (PAINT, ("http://gpu:8188",), 90)
    assert outside_work(job, "video") is None


def test_a_workflow_that_could_not_be_read_at_submission_is_told_by_name() -> None:
    job, _ = at("frame", spec(workflows={"sharpen": SHARPEN}))
    with pytest.raises(InputError, match="'paint' could not be read") as caught:
        outside_work(job, "frame")
    assert caught.value.kind == "workflow_missing"


def test_a_changed_node_has_its_stage_run_again_whoever_changed_it() -> None:
    job, _ = at("video", spec("sharpen"))
    assert touched_stages(job, ["2"]) == ["frame"]
    events = [*up_to("motion", spec("sharpen"), workflow_id="sharpen"), escalated("motion")]
    [answer] = commands.answer(fold(*events), action="retry", by="ada", parameters={"2": {"sigma": 1.0}})
    assert getattr(answer, "from_stage", None) == "frame"


def test_a_preset_that_sets_a_node_goes_back_to_the_stage_of_the_node() -> None:
    told = spec(
        "sharpen",
        policy=policy_of(
            gate("loop_seam"),
            classes=[FailureClass(class_id="seam", metrics=("loop_seam",), action="RETRY_STAGE")],
            presets=[preset("seam", "smoother", "sharpen", **{"2": {"sigma": 2.0}})],
        ),
    )
    events = up_to("motion", told, workflow_id="sharpen")
    report = judged(told, "motion", loop_seam=0.1)
    verdict = policy.after_gate(fold(*events, report), "motion", report.report)
    assert verdict.decision.action == "RETRY_STAGE"
    assert verdict.from_stage == "frame"
    assert verdict.parameters == {"2": {"sigma": 2.0}}


def test_another_workflow_begins_at_the_first_stage_that_either_works_in_and_with_its_own_nodes() -> None:
    told = spec(policy=policy_of(gate("loop_seam", failure_action="SWITCH_POLICY")))
    events = up_to("motion", told, workflow_id="paint", parameters={"3": {"cfg": 5.0}})
    report = judged(told, "motion", loop_seam=0.1)
    verdict = policy.after_gate(fold(*events, report), "motion", report.report)
    assert (verdict.decision.action, verdict.workflow_id) == ("SWITCH_POLICY", "sharpen")
    assert verdict.from_stage == "frame"
    assert verdict.parameters == {}


def test_a_workflow_without_parameters_runs_with_none_of_the_one_before() -> None:
    told = submitted(
        policy=policy_of(gate("loop_seam", failure_action="SWITCH_POLICY")),
        registry=registry_of(workflow("one", motion={"pose_weight": 0.9}), workflow("two")),
        workflow_id="one",
    )
    poor = judged(told, "motion", loop_seam=0.1)
    events = [*up_to("motion", told, workflow_id="one", parameters={"motion": {"pose_weight": 0.9}}), poor]
    _, begun = supervisor.react(fold(*events), poor, CAUSE)
    assert isinstance(begun, AttemptStarted)
    assert (begun.workflow_id, begun.from_stage, begun.parameters) == ("two", "motion", {})


def test_a_preset_of_another_workflow_begins_with_that_one_s_own_parameters() -> None:
    told = spec(
        "sharpen",
        policy=policy_of(
            gate("loop_seam"),
            classes=[FailureClass(class_id="seam", metrics=("loop_seam",), action="RETRY_STAGE")],
            presets=[preset("seam", "painted", "paint", **{"3": {"steps": 20}})],
        ),
    )
    events = up_to("motion", told, workflow_id="sharpen", parameters={"2": {"sigma": 1.0}})
    report = judged(told, "motion", loop_seam=0.1)
    verdict = policy.after_gate(fold(*events, report), "motion", report.report)
    assert (verdict.decision.action, verdict.workflow_id) == ("RETRY_STAGE", "paint")
    assert verdict.parameters == {"3": {"cfg": 5.0, "steps": 20}}
    assert verdict.from_stage == "frame"


def test_an_unchanged_render_of_a_recorded_workflow_is_not_asked_for_again() -> None:
    told = spec(policy=policy_of(gate("loop_seam")))
    events = up_to("motion", told, workflow_id="paint", parameters={"3": {"cfg": 5.0}})
    report = judged(told, "motion", loop_seam=0.1)
    verdict = policy.after_gate(fold(*events, report), "motion", report.report)
    assert verdict.decision.action == "ESCALATE_USER"
    assert "the same result again" in verdict.decision.reasoning


def test_a_transient_failure_of_a_server_is_tried_again_with_our_leavings_cleared() -> None:
    events = [*up_to("frame", spec(), workflow_id="paint"), started("motion")]
    failure = failed("motion", kind="comfy_stalled", transient=True)
    verdict = policy.after_failure(fold(*events, failure), "motion", failure.failure)
    assert verdict.decision.action == "RETRY_STAGE"
    assert verdict.decision.policy_overrides is not None
    assert verdict.decision.policy_overrides.queue_management == "CLEAR_STALE_ITEMS"
    assert verdict.parameters == {"caf": {"queue_management": "CLEAR_STALE_ITEMS"}}


def test_a_switch_keeps_prompts_and_seed_and_leaves_the_other_s_nodes_behind() -> None:
    document = {"comfyui": {"bindings": {"positive_prompt": "a cat", "seed": 7}}}
    told = spec(
        "sharpen", document=document, parameters={"2": {"sigma": 2.0}, "motion": {"temporal_smoothing": 0.5}}
    )
    job, _ = at("frame", told)
    paint = told.registry.workflows[0]
    assert node_defaults(paint) == {"3": {"cfg": 5.0}}
    assert effective_parameters(job, paint) == {
        "3": {"cfg": 5.0, "seed": 7},
        "6": {"text": "a cat"},
        "motion": {"temporal_smoothing": 0.5},
    }
