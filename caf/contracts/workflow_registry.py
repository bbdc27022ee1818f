"""The workflows that the Supervisor may choose from: `workflow_registry.v1.json`."""

from typing import Literal

from msgspec import Struct

from caf.contracts.types import Text
from caf.contracts.unique import refuse_repeats
from caf.ports import Parameter

__all__ = ["Capabilities", "ResolutionPolicy", "Workflow", "WorkflowRegistry", "node_defaults"]


class Capabilities(Struct, frozen=True, kw_only=True, omit_defaults=True):
    supports_pose: bool | None = None
    supports_identity: bool | None = None
    max_resolution: str | None = None
    """`WxH` in pixels."""
    optimal_motion_range: Literal["low", "medium", "high", "all"] | None = None


class Workflow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    workflow_id: Text
    engine: Text
    """comfyui, local, ffmpeg or another."""
    tags: tuple[str, ...]
    relpath: Text | None = None
    """The workflow's own document; engines that are built in need none."""
    capabilities: Capabilities | None = None
    default_parameters: dict[str, dict[str, Parameter] | Parameter] = {}
    """Node to input to value; engines without nodes have plain name to value. See `node_defaults`."""


class ResolutionPolicy(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a clip of another shape is brought to the target's."""

    mode: Literal["pad", "crop"]
    color: str | None = None
    type: str | None = None
    anchor: str | None = None


class WorkflowRegistry(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="version", tag="1.0"):
    workflows: tuple[Workflow, ...]
    resolution_policies: dict[str, ResolutionPolicy] = {}

    def __post_init__(self) -> None:
        refuse_repeats("workflows", "workflow_id", [workflow.workflow_id for workflow in self.workflows])


def node_defaults(workflow: Workflow) -> dict[str, dict[str, Parameter]]:
    """The workflow's default parameters that belong to a node: node to input to value."""
    return {
        node: dict(inputs) for node, inputs in workflow.default_parameters.items() if isinstance(inputs, dict)
    }
