"""The default quality policy: eight gates, six failure classes, three presets."""

from typing import Final

from caf.contracts import (
    FailureClass,
    FailureClassification,
    Gate,
    Preset,
    QCPolicy,
    Routing,
    WorkflowPresets,
)
from caf.policies.default_registry import LOCAL_WORKFLOW

__all__ = ["DEFAULT_POLICY"]

_GATES: Final = (
    Gate(
        gate_id="identity_consistency_gate",
        metric="identity_consistency",
        dimension="identity",
        threshold=0.70,
        severity="HIGH",
        repairable=True,
        failure_action="RETRY_STAGE",
        target_stage="frame",
    ),
    Gate(
        gate_id="mask_edge_bleed_gate",
        metric="mask_edge_bleed",
        dimension="identity",
        threshold=0.60,
        severity="MEDIUM",
        repairable=True,
        failure_action="RETRY_STAGE",
        target_stage="frame",
    ),
    Gate(
        gate_id="temporal_stability_gate",
        metric="temporal_stability",
        dimension="motion",
        threshold=0.70,
        severity="MEDIUM",
        repairable=True,
        failure_action="RETRY_STAGE",
        target_stage="motion",
    ),
    Gate(
        gate_id="loop_seam_gate",
        metric="loop_seam",
        dimension="motion",
        threshold=0.70,
        severity="LOW",
        repairable=True,
        failure_action="RETRY_STAGE",
        target_stage="motion",
    ),
    Gate(
        gate_id="audio_video_gate",
        metric="audio_video",
        dimension="audio",
        threshold=0.95,
        severity="HIGH",
        repairable=True,
        failure_action="RETRY_STAGE",
        target_stage="video",
    ),
    Gate(
        gate_id="costume_fidelity_gate",
        metric="costume_fidelity",
        dimension="costume",
        threshold=1.00,
        severity="CRITICAL",
        repairable=False,
        failure_action="ESCALATE_USER",
        target_stage="artifact",
    ),
    Gate(
        gate_id="background_stability_gate",
        metric="background_stability",
        dimension="motion",
        threshold=0.80,
        severity="MEDIUM",
        repairable=True,
        failure_action="RETRY_STAGE",
        target_stage="motion",
    ),
    Gate(
        gate_id="identity_drift_gate",
        metric="identity_drift",
        dimension="identity",
        threshold=0.80,
        severity="HIGH",
        repairable=True,
        failure_action="RETRY_STAGE",
        target_stage="frame",
    ),
)

_CLASSES: Final = (
    FailureClass(
        class_id="identity_drift",
        metrics=("identity_consistency", "mask_edge_bleed", "identity_drift"),
        action="RETRY_STAGE",
    ),
    FailureClass(class_id="pose_mismatch", metrics=("temporal_stability",), action="RETRY_STAGE"),
    FailureClass(class_id="seam_artifact", metrics=("loop_seam",), action="RETRY_STAGE"),
    FailureClass(class_id="audio_sync", metrics=("audio_video",), action="RETRY_STAGE"),
    FailureClass(class_id="costume_mismatch", metrics=("costume_fidelity",), action="ESCALATE_USER"),
    FailureClass(class_id="background_warping", metrics=("background_stability",), action="RETRY_STAGE"),
)

_PRESETS: Final = (
    Preset(
        class_id="identity_drift",
        preset_id="identity_safe_v1",
        workflow_id=LOCAL_WORKFLOW,
        parameter_overrides={"identity_weight": 0.9},
    ),
    Preset(
        class_id="pose_mismatch",
        preset_id="motion_safe_v1",
        workflow_id=LOCAL_WORKFLOW,
        parameter_overrides={"pose_weight": 0.95},
    ),
    Preset(
        class_id="seam_artifact",
        preset_id="seam_safe_v1",
        workflow_id=LOCAL_WORKFLOW,
        parameter_overrides={"temporal_smoothing": 0.85},
    ),
)

DEFAULT_POLICY: Final = QCPolicy(
    policy_id="caf_default_v1",
    max_retries_default=2,
    default_action_on_missing_report="ESCALATE_USER",
    gates=_GATES,
    routing=Routing(
        failure_action_priority=("ABORT", "ESCALATE_USER", "RETRY_STAGE", "SWITCH_POLICY", "PROCEED"),
        fallback_action="ESCALATE_USER",
    ),
    failure_classification=FailureClassification(classes=_CLASSES),
    workflow_presets=WorkflowPresets(class_to_preset=_PRESETS),
)
"""Two retries, so three attempts; what was not measured goes to a person."""
