"""The JSON documents that caf reads and writes, one struct each; pure, and light to import."""

from caf.contracts.comfyui_workflow import ComfyNode, ComfyUIWorkflow
from caf.contracts.continuity_pack import ContinuityPack, ContinuityRules
from caf.contracts.handoff_registry import HandoffEntry, HandoffRegistry
from caf.contracts.identity_pack import IdentityPack
from caf.contracts.inbox import Approval, EscalationAnswer
from caf.contracts.job import ComfyBindings, ComfySettings, JobDocument, Lane, VideoSpec
from caf.contracts.platform_payload import PlatformPayload, platform_payload
from caf.contracts.platform_state import POSTED, PlatformState
from caf.contracts.production_decision import Decision, PolicyOverrides, ProductionDecision
from caf.contracts.production_metrics import (
    EngineMetrics,
    FelineDetected,
    HumanDetected,
    ProductionMetrics,
    VisualMetrics,
)
from caf.contracts.qc_policy import (
    FailureClass,
    FailureClassification,
    Gate,
    Preset,
    QCPolicy,
    Routing,
    WorkflowPresets,
)
from caf.contracts.qc_report import GateResult, Overall, QCReport
from caf.contracts.quality_target import QualityTarget
from caf.contracts.types import ACTIONS, Action, Dimension, GateStatus, Severity, TargetStage
from caf.contracts.user_action_required import EscalationReason, UserActionRequired
from caf.contracts.workflow_registry import (
    Capabilities,
    ResolutionPolicy,
    Workflow,
    WorkflowRegistry,
    node_defaults,
)

__all__ = [
    "ACTIONS",
    "POSTED",
    "Action",
    "Approval",
    "Capabilities",
    "ComfyBindings",
    "ComfyNode",
    "ComfySettings",
    "ComfyUIWorkflow",
    "ContinuityPack",
    "ContinuityRules",
    "Decision",
    "Dimension",
    "EngineMetrics",
    "EscalationAnswer",
    "EscalationReason",
    "FailureClass",
    "FailureClassification",
    "FelineDetected",
    "Gate",
    "GateResult",
    "GateStatus",
    "HandoffEntry",
    "HandoffRegistry",
    "HumanDetected",
    "IdentityPack",
    "JobDocument",
    "Lane",
    "Overall",
    "PlatformPayload",
    "PlatformState",
    "PolicyOverrides",
    "Preset",
    "ProductionDecision",
    "ProductionMetrics",
    "QCPolicy",
    "QCReport",
    "QualityTarget",
    "ResolutionPolicy",
    "Routing",
    "Severity",
    "TargetStage",
    "UserActionRequired",
    "VideoSpec",
    "VisualMetrics",
    "Workflow",
    "WorkflowPresets",
    "WorkflowRegistry",
    "node_defaults",
    "platform_payload",
]
