"""Gate evaluation to the letter of the contract: by hand-worked tables, and against a tiny oracle."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caf.contracts import (
    ACTIONS,
    Action,
    FailureClass,
    FailureClassification,
    Gate,
    GateResult,
    QCPolicy,
    QCReport,
    Routing,
)
from caf.contracts.read import read_document, write_document
from caf.policies import DEFAULT_POLICY
from caf.qc import evaluate, parse_metrics, parse_reasons, parse_targets
from caf.qc.gates import REASON_MAX, overall

GOOD = {
    "identity_consistency": 0.9,
    "mask_edge_bleed": 0.9,
    "temporal_stability": 0.9,
    "loop_seam": 0.9,
    "audio_video": 0.99,
    "background_stability": 0.9,
    "identity_drift": 0.9,
}


def _gate(metric: str, threshold: float = 0.7, action: Action = "RETRY_STAGE", gate_id: str = "") -> Gate:
    return Gate(
        gate_id=gate_id or metric,
        metric=metric,
        dimension="motion",
        threshold=threshold,
        failure_action=action,
        target_stage="motion",
    )


def _policy(
    *gates: Gate,
    classes: tuple[FailureClass, ...] = (),
    priority: tuple[Action, ...] = ("ABORT", "ESCALATE_USER", "RETRY_STAGE", "SWITCH_POLICY", "PROCEED"),
    fallback: Action = "ESCALATE_USER",
    missing: Action = "ESCALATE_USER",
) -> QCPolicy:
    return QCPolicy(
        policy_id="p",
        max_retries_default=2,
        default_action_on_missing_report=missing,
        gates=gates,
        routing=Routing(failure_action_priority=priority, fallback_action=fallback),
        failure_classification=FailureClassification(classes=classes),
    )


def _class(class_id: str, action: Action, *metrics: str) -> FailureClass:
    return FailureClass(class_id=class_id, metrics=metrics, action=action)


def _report(policy: QCPolicy, scores: Any, **rest: Any) -> QCReport:
    return evaluate(
        policy, scores, job_id="abcdef", generated_at="2026-01-01T00:00:00Z", inputs={"policy": "p"}, **rest
    )


def _only(policy: QCPolicy, scores: Any, **rest: Any) -> GateResult:
    (result,) = _report(policy, scores, **rest).gates
    return result


@pytest.mark.parametrize(
    ("threshold", "score", "status"),
    [
        (0.7, 0.7, "PASS"),
        (0.7, 0.6999999999999999, "SOFT_FAIL"),
        (0.7, 0.35, "SOFT_FAIL"),
        (0.7, 0.3499999999999999, "HARD_FAIL"),
        (0.7, 0.0, "HARD_FAIL"),
        (0.7, 1, "PASS"),
        (0.6, 0.3, "SOFT_FAIL"),
        (0.6, 0.29999999999999993, "HARD_FAIL"),
        (0.95, 0.475, "SOFT_FAIL"),
        (0.95, 0.4749, "HARD_FAIL"),
        (0.1, 0.05, "SOFT_FAIL"),
        (0.3, 0.15, "SOFT_FAIL"),
        (1.0, 1.0, "PASS"),
        (1.0, 0.5, "SOFT_FAIL"),
        (1, 0, "HARD_FAIL"),
        (0.0, 0.0, "PASS"),
        (0.0, -0.0, "PASS"),
        (0.0, 0.5, "PASS"),
        (5e-324, 0.0, "HARD_FAIL"),
        (0.7, 1.5, "PASS"),
        (0.7, -0.1, "HARD_FAIL"),
        (0.0, -0.1, "HARD_FAIL"),
        (0.7, None, "UNKNOWN"),
        (0.0, None, "UNKNOWN"),
        (0.7, True, "UNKNOWN"),
        (0.0, False, "UNKNOWN"),
        (0.7, "0.9", "UNKNOWN"),
        (0.7, float("nan"), "UNKNOWN"),
        (0.7, float("inf"), "UNKNOWN"),
        (0.7, 10**400, "UNKNOWN"),
        (0.7, [0.9], "UNKNOWN"),
    ],
)
def test_a_score_is_judged_against_its_threshold(threshold: float, score: Any, status: str) -> None:
    result = _only(_policy(_gate("m", threshold)), {"m": score})
    assert result.status == status
    assert result.threshold == threshold
    assert result.score == (None if status == "UNKNOWN" else score)
    assert result.reason


def test_a_metric_that_is_not_in_the_scores_is_unknown() -> None:
    report = _report(_policy(_gate("m")), {"other": 1.0})
    assert report.gates[0].status == "UNKNOWN"
    assert report.gates[0].score is None
    assert report.overall.passed is False
    assert report.overall.failed_gate_ids == ("m",)
    assert report.overall.recommended_action == "ESCALATE_USER"


def test_a_clip_that_fails_nothing_proceeds() -> None:
    report = _report(DEFAULT_POLICY, GOOD)
    assert [gate.status for gate in report.gates] == ["PASS"] * 8
    assert [gate.failure_class for gate in report.gates] == [None] * 8
    assert report.overall.passed is True
    assert report.overall.failed_gate_ids == ()
    assert report.overall.failed_failure_classes == ()
    assert report.overall.recommended_action == "PROCEED"


def test_two_gates_of_one_class_fail_with_one_class() -> None:
    report = _report(DEFAULT_POLICY, GOOD | {"identity_drift": 0.5, "mask_edge_bleed": 0.2})
    assert report.overall.failed_gate_ids == ("mask_edge_bleed_gate", "identity_drift_gate")
    assert report.overall.failed_failure_classes == ("identity_drift",)
    assert report.overall.recommended_action == "RETRY_STAGE"


def test_failed_classes_are_sorted_whatever_the_order_of_the_gates() -> None:
    report = _report(
        DEFAULT_POLICY, GOOD | {"loop_seam": 0.0, "audio_video": 0.0, "background_stability": 0.0}
    )
    assert report.overall.failed_gate_ids == (
        "loop_seam_gate",
        "audio_video_gate",
        "background_stability_gate",
    )
    assert report.overall.failed_failure_classes == ("audio_sync", "background_warping", "seam_artifact")


def test_an_unknown_gate_counts_as_failed_without_a_class_and_with_the_missing_reports_action() -> None:
    report = _report(DEFAULT_POLICY, GOOD | {"loop_seam": None})
    assert report.overall.passed is False
    assert report.overall.failed_gate_ids == ("loop_seam_gate",)
    assert [gate.failure_class for gate in report.gates] == [None] * 8
    assert report.overall.failed_failure_classes == ()
    assert report.overall.recommended_action == "ESCALATE_USER"


def test_an_unknown_gate_ignores_the_actions_of_its_class_and_of_itself() -> None:
    policy = _policy(_gate("m", action="ABORT"), classes=(_class("c", "ABORT", "m"),), missing="PROCEED")
    report = _report(policy, {})
    assert report.overall.recommended_action == "PROCEED"
    assert report.overall.passed is False


@pytest.mark.parametrize(
    ("required", "seen", "score", "status", "value"),
    [
        (False, None, None, "PASS", 1.0),
        (False, None, 0.0, "PASS", 1.0),
        (False, False, 0.2, "PASS", 1.0),
        (False, True, None, "PASS", 1.0),
        (True, True, None, "PASS", 1.0),
        (True, True, 0.1, "PASS", 1.0),
        (True, False, 1.0, "HARD_FAIL", 0.0),
        (True, False, None, "HARD_FAIL", 0.0),
        (True, None, None, "HARD_FAIL", 0.0),
        (True, None, 1.0, "HARD_FAIL", 0.0),
    ],
)
def test_the_costume_passes_or_fails_as_a_whole(
    required: bool, seen: bool | None, score: float | None, status: str, value: float
) -> None:
    policy = _policy(_gate("costume_fidelity", 1.0, "ESCALATE_USER"))
    result = _only(policy, {"costume_fidelity": score}, costume_required=required, costume_pass=seen)
    assert (result.status, result.score) == (status, value)


@pytest.mark.parametrize("target", [0.0, 0.4, 1.0])
def test_a_target_moves_the_costumes_threshold_and_not_its_verdict(target: float) -> None:
    policy = _policy(_gate("costume_fidelity", 0.9))
    targets = {"costume_fidelity": target}
    missed = _only(policy, {}, targets=targets, costume_required=True, costume_pass=False)
    assert (missed.status, missed.score, missed.threshold) == ("HARD_FAIL", 0.0, target)
    met = _only(policy, {}, targets=targets, costume_required=True, costume_pass=True)
    assert (met.status, met.score, met.threshold) == ("PASS", 1.0, target)


def test_a_missed_costume_goes_to_a_person_under_the_default_policy() -> None:
    report = _report(DEFAULT_POLICY, GOOD | {"loop_seam": 0.5}, costume_required=True)
    assert report.overall.failed_failure_classes == ("costume_mismatch", "seam_artifact")
    assert report.overall.recommended_action == "ESCALATE_USER"


def test_a_target_replaces_the_policys_threshold_in_both_directions() -> None:
    policy = _policy(_gate("a", 0.7), _gate("b", 0.7))
    report = _report(policy, {"a": 0.5, "b": 0.8}, targets={"a": 0.5, "b": 0.81, "nobody": 1.0})
    assert [(gate.status, gate.threshold) for gate in report.gates] == [("PASS", 0.5), ("SOFT_FAIL", 0.81)]


def test_the_half_of_a_hard_failure_is_the_targets_half() -> None:
    policy = _policy(_gate("m", 0.7))
    assert _only(policy, {"m": 0.34}, targets={"m": 0.6}).status == "SOFT_FAIL"
    assert _only(policy, {"m": 0.36}, targets={"m": 0.8}).status == "HARD_FAIL"


def test_the_class_speaks_for_its_metric_and_the_gate_for_one_without_a_class() -> None:
    policy = _policy(
        _gate("a", action="ABORT"),
        _gate("b", action="SWITCH_POLICY"),
        classes=(_class("c", "RETRY_STAGE", "a"),),
    )
    first = _report(policy, {"a": 0.5, "b": 0.9})
    assert first.overall.recommended_action == "RETRY_STAGE"
    assert first.gates[0].failure_action == "ABORT"
    assert first.gates[0].failure_class == "c"
    second = _report(policy, {"a": 0.9, "b": 0.5})
    assert second.overall.recommended_action == "SWITCH_POLICY"
    assert second.gates[1].failure_class is None
    assert second.overall.failed_failure_classes == ()


def test_a_metric_of_several_classes_belongs_to_the_first() -> None:
    classes = (_class("z_first", "SWITCH_POLICY", "x", "m"), _class("a_second", "ABORT", "m"))
    report = _report(_policy(_gate("m"), classes=classes), {"m": 0.5})
    assert report.gates[0].failure_class == "z_first"
    assert report.overall.failed_failure_classes == ("z_first",)
    assert report.overall.recommended_action == "SWITCH_POLICY"


@pytest.mark.parametrize(
    ("priority", "wanted"),
    [
        (("ABORT", "RETRY_STAGE", "SWITCH_POLICY"), "RETRY_STAGE"),
        (("SWITCH_POLICY", "RETRY_STAGE"), "SWITCH_POLICY"),
        (("PROCEED", "RETRY_STAGE"), "RETRY_STAGE"),
        (("ABORT",), "ESCALATE_USER"),
        ((), "ESCALATE_USER"),
    ],
)
def test_the_first_contributed_action_of_the_priority_wins_else_the_fallback(
    priority: tuple[Action, ...], wanted: Action
) -> None:
    policy = _policy(_gate("a"), _gate("b", action="SWITCH_POLICY"), priority=priority)
    assert _report(policy, {"a": 0.1, "b": 0.1}).overall.recommended_action == wanted


def test_the_fallback_is_not_used_when_nothing_failed() -> None:
    policy = _policy(_gate("m"), priority=("ABORT",), fallback="ABORT")
    assert _report(policy, {"m": 1.0}).overall.recommended_action == "PROCEED"


def test_a_policy_without_gates_proceeds() -> None:
    report = _report(_policy(), {"m": 0.0})
    assert (report.gates, report.overall.passed) == ((), True)
    assert report.overall.recommended_action == "PROCEED"


def test_two_gates_on_one_metric_are_judged_each_by_its_own_threshold() -> None:
    policy = _policy(_gate("m", 0.4, gate_id="low"), _gate("m", 0.9, "ABORT", gate_id="high"))
    report = _report(policy, {"m": 0.5})
    assert [(gate.gate_id, gate.status) for gate in report.gates] == [("low", "PASS"), ("high", "SOFT_FAIL")]
    assert report.overall.failed_gate_ids == ("high",)
    assert report.overall.recommended_action == "ABORT"


def test_only_the_asked_metrics_are_judged() -> None:
    report = _report(DEFAULT_POLICY, {"loop_seam": 0.9}, only={"loop_seam", "nobody"}, costume_required=True)
    assert [gate.gate_id for gate in report.gates] == ["loop_seam_gate"]
    assert report.overall.passed is True
    assert _report(DEFAULT_POLICY, {}, only=()).gates == ()


def test_a_gate_carries_what_the_policy_says_of_it() -> None:
    result = _report(DEFAULT_POLICY, {}, only=["costume_fidelity"], costume_required=True).gates[0]
    assert (result.dimension, result.severity, result.repairable) == ("costume", "CRITICAL", False)
    assert (result.failure_action, result.target_stage) == ("ESCALATE_USER", "artifact")


def test_a_reason_says_the_numbers_and_what_was_seen_and_stays_short() -> None:
    policy = _policy(_gate("m"))
    seen = {"m": "the last frame jumps"}
    assert _only(policy, {"m": 0.5}, reasons=seen).reason == "0.5 is below 0.7: the last frame jumps"
    assert _only(policy, {"m": 0.69999999}).reason == "0.69999999 is below 0.7"
    assert _only(policy, {"m": 1.5}).reason == "1.5 is at or above 0.7, and outside of 0 to 1"
    long = _only(policy, {"m": None}, reasons={"m": "x" * 900}).reason
    assert len(long) == REASON_MAX
    assert long.endswith("...")


def test_a_report_is_a_valid_document() -> None:
    report = _report(DEFAULT_POLICY, GOOD | {"loop_seam": None, "audio_video": 0.1}, costume_required=True)
    assert read_document(write_document(report), QCReport, where="r.json") == report


def test_the_gates_of_several_stages_add_up_to_one_verdict() -> None:
    frame = _report(DEFAULT_POLICY, GOOD | {"identity_drift": 0.1}, only={"identity_drift"})
    video = _report(DEFAULT_POLICY, GOOD, only={"loop_seam"})
    together = overall(DEFAULT_POLICY, iter((*frame.gates, *video.gates)))
    assert together == frame.overall
    assert overall(DEFAULT_POLICY, video.gates) == video.overall


METRICS = ["a", "b", "costume_fidelity", "d"]
UNIT = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.35, 0.5, 0.6, 0.7, 0.95, 1.0]) | st.floats(0, 1)
GATES = st.lists(st.tuples(st.sampled_from(METRICS), UNIT, st.sampled_from(ACTIONS)), max_size=6)
CLASSES = st.lists(
    st.tuples(st.sampled_from("xyz"), st.lists(st.sampled_from(METRICS)), st.sampled_from(ACTIONS)),
    max_size=3,
)


def _oracle(gates: Any, classes: Any, scores: Any, targets: Any, costume: Any, routing: Any) -> Any:
    """The contract once more, told differently: in fractions, from the failures backwards."""
    priority, fallback, missing = routing
    required, seen = costume
    statuses, failed, wanted, named = [], [], [], set()
    for number, (metric, threshold, action) in enumerate(gates):
        own = [(name, means) for name, members, means in classes if metric in members][:1]
        if metric == "costume_fidelity":
            status = "PASS" if not required or seen else "HARD_FAIL"
        elif scores.get(metric) is None:
            status = "UNKNOWN"
        else:
            score, limit = Fraction(scores[metric]), Fraction(targets.get(metric, threshold))
            status = "HARD_FAIL" if score * 2 < limit else "SOFT_FAIL" if score < limit else "PASS"
        statuses.append(status)
        if status != "PASS":
            failed.append(f"g{number}")
            named |= {name for name, _ in own if status != "UNKNOWN"}
            wanted.append(missing if status == "UNKNOWN" else own[0][1] if own else action)
    ranked = [action for action in priority if action in wanted] + [fallback]
    return statuses, failed, sorted(named), ranked[0] if wanted else "PROCEED"


@settings(deadline=None, max_examples=300)
@given(
    gates=GATES,
    classes=CLASSES,
    scores=st.dictionaries(st.sampled_from(METRICS), st.none() | UNIT),
    targets=st.dictionaries(st.sampled_from(METRICS), UNIT, max_size=2),
    costume=st.tuples(st.booleans(), st.none() | st.booleans()),
    routing=st.tuples(st.permutations(ACTIONS), st.sampled_from(ACTIONS), st.sampled_from(ACTIONS)),
    listed=st.integers(0, 5),
)
def test_every_report_is_what_the_contract_says(
    gates: Any, classes: Any, scores: Any, targets: Any, costume: Any, routing: Any, listed: int
) -> None:
    priority, fallback, missing = tuple(routing[0][:listed]), routing[1], routing[2]
    policy = _policy(
        *(_gate(metric, limit, action, f"g{at}") for at, (metric, limit, action) in enumerate(gates)),
        classes=tuple(_class(name, action, *members) for name, members, action in classes),
        priority=priority,
        fallback=fallback,
        missing=missing,
    )
    report = _report(policy, scores, targets=targets, costume_required=costume[0], costume_pass=costume[1])
    overall = report.overall
    told = _oracle(gates, classes, scores, targets, costume, (priority, fallback, missing))
    assert (
        [gate.status for gate in report.gates],
        list(overall.failed_gate_ids),
        list(overall.failed_failure_classes),
        overall.recommended_action,
    ) == told
    assert overall.passed is (not overall.failed_gate_ids)


def test_the_parsers_are_reachable_from_the_package() -> None:
    scores = parse_metrics(b'{"metrics": {"loop_seam": {"score": 0.8, "reason": "calm"}}}', "m.json")
    reasons = parse_reasons(b'{"metrics": {"loop_seam": {"score": 0.8, "reason": "calm"}}}', "m.json")
    targets = parse_targets(b'{"loop_seam": 0.9}', "t.json")
    result = _only(_policy(_gate("loop_seam")), scores, targets=targets, reasons=reasons)
    assert result.reason == "0.8 is below 0.9: calm"
