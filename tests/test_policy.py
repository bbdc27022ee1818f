"""The Supervisor's rules: every line of the policy's routing, and the bounds of the budget."""

from typing import Any

import msgspec
import pytest

from caf import policy
from caf.contracts import Action, Decision, FailureClass, Severity
from caf.contracts.read import read_document, write_document
from caf.events import Event, JobSubmitted, Stage, StageFailed
from caf.job import Job
from caf.policies import DEFAULT_POLICY
from caf.policy import Verdict, attempts_left
from tests.support.jobs import (
    answered,
    attempt,
    completed,
    escalated,
    failed,
    fold,
    gate,
    judged,
    policy_of,
    preset,
    registry_of,
    submitted,
    up_to,
    workflow,
)

SHAKY = FailureClass(class_id="shaky", metrics=("temporal_stability",), action="RETRY_STAGE")
SEAM = FailureClass(class_id="seam", metrics=("loop_seam",), action="RETRY_STAGE")


def verdict(spec: JobSubmitted, stage: Stage, *before: Event, **scores: float | None) -> Verdict:
    """What is decided after a gate with these scores, in the first attempt or after `before`."""
    events = list(before) or up_to(stage, spec)
    job = fold(*events)
    event = judged(spec, stage, job.attempt.number, **scores)
    return policy.after_gate(fold(*events, event), stage, event.report)


def again(spec: JobSubmitted, stage: Stage, told: Verdict, *before: Event) -> list[Event]:
    """The events up to the same stage in the attempt that a verdict asks for."""
    number = len(fold(*before).attempts) + 1
    assert told.from_stage is not None
    return [
        *before,
        attempt(number, from_stage=told.from_stage, workflow_id=told.workflow_id, parameters=told.parameters),
        *([completed("artifact", number)] if told.from_stage == "artifact" else []),
        completed(stage, number),
    ]


def with_default_parameters(spec: JobSubmitted, stage: Stage) -> list[Event]:
    return up_to(stage, spec, parameters=policy_parameters(spec))


def policy_parameters(spec: JobSubmitted) -> dict[str, Any]:
    defaults = spec.registry.workflows[0].default_parameters
    return {node: dict(inputs) for node, inputs in defaults.items() if isinstance(inputs, dict)}


def action_of(told: Verdict) -> Action:
    return told.decision.action


# What the default policy says.


def test_passed_gates_let_the_job_go_on() -> None:
    for stage in ("frame", "motion", "video"):
        told = verdict(submitted(), stage)
        assert (action_of(told), told.alternatives) == ("PROCEED", ("PROCEED",))
        assert stage in told.decision.reasoning


@pytest.mark.parametrize(
    ("metric", "stage", "preset_id", "parameter", "value"),
    [
        ("identity_consistency", "frame", "identity_safe_v1", "identity_weight", 0.9),
        ("mask_edge_bleed", "frame", "identity_safe_v1", "identity_weight", 0.9),
        ("identity_drift", "frame", "identity_safe_v1", "identity_weight", 0.9),
        ("temporal_stability", "motion", "motion_safe_v1", "pose_weight", 0.95),
        ("loop_seam", "motion", "seam_safe_v1", "temporal_smoothing", 0.85),
    ],
)
def test_a_failed_class_is_retried_from_the_stage_it_blames_with_its_preset(
    metric: str, stage: Stage, preset_id: str, parameter: str, value: float
) -> None:
    spec = submitted()
    told = verdict(spec, stage, *with_default_parameters(spec, stage), **{metric: 0.3})
    assert action_of(told) == "RETRY_STAGE"
    assert (told.from_stage, told.decision.target_stage) == (stage, stage)
    assert told.decision.workflow_profile == preset_id
    assert told.decision.parameter_adjustments == {parameter: value}
    assert told.parameters is not None
    assert told.parameters[stage][parameter] == value
    assert metric in told.decision.reasoning
    assert preset_id in told.decision.reasoning


def test_a_class_without_a_preset_borrows_one_that_acts_on_the_same_stage() -> None:
    spec = submitted()
    told = verdict(spec, "motion", *with_default_parameters(spec, "motion"), background_stability=0.5)
    assert action_of(told) == "RETRY_STAGE"
    assert told.decision.workflow_profile in ("motion_safe_v1", "seam_safe_v1")
    assert told.from_stage == "motion"


def test_a_class_that_no_preset_can_mend_goes_to_a_person_on_a_deterministic_engine() -> None:
    told = verdict(submitted(), "video", audio_video=0.2)
    assert action_of(told) == "ESCALATE_USER"
    assert told.reason_code == "RETRY_BUDGET_EXCEEDED"
    assert told.threshold_failed == "audio_video: 0.200, threshold 0.95"


def test_the_presets_of_all_failed_classes_are_merged_into_one_retry() -> None:
    spec = submitted()
    told = verdict(
        spec, "motion", *with_default_parameters(spec, "motion"), temporal_stability=0.4, loop_seam=0.4
    )
    assert told.decision.parameter_adjustments == {"pose_weight": 0.95, "temporal_smoothing": 0.85}
    assert told.parameters is not None
    assert told.parameters["motion"] == {"pose_weight": 0.95, "temporal_smoothing": 0.85}
    assert "motion_safe_v1" in told.decision.reasoning
    assert "seam_safe_v1" in told.decision.reasoning


def test_a_class_without_a_preset_borrows_one_beside_another_class_s_own() -> None:
    told = verdict(submitted(), "motion", background_stability=0.3, loop_seam=0.2)
    assert told.decision.action == "RETRY_STAGE"
    assert told.decision.parameter_adjustments == {"pose_weight": 0.95, "temporal_smoothing": 0.85}


def test_a_class_without_a_preset_is_content_with_what_its_stage_gets_anyway() -> None:
    told = verdict(submitted(), "motion", background_stability=0.3, temporal_stability=0.2)
    assert told.decision.parameter_adjustments == {"pose_weight": 0.95}


def test_a_missed_required_costume_goes_to_a_person_as_an_identity_conflict() -> None:
    told = verdict(submitted(costume_required=True), "frame", costume_fidelity=0.4)
    assert action_of(told) == "ESCALATE_USER"
    assert told.reason_code == "IDENTITY_CONFLICT"
    assert told.artifact == "reference picture"
    assert "costume" in told.example_fix
    assert told.parameters is None


def test_a_required_costume_that_could_not_be_measured_goes_to_a_person_too() -> None:
    told = verdict(submitted(costume_required=True), "frame", costume_fidelity=None)
    assert (action_of(told), told.reason_code) == ("ESCALATE_USER", "IDENTITY_CONFLICT")


def test_the_costume_outranks_a_repairable_failure_beside_it() -> None:
    told = verdict(submitted(costume_required=True), "frame", costume_fidelity=0.0, identity_drift=0.1)
    assert action_of(told) == "ESCALATE_USER"
    assert told.threshold_failed is not None
    assert told.threshold_failed.startswith("costume_fidelity")


def test_what_was_not_measured_goes_to_a_person_as_low_confidence() -> None:
    told = verdict(submitted(), "motion", loop_seam=None)
    assert (action_of(told), told.reason_code) == ("ESCALATE_USER", "LOW_CONFIDENCE_DETECTION")
    assert told.threshold_failed == "loop_seam: not measured, threshold 0.7"


def test_why_something_was_not_measured_is_said_where_a_person_is_asked() -> None:
    spec = submitted()
    event = judged(spec, "motion", loop_seam=None)
    why = "no score was measured: 1 frame is too few."
    gates = [msgspec.structs.replace(judged_gate, reason=why) for judged_gate in event.report.gates]
    report = msgspec.structs.replace(event.report, gates=gates)
    told = policy.after_gate(fold(*up_to("motion", spec), event), "motion", report)
    assert told.decision.reasoning.startswith("loop_seam could not be measured (1 frame is too few).")


@pytest.mark.parametrize(
    ("stage", "metric", "artifact", "option"),
    [
        ("motion", "temporal_stability", "source clip", "--source <corrected clip>"),
        ("frame", "identity_drift", "source clip", "--source <corrected clip>"),
        ("frame", "mask_edge_bleed", "source clip", "--source <corrected clip>"),
        (
            "frame",
            "identity_consistency",
            "reference picture",
            "--reference <picture of the cat in the clip>",
        ),
        ("video", "audio_video", "source audio", "--source <clip with sound>"),
    ],
)
def test_a_person_is_told_to_correct_what_can_change_the_outcome(
    stage: Stage, metric: str, artifact: str, option: str
) -> None:
    told = verdict(submitted(), stage, **{metric: None})
    assert told.artifact == artifact
    assert told.example_fix == f"caf answer <job_id> retry --from artifact {option}"


def test_a_quality_target_s_threshold_is_the_one_that_counts() -> None:
    assert action_of(verdict(submitted(targets={"loop_seam": 0.4}), "motion", loop_seam=0.5)) == "PROCEED"
    assert action_of(verdict(submitted(targets={"loop_seam": 1.0}), "motion", loop_seam=0.9)) == "RETRY_STAGE"


# Other policies' words.


@pytest.mark.parametrize(
    ("missing", "action"),
    [
        ("PROCEED", "PROCEED"),
        ("ESCALATE_USER", "ESCALATE_USER"),
        ("ABORT", "ABORT"),
        ("RETRY_STAGE", "ESCALATE_USER"),
    ],
)
def test_an_unmeasured_gate_is_routed_as_the_policy_says(missing: Action, action: Action) -> None:
    """A retry without any preset cannot help on a deterministic engine, so it ends with a person."""
    spec = submitted(policy=policy_of(gate("loop_seam"), missing=missing))
    assert action_of(verdict(spec, "motion", loop_seam=None)) == action


def test_a_policy_may_let_a_failed_gate_pass_and_the_decision_says_so() -> None:
    spec = submitted(policy=policy_of(gate("loop_seam", failure_action="PROCEED")))
    told = verdict(spec, "motion", loop_seam=0.1)
    assert action_of(told) == "PROCEED"
    assert told.alternatives == ("PROCEED", "ESCALATE_USER")
    assert "loop_seam is 0.100, below 0.5" in told.decision.reasoning


def test_a_policy_may_give_a_job_up() -> None:
    spec = submitted(policy=policy_of(gate("loop_seam", failure_action="ABORT")))
    told = verdict(spec, "motion", loop_seam=0.1)
    assert action_of(told) == "ABORT"
    assert told.failure is not None
    assert told.failure.kind == "quality_gate_failed"
    assert "loop_seam" in told.failure.message


def test_the_strongest_action_wins_in_the_policy_s_own_order() -> None:
    gates = (gate("loop_seam", failure_action="ABORT"), gate("temporal_stability", failure_action="PROCEED"))
    usual = submitted(policy=policy_of(*gates))
    turned = submitted(policy=policy_of(*gates, priority=("PROCEED", "ABORT")))
    scores: dict[str, float | None] = {"loop_seam": 0.1, "temporal_stability": 0.1}
    assert action_of(verdict(usual, "motion", **scores)) == "ABORT"
    assert action_of(verdict(turned, "motion", **scores)) == "PROCEED"


def test_an_action_that_the_priority_does_not_list_falls_back() -> None:
    spec = submitted(
        policy=policy_of(
            gate("loop_seam", failure_action="RETRY_STAGE"), priority=("PROCEED",), fallback="ABORT"
        )
    )
    assert action_of(verdict(spec, "motion", loop_seam=0.1)) == "ABORT"


def test_a_class_s_action_stands_above_its_gate_s_own() -> None:
    fatal = FailureClass(class_id="seam", metrics=("loop_seam",), action="ABORT")
    spec = submitted(policy=policy_of(gate("loop_seam", failure_action="PROCEED"), classes=[fatal]))
    assert action_of(verdict(spec, "motion", loop_seam=0.1)) == "ABORT"


@pytest.mark.parametrize(
    ("severity", "action"),
    [
        ("LOW", "RETRY_STAGE"),
        ("MEDIUM", "RETRY_STAGE"),
        ("HIGH", "ESCALATE_USER"),
        ("CRITICAL", "ESCALATE_USER"),
    ],
)
def test_a_grave_gate_that_is_not_repairable_is_never_retried(severity: Severity, action: Action) -> None:
    spec = submitted(
        policy=policy_of(
            gate("loop_seam", repairable=False, severity=severity, dimension="technical"),
            gate("temporal_stability", severity="CRITICAL"),
            classes=[SEAM, SHAKY],
            presets=[preset("seam", "softer", temporal_smoothing=0.9)],
        )
    )
    told = verdict(spec, "motion", loop_seam=0.1, temporal_stability=0.1)
    assert action_of(told) == action
    if action == "ESCALATE_USER":
        assert told.reason_code == "CONTRACT_VIOLATION"
        assert "loop_seam cannot be repaired" in told.decision.reasoning
        assert told.threshold_failed is not None
        assert told.threshold_failed.startswith("loop_seam")


def test_a_gate_that_blames_no_stage_is_retried_from_where_it_was_judged() -> None:
    spec = submitted(
        policy=policy_of(
            gate("loop_seam", target_stage=None),
            classes=[SEAM],
            presets=[preset("seam", "softer", temporal_smoothing=0.9)],
        )
    )
    assert verdict(spec, "frame", loop_seam=0.1).from_stage == "frame"


def test_a_preset_for_a_later_stage_never_skips_the_stages_between() -> None:
    spec = submitted(
        policy=policy_of(
            gate("loop_seam", target_stage="frame"),
            classes=[SEAM],
            presets=[preset("seam", "cropped", resolution_policy="crop_center", fps_strategy="reduce")],
        )
    )
    told = verdict(spec, "frame", loop_seam=0.1)
    assert told.from_stage == "frame"
    assert told.parameters == {"video": {"resolution_policy": "crop_center", "fps_strategy": "reduce"}}


def test_a_preset_for_an_earlier_stage_starts_there() -> None:
    spec = submitted(
        policy=policy_of(
            gate("loop_seam"), classes=[SEAM], presets=[preset("seam", "cleaner", frame={"denoise": 0.4})]
        )
    )
    told = verdict(spec, "motion", loop_seam=0.1)
    assert told.from_stage == "frame"
    assert told.parameters == {"frame": {"denoise": 0.4}}


def test_the_editor_of_older_policies_is_the_video_stage() -> None:
    spec = submitted(
        policy=policy_of(
            gate("loop_seam", target_stage="editor"),
            classes=[SEAM],
            presets=[preset("seam", "softer", crf=18)],
        )
    )
    told = verdict(spec, "video", loop_seam=0.1)
    assert told.from_stage == "video"
    assert told.parameters == {"video": {"crf": 18}}


@pytest.mark.parametrize(
    "overrides",
    [
        {"deflicker": True},
        {"mode": "soft"},
        {"motion": {"pose_weight": 1, "stabilise": False}},
        {"motion": {"strength": 0.1}, "video": {"strength": 0.2}},
        {"motion": {"motion": 3}},
        {"7": {"cfg": 6.5, "sampler_name": "euler"}},
    ],
)
def test_every_kind_of_override_gives_a_decision_that_can_be_written_and_read(
    overrides: dict[str, Any],
) -> None:
    spec = submitted(
        policy=policy_of(gate("loop_seam"), classes=[SEAM], presets=[preset("seam", "other", **overrides)])
    )
    told = verdict(spec, "motion", loop_seam=0.1)
    assert action_of(told) == "RETRY_STAGE"
    assert read_document(write_document(told.decision), Decision, where="decision") == told.decision


# The budget, and never the same again.


def test_the_budget_is_the_policy_s_retries_and_one() -> None:
    spec = submitted(policy=policy_of(gate("loop_seam"), retries=2))
    assert attempts_left(fold(spec)) == 3
    assert attempts_left(fold(spec, attempt(), attempt(2), attempt(3))) == 0
    asked = (spec, attempt(), escalated("frame"), answered("retry", "frame"))
    assert attempts_left(fold(*asked, attempt(2, from_stage="frame"))) == 2


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_a_spent_budget_ends_with_a_person(retries: int) -> None:
    presets = [preset("seam", f"try-{number}", temporal_smoothing=number / 10) for number in range(9)]
    spec = submitted(policy=policy_of(gate("loop_seam"), classes=[SEAM], presets=presets, retries=retries))
    events = up_to("motion", spec)
    for _ in range(retries):
        told = verdict(spec, "motion", *events, loop_seam=0.1)
        assert action_of(told) == "RETRY_STAGE"
        events = again(spec, "motion", told, *events)
    told = verdict(spec, "motion", *events, loop_seam=0.1)
    assert (action_of(told), told.reason_code) == ("ESCALATE_USER", "RETRY_BUDGET_EXCEEDED")
    assert f"All {retries + 1} attempts" in told.decision.reasoning


def test_a_preset_that_did_not_help_is_not_tried_again_on_a_deterministic_engine() -> None:
    spec = submitted()
    events = with_default_parameters(spec, "frame")
    told = verdict(spec, "frame", *events, identity_drift=0.1)
    assert action_of(told) == "RETRY_STAGE"
    told = verdict(spec, "frame", *again(spec, "frame", told, *events), identity_drift=0.1)
    assert (action_of(told), told.reason_code) == ("ESCALATE_USER", "RETRY_BUDGET_EXCEEDED")
    assert "1 of 2 retries not used" in told.decision.reasoning


def test_two_presets_that_undo_each_other_do_not_go_round_in_a_circle() -> None:
    spec = submitted(
        policy=policy_of(
            gate("loop_seam"),
            gate("temporal_stability"),
            classes=[SEAM, SHAKY],
            presets=[preset("seam", "soft", strength=0.9), preset("shaky", "hard", strength=0.1)],
            retries=9,
        )
    )
    events, seen = up_to("motion", spec), []
    for scores in ({"loop_seam": 0.1}, {"temporal_stability": 0.1}, {"loop_seam": 0.1}):
        told = verdict(spec, "motion", *events, **scores)
        seen.append(action_of(told))
        if told.from_stage is not None:
            events = again(spec, "motion", told, *events)
    assert seen == ["RETRY_STAGE", "RETRY_STAGE", "ESCALATE_USER"]


def test_other_inputs_make_a_tried_repair_worth_trying_again() -> None:
    spec = submitted()
    events = with_default_parameters(spec, "frame")
    told = verdict(spec, "frame", *events, identity_drift=0.1)
    events = [
        *again(spec, "frame", told, *events),
        escalated("frame", 2),
        answered("retry", "frame", from_stage="artifact", source="/clips/other.mp4"),
        attempt(3, from_stage="artifact", parameters=policy_parameters(spec), source="/clips/other.mp4"),
        completed("artifact", 3, key="another"),
        completed("frame", 3),
    ]
    assert action_of(verdict(spec, "frame", *events, identity_drift=0.1)) == "RETRY_STAGE"


def test_an_engine_that_may_give_another_result_is_asked_again_until_the_budget_ends() -> None:
    spec = submitted(
        policy=policy_of(gate("loop_seam"), retries=2),
        registry=registry_of(workflow("dance", "comfyui")),
        workflow_id="dance",
    )
    events = up_to("motion", spec, workflow_id="dance")
    actions = []
    for _ in range(3):
        told = verdict(spec, "motion", *events, loop_seam=0.1)
        actions.append(action_of(told))
        if told.from_stage is not None:
            assert told.parameters == {}
            events = again(spec, "motion", told, *events)
    assert actions == ["RETRY_STAGE", "RETRY_STAGE", "ESCALATE_USER"]


# Another workflow.


def switching(*workflows: Any, retries: int = 2) -> JobSubmitted:
    return submitted(
        policy=policy_of(gate("loop_seam", failure_action="SWITCH_POLICY"), retries=retries),
        registry=registry_of(*workflows),
        workflow_id=workflows[0].workflow_id,
    )


def test_switching_takes_the_registry_s_next_workflow_of_the_same_engine_with_its_own_defaults() -> None:
    spec = switching(
        workflow("one"), workflow("cloud", "comfyui"), workflow("two", motion={"pose_weight": 0.5})
    )
    told = verdict(spec, "motion", *up_to("motion", spec, workflow_id="one"), loop_seam=0.1)
    assert (action_of(told), told.workflow_id) == ("SWITCH_POLICY", "two")
    assert told.parameters == {"motion": {"pose_weight": 0.5}}
    assert told.decision.workflow_profile == "two"
    assert told.alternatives == ("SWITCH_POLICY two", "ESCALATE_USER")


def test_switching_never_goes_back_and_ends_with_a_person() -> None:
    spec = switching(workflow("one"), workflow("two"), retries=9)
    events = up_to("motion", spec, workflow_id="one")
    told = verdict(spec, "motion", *events, loop_seam=0.1)
    told = verdict(spec, "motion", *again(spec, "motion", told, *events), loop_seam=0.1)
    assert action_of(told) == "ESCALATE_USER"
    assert "none left" in told.decision.reasoning


def test_switching_counts_against_the_budget() -> None:
    spec = switching(workflow("one"), workflow("two"), retries=0)
    told = verdict(spec, "motion", *up_to("motion", spec, workflow_id="one"), loop_seam=0.1)
    assert (action_of(told), told.reason_code) == ("ESCALATE_USER", "RETRY_BUDGET_EXCEEDED")


# A stage that gave nothing.


def after(event: StageFailed, *before: Event) -> tuple[Verdict, Job]:
    job = fold(*before, event)
    return policy.after_failure(job, event.stage, event.failure), job


def test_a_transient_failure_is_tried_again_unchanged() -> None:
    told, job = after(failed("motion"), *up_to("frame", parameters={"motion": {"pose_weight": 0.2}}))
    assert action_of(told) == "RETRY_STAGE"
    assert told.from_stage == "motion"
    assert told.parameters == job.attempt.parameters
    assert told.workflow_id == job.attempt.workflow_id


def test_a_failed_pose_stage_is_retried_at_pose_and_told_in_the_contract_s_words() -> None:
    told, _ = after(failed("pose"), submitted(), attempt(), completed("artifact"))
    assert (told.from_stage, told.decision.target_stage) == ("pose", "artifact")


def test_a_transient_failure_that_stays_ends_with_a_person_when_the_budget_is_spent() -> None:
    spec = submitted(policy=policy_of(gate("loop_seam"), retries=1))
    told, _ = after(failed("motion", 2), *up_to("frame", spec), attempt(2, from_stage="motion"))
    assert (action_of(told), told.reason_code) == ("ESCALATE_USER", "RETRY_BUDGET_EXCEEDED")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("media_missing", "ARTIFACT_MISSING"),
        ("artifact_missing", "ARTIFACT_MISSING"),
        ("not_a_video", "ARTIFACT_CORRUPTED"),
        ("artifact_corrupted", "ARTIFACT_CORRUPTED"),
        ("media_unreadable", "ARTIFACT_CORRUPTED"),
        ("unknown_parameter", "CONTRACT_VIOLATION"),
    ],
)
def test_a_lasting_failure_goes_to_a_person_at_once_with_its_reason(kind: str, reason: str) -> None:
    told, job = after(failed("artifact", kind=kind, transient=False), submitted(), attempt())
    assert (action_of(told), told.reason_code) == ("ESCALATE_USER", reason)
    assert told.artifact == job.source
    assert told.expected == "Mend it."


# In general.


def test_the_default_policy_s_own_words_are_a_legal_policy() -> None:
    assert read_document(write_document(DEFAULT_POLICY), type(DEFAULT_POLICY), where="x") == DEFAULT_POLICY


def test_what_was_chosen_is_among_the_alternatives_that_were_legal() -> None:
    spec = submitted()
    for scores in ({}, {"temporal_stability": 0.1}, {"loop_seam": None}, {"background_stability": 0.2}):
        told = verdict(spec, "motion", *with_default_parameters(spec, "motion"), **scores)
        assert any(option.startswith(action_of(told)) for option in told.alternatives), scores
