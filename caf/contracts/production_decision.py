"""What the Supervisor decided after a gate or a failure: `production_decision.v1.json`."""

from typing import Annotated

from msgspec import Meta, Struct

from caf.contracts.types import (
    Action,
    AttemptIdText,
    FpsStrategy,
    JobIdText,
    MotionIntensity,
    QueueManagement,
    ResolutionPolicyName,
    TargetStage,
    Unit,
)
from caf.ports import Parameter

__all__ = ["Decision", "PolicyOverrides", "ProductionDecision"]


class PolicyOverrides(Struct, frozen=True, kw_only=True, omit_defaults=True):
    resolution_policy: ResolutionPolicyName | None = None
    motion_intensity: MotionIntensity | None = None
    fps_strategy: FpsStrategy | None = None
    max_frames_override: Annotated[int, Meta(ge=1, le=256)] | None = None
    pose_coverage_threshold: Unit | None = None
    queue_management: QueueManagement | None = None


class Decision(Struct, frozen=True, kw_only=True, omit_defaults=True):
    action: Action
    reasoning: str
    target_stage: TargetStage | None = None
    target_lane: str | None = None
    workflow_profile: str | None = None
    policy_overrides: PolicyOverrides | None = None
    parameter_adjustments: dict[str, int | float | dict[str, Parameter]] = {}
    """Name to number, or for a ComfyUI workflow node to input to value."""


class ProductionDecision(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="version", tag="1.0"
):
    job_id: JobIdText
    attempt_id: AttemptIdText
    decision: Decision
