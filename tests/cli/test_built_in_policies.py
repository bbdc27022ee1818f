"""The policies that come with caf, by name."""

import json
from pathlib import Path

import pytest

from caf.config import Config
from caf.contracts import QCPolicy
from caf.contracts.read import read_document, write_document
from caf.policies import BUILT_IN_POLICIES, DEFAULT_POLICY, TECHNICAL_POLICY
from caf.qc.metrics.catalogue import METRICS
from caf.qc.stages import metrics_of
from caf.submission import load_defaults, named_policy
from tests.cli.conftest import Caf

TECHNICAL = {"freeze", "blank", "glitch", "cadence", "blockiness", "sharpness", "format", "exposure"}


def test_the_technical_policy_is_the_default_one_and_eight_gates_more() -> None:
    own = TECHNICAL_POLICY.gates[len(DEFAULT_POLICY.gates) :]
    assert TECHNICAL_POLICY.gates[: len(DEFAULT_POLICY.gates)] == DEFAULT_POLICY.gates
    assert {gate.metric for gate in own} == TECHNICAL
    assert {gate.dimension for gate in own} == {"technical"}
    assert TECHNICAL_POLICY.routing == DEFAULT_POLICY.routing
    assert TECHNICAL_POLICY.workflow_presets == DEFAULT_POLICY.workflow_presets


def test_technical_gates_are_judged_where_and_below_what_the_metrics_say() -> None:
    for stage in ("frame", "motion", "video"):
        for metric in TECHNICAL & set(metrics_of(TECHNICAL_POLICY, stage)):
            assert METRICS[metric].stage == stage
    for gate in TECHNICAL_POLICY.gates:
        if gate.dimension == "technical":
            assert gate.threshold == METRICS[gate.metric].threshold


def test_every_technical_gate_has_one_failure_class() -> None:
    classes = [metric for one in TECHNICAL_POLICY.failure_classification.classes for metric in one.metrics]
    assert len(classes) == len(set(classes))
    assert set(classes) >= TECHNICAL


@pytest.mark.parametrize("name", BUILT_IN_POLICIES)
def test_a_policy_that_comes_with_caf_is_known_by_its_name_and_printed_as_a_document(
    caf: Caf, tmp_path: Path, name: str
) -> None:
    printed = caf("qc", "policy", name)
    assert read_document(printed.out.encode(), QCPolicy, where="here") == BUILT_IN_POLICIES[name]
    assert named_policy(Path(name)) == BUILT_IN_POLICIES[name]
    assert load_defaults(tmp_path, Config(policy=name)).policy == BUILT_IN_POLICIES[name]


def test_a_file_with_the_name_of_a_built_in_policy_is_given_with_its_folder(tmp_path: Path) -> None:
    mine = {**json.loads(write_document(DEFAULT_POLICY)), "policy_id": "mine"}
    (tmp_path / "technical").write_text(json.dumps(mine))
    assert named_policy(tmp_path / "technical").policy_id == "mine"
    assert load_defaults(tmp_path, Config(policy="./technical")).policy.policy_id == "mine"


def test_a_policy_that_nobody_knows_is_refused_with_those_that_there_are(caf: Caf) -> None:
    refused = caf("qc", "policy", "strictest")
    assert refused.code == 65
    assert "default, technical" in refused.err


def test_given_scores_are_judged_by_a_policy_that_is_named(caf: Caf, tmp_path: Path) -> None:
    scores = {gate.metric: {"score": 0.99 if gate.threshold < 1 else 1.0} for gate in TECHNICAL_POLICY.gates}
    scores["glitch"] = {"score": 0.3}
    (tmp_path / "scores.json").write_text(json.dumps({"metrics": scores}))
    given = ("qc", "evaluate", "--metrics", tmp_path / "scores.json")
    assert caf(*given).code == 0
    judged = caf(*given, "--policy", "technical")
    assert judged.code == 3
    assert judged.json()["overall"]["failed_failure_classes"] == ["spoiled_frames"]
