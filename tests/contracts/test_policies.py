"""The default policy and registry, against the contract's table."""

from caf.contracts import QCPolicy, WorkflowRegistry
from caf.contracts.read import read_document, write_document
from caf.policies import DEFAULT_POLICY, DEFAULT_REGISTRY

TABLE = """
identity_consistency | identity | 0.70 | HIGH     | yes | RETRY_STAGE   | frame    | identity_drift
mask_edge_bleed      | identity | 0.60 | MEDIUM   | yes | RETRY_STAGE   | frame    | identity_drift
temporal_stability   | motion   | 0.70 | MEDIUM   | yes | RETRY_STAGE   | motion   | pose_mismatch
loop_seam            | motion   | 0.70 | LOW      | yes | RETRY_STAGE   | motion   | seam_artifact
audio_video          | audio    | 0.95 | HIGH     | yes | RETRY_STAGE   | video    | audio_sync
costume_fidelity     | costume  | 1.00 | CRITICAL | no  | ESCALATE_USER | artifact | costume_mismatch
background_stability | motion   | 0.80 | MEDIUM   | yes | RETRY_STAGE   | motion   | background_warping
identity_drift       | identity | 0.80 | HIGH     | yes | RETRY_STAGE   | frame    | identity_drift
"""


def test_the_default_policy_is_the_contracts_table() -> None:
    class_of = {m: c for c in DEFAULT_POLICY.failure_classification.classes for m in c.metrics}
    rows = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()]
    assert len(rows) == len(DEFAULT_POLICY.gates)
    for row, gate in zip(rows, DEFAULT_POLICY.gates, strict=True):
        assert row == [
            gate.metric,
            gate.dimension,
            f"{gate.threshold:.2f}",
            gate.severity,
            "yes" if gate.repairable else "no",
            gate.failure_action,
            gate.target_stage,
            class_of[gate.metric].class_id,
        ]
        assert gate.gate_id == f"{gate.metric}_gate"
        assert class_of[gate.metric].action == gate.failure_action


def test_the_default_policy_routes_as_the_contract_says() -> None:
    routing = DEFAULT_POLICY.routing
    assert routing.failure_action_priority == (
        "ABORT",
        "ESCALATE_USER",
        "RETRY_STAGE",
        "SWITCH_POLICY",
        "PROCEED",
    )
    assert routing.fallback_action == "ESCALATE_USER"
    assert DEFAULT_POLICY.max_retries_default == 2
    assert DEFAULT_POLICY.default_action_on_missing_report == "ESCALATE_USER"


def test_the_default_presets_name_a_workflow_of_the_default_registry() -> None:
    known = {workflow.workflow_id for workflow in DEFAULT_REGISTRY.workflows}
    presets = DEFAULT_POLICY.workflow_presets.class_to_preset
    assert [(p.class_id, p.preset_id, p.parameter_overrides) for p in presets] == [
        ("identity_drift", "identity_safe_v1", {"identity_weight": 0.9}),
        ("pose_mismatch", "motion_safe_v1", {"pose_weight": 0.95}),
        ("seam_artifact", "seam_safe_v1", {"temporal_smoothing": 0.85}),
    ]
    assert {preset.workflow_id for preset in presets} <= known
    assert sorted(DEFAULT_REGISTRY.resolution_policies) == ["crop_center", "letterbox", "pad_reflect"]


def test_the_defaults_are_documents_like_any_other() -> None:
    assert read_document(write_document(DEFAULT_POLICY), QCPolicy, where="p") == DEFAULT_POLICY
    assert read_document(write_document(DEFAULT_REGISTRY), WorkflowRegistry, where="r") == DEFAULT_REGISTRY


def test_what_a_gate_says_of_itself_is_written_in_full() -> None:
    assert write_document(DEFAULT_POLICY).count(b'"severity": "MEDIUM"') == 3
    assert write_document(DEFAULT_POLICY).count(b'"repairable": ') == 8
