"""What sorted clips say of the thresholds, and the documents made of it."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caf.contracts.read import write_document
from caf.policies import DEFAULT_POLICY
from caf.qc.calibration import GATED, Calibrated, Scores, calibrated, panel, policy_of, target_of
from caf.qc.gates import evaluate
from caf.qc.metrics.catalogue import METRICS

SCHEMAS = Path(__file__).parents[2] / "schemas"
GOOD = (0.9, 0.92, 0.94, 0.96, 0.98)


def scores(
    metric: str, good: tuple[float | None, ...] = GOOD, bad: tuple[float | None, ...] = (0.2, 0.5)
) -> Scores:
    threshold = GATED.get(metric, METRICS[metric].threshold)
    return Scores(metric=metric, version=METRICS[metric].version, threshold=threshold, good=good, bad=bad)


def told(metric: str, *, known: bool = True) -> Calibrated:
    return calibrated(scores(metric) if known else scores(metric, bad=()), 0.02)


def valid(document: bytes, schema: str) -> Any:
    found = json.loads(document)
    jsonschema.validate(found, json.loads((SCHEMAS / f"{schema}.schema.json").read_text("utf-8")))
    return found


STAGES = {name: info.stage for name, info in METRICS.items() if info.technical}


def test_the_present_thresholds_are_those_of_the_default_gates() -> None:
    assert {gate.metric: gate.threshold for gate in DEFAULT_POLICY.gates} == GATED
    assert len(GATED) == 8


def test_a_metric_is_told_with_its_counts_its_present_and_its_proposed_threshold() -> None:
    found = calibrated(scores("loop_seam", (*GOOD, None, 0.6), (0.2, 0.8, None)), 0.2)
    assert (found.good, found.bad, found.unmeasured_good, found.unmeasured_bad) == (6, 2, 1, 1)
    assert found.auc == pytest.approx(11 / 12)
    assert found.present is not None
    assert (found.present.threshold, found.present.false_alarms, found.present.caught) == (0.7, 1, 1)
    assert found.proposed is not None
    assert (found.proposed.threshold, found.proposed.false_alarms, found.proposed.caught) == (0.85, 1, 2)
    assert found.reason == ""


def test_nothing_is_proposed_without_a_reason_or_with_one() -> None:
    for found in (told("glitch"), told("glitch", known=False), told("costume_fidelity")):
        assert (found.proposed is None) == bool(found.reason)


def test_the_costume_gets_no_threshold_because_its_gate_asks_for_none() -> None:
    found = told("costume_fidelity")
    assert found.auc == 1
    assert "all or nothing" in found.reason


def test_a_metric_without_a_threshold_has_no_present_outcome() -> None:
    assert told("feline_presence").present is None


def test_a_target_holds_the_proposals_of_the_gated_metrics_and_no_other() -> None:
    target = target_of([told("loop_seam"), told("glitch"), told("audio_video", known=False)], "mine")
    document = valid(write_document(target), "quality_target.v1")
    assert document == {
        "version": "quality_target.v1",
        "profile_id": "mine",
        "thresholds": {"loop_seam": 0.7},
    }


def test_a_target_without_a_proposal_is_a_document_all_the_same() -> None:
    assert valid(write_document(target_of([], "mine")), "quality_target.v1")["thresholds"] == {}


def test_a_policy_is_the_default_one_with_the_proposals_and_a_gate_for_each_technical_one() -> None:
    found = [told("identity_drift"), told("glitch"), told("sharpness"), told("freeze", known=False)]
    policy = policy_of(found, STAGES, "mine")
    document = valid(write_document(policy), "qc_policy.v1")
    assert document["policy_id"] == "mine"
    assert [gate["metric"] for gate in document["gates"]] == [*GATED, "glitch", "sharpness"]
    by_metric = {gate["metric"]: gate for gate in document["gates"]}
    assert by_metric["identity_drift"]["threshold"] == 0.7
    assert by_metric["loop_seam"]["threshold"] == GATED["loop_seam"]
    assert by_metric["glitch"] == {
        "gate_id": "glitch_gate",
        "metric": "glitch",
        "dimension": "technical",
        "threshold": 0.7,
        "severity": "MEDIUM",
        "repairable": True,
        "failure_action": "RETRY_STAGE",
        "target_stage": "motion",
    }
    assert by_metric["sharpness"]["target_stage"] == "frame"


def test_a_policy_without_a_proposal_is_the_default_one_under_another_name() -> None:
    policy = policy_of([told("glitch", known=False)], STAGES, "mine")
    assert policy.gates == DEFAULT_POLICY.gates


unit = st.floats(0, 1).map(lambda score: round(score, 6))


@given(st.lists(unit, min_size=5, max_size=12), st.lists(unit, min_size=1, max_size=12))
def test_the_gate_of_a_proposed_policy_fails_exactly_the_clips_that_were_counted(
    good: list[float], bad: list[float]
) -> None:
    found = calibrated(scores("jitter", tuple(good), tuple(bad)), 0.2)
    if found.proposed is None:
        return
    policy = policy_of([found], STAGES, "mine")

    def fails(score: float) -> bool:
        report = evaluate(
            policy, {"jitter": score}, job_id="abcdef", generated_at="", inputs={}, only=["jitter"]
        )
        return not report.overall.passed

    assert sum(map(fails, good)) == found.proposed.false_alarms
    assert sum(map(fails, bad)) == found.proposed.caught


def test_a_panel_says_what_the_table_says() -> None:
    given_scores = scores("glitch")
    found = calibrated(given_scores, 0.02)
    shown = panel(given_scores, found)
    assert (shown.title, shown.told) == ("glitch", "AUC 1.000, 5 good, 2 bad")
    assert shown.corners[-1] == (1, 1)
    assert (shown.present, shown.proposed) == (found.present, found.proposed)
