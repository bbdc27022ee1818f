"""A ComfyUI workflow in API form, with caf's own header."""

from typing import Annotated, Any

from msgspec import Meta, Struct, field

from caf.contracts.types import Text

__all__ = ["ComfyNode", "ComfyUIWorkflow", "NodeMeta", "RequiredNodes"]


class RequiredNodes(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server and the workflow must have before anything is sent."""

    required_node_ids: tuple[str, ...] = ()
    required_node_classes: tuple[str, ...] = ()


class NodeMeta(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an export keeps of the editor."""

    title: str = ""


class ComfyNode(Struct, frozen=True, kw_only=True, omit_defaults=True):
    class_type: Text
    inputs: dict[str, Any] = {}
    """Input name to a value, or to a link [node id, output index]. May hold `__CAF_…__` placeholders."""
    meta: NodeMeta = field(name="_meta", default=NodeMeta())


class ComfyUIWorkflow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    workflow_id: Text
    nodes: dict[str, ComfyNode]
    caf_mode: str | None = None
    """motion_frame_sequence, frame_sequence, motion_chunks, motion_clip or image; left out: told from its nodes."""
    caf_capabilities: RequiredNodes = RequiredNodes()
    caf_outputs: tuple[str, ...] = ()
    """The nodes whose output is meant; left out: the only one that saves something. An addition to the older files."""
    caf_chunk_frames: Annotated[int, Meta(ge=2, le=100_000)] | None = None
    """Frames of a chunk, for motion_chunks; single ones are motion_frame_sequence. An addition to the older files."""
