"""A ComfyUI workflow in API form, with caf's own header."""

from typing import Any

from msgspec import Struct

from caf.contracts.types import Text

__all__ = ["ComfyNode", "ComfyUIWorkflow", "RequiredNodes"]


class RequiredNodes(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server and the workflow must have before anything is sent."""

    required_node_ids: tuple[str, ...] = ()
    required_node_classes: tuple[str, ...] = ()


class ComfyNode(Struct, frozen=True, kw_only=True):
    class_type: Text
    inputs: dict[str, Any] = {}
    """Input name to a value, or to a link [node id, output index]. May hold `__CAF_…__` placeholders."""


class ComfyUIWorkflow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    workflow_id: Text
    nodes: dict[str, ComfyNode]
    caf_mode: str | None = None
    """For example `motion_frame_sequence`."""
    caf_capabilities: RequiredNodes = RequiredNodes()
