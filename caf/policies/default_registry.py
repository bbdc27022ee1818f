"""The default workflow registry: the embedded engine and the three resolution policies."""

from typing import Final

from caf.contracts import Capabilities, ResolutionPolicy, Workflow, WorkflowRegistry

__all__ = ["DEFAULT_REGISTRY", "LOCAL_WORKFLOW"]

LOCAL_WORKFLOW: Final = "local_v1"
"""The embedded engine's workflow; it is always there."""

DEFAULT_REGISTRY: Final = WorkflowRegistry(
    workflows=(
        Workflow(
            workflow_id=LOCAL_WORKFLOW,
            engine="local",
            tags=("feline", "stabilized", "hero_safe"),
            capabilities=Capabilities(supports_pose=True, supports_identity=True, optimal_motion_range="all"),
            default_parameters={
                "frame": {"identity_weight": 0.0},
                "motion": {"pose_weight": 0.0, "temporal_smoothing": 0.0},
                "video": {"resolution_policy": "letterbox", "fps_strategy": "preserve"},
            },
        ),
    ),
    resolution_policies={
        "letterbox": ResolutionPolicy(mode="pad", color="black"),
        "crop_center": ResolutionPolicy(mode="crop", anchor="center"),
        "pad_reflect": ResolutionPolicy(mode="pad", type="reflect"),
    },
)
