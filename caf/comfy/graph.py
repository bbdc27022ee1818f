"""ComfyUI workflows: what a file holds, read and checked, and what is meant by it. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from caf.contracts import ComfyNode, ComfyUIWorkflow
from caf.contracts.read import read_document, read_object
from caf.errors import DocumentError
from caf.events import STAGES
from caf.events.codec import digest

__all__ = [
    "ANCHOR",
    "CLIP",
    "FILES",
    "FRAME",
    "MODES",
    "POSE",
    "POSES",
    "SAVERS",
    "SEED",
    "TEXTS",
    "Mode",
    "link_of",
    "links",
    "mode_of",
    "outputs_of",
    "placeholders",
    "reached",
    "read_workflow",
    "takes_poses",
    "workflow_digest",
]

Unit = Literal["frame", "chunk", "clip", "image"]


class Mode(Struct, frozen=True, kw_only=True):
    """How a workflow is used: what one prompt makes, and the stage that it works in."""

    name: str
    unit: Unit
    stage: Literal["frame", "motion"]


MODES: Final[dict[str, Mode]] = {
    mode.name: mode
    for mode in (
        Mode(name="motion_frame_sequence", unit="frame", stage="motion"),
        Mode(name="frame_sequence", unit="frame", stage="frame"),
        Mode(name="motion_chunks", unit="chunk", stage="motion"),
        Mode(name="motion_clip", unit="clip", stage="motion"),
        Mode(name="image", unit="image", stage="frame"),
    )
}
FRAME: Final = "__CAF_FRAME_IMAGE__"
ANCHOR: Final = "__CAF_ANCHOR_IMAGE__"
SEED: Final = "__CAF_SEED_IMAGE__"
CLIP: Final = "__CAF_CLIP_VIDEO__"
POSE: Final = "__CAF_POSE_IMAGE__"
POSES: Final = "__CAF_POSE_VIDEO__"
FILES: Final = (FRAME, ANCHOR, SEED, CLIP, POSE, POSES)
"""Placeholders that a file is uploaded for."""
TEXTS: Final = ("__CAF_CHECKPOINT__",)
"""Placeholders that a text is put in for."""

SAVERS: Final = {
    "SaveImage": "image",
    "PreviewImage": "image",
    "SaveAnimatedWEBP": "clip",
    "SaveAnimatedPNG": "clip",
    "SaveWEBM": "clip",
    "SaveVideo": "clip",
    "VHS_VideoCombine": "clip",
}
"""Classes of nodes that put out pictures or clips, as far as they are widely known."""
LOADERS: Final = frozenset({"LoadImage", "LoadImageMask"})
RESERVED: Final = frozenset({*STAGES, "caf"})
"""What stands for something else where parameters are given per node."""
_HOW_TO_EXPORT: Final = (
    "Export it in the API form: in ComfyUI, Workflow > Export (API). Where the menu has no such entry, first"
    " enable Dev mode in the settings; the entry is then Save (API Format)."
)


def read_workflow(data: bytes, where: str, *, workflow_id: str = "workflow") -> ComfyUIWorkflow:
    """A workflow of caf's own form or a plain API export, checked in itself. `workflow_id`: of a plain export.

    Raises:
        DocumentError: `comfy_ui_format` for the editor's own form, else `bad_workflow`, with the place.
    """
    found = read_object(data, where=where)
    _refuse_repeats(data, where)
    if isinstance(found.get("nodes"), list) or "last_node_id" in found:
        raise DocumentError(
            f"{where} is a workflow in the form of ComfyUI's editor; servers run the API form only.",
            remedy=_HOW_TO_EXPORT,
            kind="comfy_ui_format",
        )
    if isinstance(found.get("nodes"), dict) and "class_type" not in found["nodes"]:
        titled = _titled(found["nodes"])
        if titled != found["nodes"]:
            data = msgspec.json.encode(found | {"nodes": titled})
        workflow = read_document(data, ComfyUIWorkflow, where=where)
    else:
        inner = found["prompt"] if isinstance(found.get("prompt"), dict) else found
        workflow = _plain(inner, where, workflow_id)
    _check(workflow, where)
    return workflow


def _refuse_repeats(data: bytes, where: str) -> None:
    """Of a name that stands twice in one object, readers take the last: a node would be gone without a word."""

    def checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                both = (found[name], value)
                nodes = all(isinstance(one, dict) and "class_type" in one for one in both)
                raise _bad(
                    f"{where}: {'the node id' if nodes else 'the name'} {name!r} stands twice"
                    + (f", as {' and as '.join(str(one['class_type']) for one in both)}." if nodes else "."),
                    "Give one of them another id, also in the links to it."
                    if nodes
                    else "Remove one of them.",
                )
            found[name] = value
        return found

    try:
        json.loads(data, object_pairs_hook=checked, parse_int=str, parse_float=str)
    except RecursionError as fault:
        raise _bad(f"{where}: it is nested too deeply to be read.", "Correct it and try again.") from fault


def _plain(nodes: Mapping[str, Any], where: str, workflow_id: str) -> ComfyUIWorkflow:
    for node_id, node in nodes.items():
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            raise _bad(
                f"{where}: node {node_id} has no class_type, so this is no workflow in ComfyUI's API form.",
                _HOW_TO_EXPORT,
            )
    document = msgspec.json.encode({"workflow_id": workflow_id, "nodes": _titled(nodes)})
    plain = read_document(document, ComfyUIWorkflow, where=where)
    if any(value not in TEXTS for _, _, value in placeholders(plain)):
        return plain
    loaders = [node_id for node_id, node in plain.nodes.items() if node.class_type in LOADERS]
    if len(loaders) > 1:
        raise _bad(
            f"{where} loads pictures in {', '.join(_named(plain, item) for item in loaders)} and does not say "
            "which of them the frame is.",
            f"Put {FRAME} as the name of its file.",
        )
    for node_id in loaders:
        node = plain.nodes[node_id]
        filled = msgspec.structs.replace(node, inputs={**node.inputs, "image": FRAME})
        return msgspec.structs.replace(plain, nodes={**plain.nodes, node_id: filled})
    return plain


def _titled(nodes: Mapping[str, Any]) -> dict[str, Any]:
    """The nodes without what only the editor looks at and is not of its form: a title that is no text."""
    kept = {}
    for node_id, node in nodes.items():
        meta = node.get("_meta", {}) if isinstance(node, dict) else {}
        good = isinstance(meta, dict) and isinstance(meta.get("title", ""), str)
        kept[node_id] = node if good else {name: value for name, value in node.items() if name != "_meta"}
    return kept


def _check(workflow: ComfyUIWorkflow, where: str) -> None:
    if not workflow.nodes:
        raise _bad(f"{where} has no nodes.", _HOW_TO_EXPORT)
    for node_id in workflow.nodes:
        if node_id in RESERVED:
            raise _bad(f"{where}: a node cannot have the id {node_id!r}, which means a stage.", "Rename it.")
    needed = workflow.caf_capabilities
    for node_id in (*needed.required_node_ids, *workflow.caf_outputs):
        if node_id not in workflow.nodes:
            raise _bad(
                f"{where} names node {node_id}, which it does not have; it has {_ids(workflow)}.",
                "Correct caf_outputs or caf_capabilities.required_node_ids.",
            )
    classes = {node.class_type for node in workflow.nodes.values()}
    for name in needed.required_node_classes:
        if name not in classes:
            raise _bad(
                f"{where} requires nodes of class {name} and has none.", "Correct required_node_classes."
            )
    if workflow.caf_mode is not None and workflow.caf_mode not in MODES:
        raise _bad(f"{where}: caf has no mode {workflow.caf_mode!r}.", f"The modes are {', '.join(MODES)}.")
    known = {*FILES, *TEXTS}
    for node_id, name, value in placeholders(workflow):
        if value not in known:
            raise _bad(
                f"{where}: node {node_id}, {name}: there is no placeholder {value}.",
                f"The placeholders are {', '.join((*FILES, *TEXTS))}.",
            )
    _check_links(workflow, where, outputs_of(workflow, where))
    _check_mode(workflow, where)


def _check_mode(workflow: ComfyUIWorkflow, where: str) -> None:
    mode = mode_of(workflow)
    used = {value for _, _, value in placeholders(workflow)}
    if mode.unit == "frame" and not used & {FRAME, POSE}:
        raise _bad(
            f"{where} is run once a frame ({mode.name}), and no node takes the frame.",
            f"Put {FRAME} as the file of the node that loads it, or {POSE} for its pose.",
        )
    whole = sorted(used & {CLIP, POSES})
    if mode.unit == "frame" and whole:
        raise _bad(
            f"{where} is run once a frame ({mode.name}), so that there is no {' or '.join(whole)}.",
            f"Use {FRAME} and {POSE} for the frame and its pose, or another caf_mode, without {FRAME}.",
        )
    if mode.unit != "frame" and FRAME in used:
        raise _bad(
            f"{where} is run once a {mode.unit} ({mode.name}), so that there is no {FRAME}.",
            f"Use {SEED} for the first frame, {CLIP} for all of them, or another caf_mode.",
        )
    if mode.unit == "chunk" and (not used & {CLIP, POSES} or workflow.caf_chunk_frames is None):
        raise _bad(
            f"{where} is run once a chunk, which takes {CLIP} or {POSES} in a node and caf_chunk_frames.",
            "Add what is missing, or choose another caf_mode.",
        )


def _check_links(workflow: ComfyUIWorkflow, where: str, outputs: tuple[str, ...]) -> None:
    """Of the nodes that the outputs need; what is left over beside them, no server looks at."""
    live = reached(msgspec.to_builtins(workflow.nodes), outputs)
    graph: dict[str, set[str]] = {node_id: set() for node_id in live}
    for node_id, name, (source, _) in links(workflow.nodes):
        if node_id not in live:
            continue
        if source not in workflow.nodes:
            raise _bad(
                f"{where}: node {node_id}, {name}: it is linked to node {source}, which is not there.",
                "Export the workflow again, or correct the link.",
            )
        graph[node_id].add(source)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as fault:
        circle = " -> ".join(str(item) for item in fault.args[1])
        raise _bad(f"{where}: its links go round in a circle: {circle}.", "Correct the links.") from fault


def mode_of(workflow: ComfyUIWorkflow) -> Mode:
    """How it is used: as it says, else by what it takes and gives."""
    if workflow.caf_mode in MODES:
        return MODES[workflow.caf_mode]
    used = {value for _, _, value in placeholders(workflow)}
    gives_clip = any(SAVERS.get(node.class_type) == "clip" for node in workflow.nodes.values())
    if FRAME in used or (POSE in used and not gives_clip):
        return MODES["motion_frame_sequence"]
    return MODES["motion_clip" if used & {CLIP, POSES} or gives_clip else "image"]


def outputs_of(workflow: ComfyUIWorkflow, where: str = "") -> tuple[str, ...]:
    """The nodes whose output is meant: those declared, else the only one that saves. Raises `DocumentError`."""
    if workflow.caf_outputs:
        return workflow.caf_outputs
    where = where or workflow.workflow_id
    saving = [node_id for node_id, node in workflow.nodes.items() if node.class_type in SAVERS]
    lasting = [node_id for node_id in saving if workflow.nodes[node_id].class_type != "PreviewImage"]
    found = lasting or saving
    if len(found) == 1:
        return (found[0],)
    if found:
        told = f"{where} puts out in {', '.join(_named(workflow, item) for item in found)}; one of them is meant."
    else:
        told = f"{where} has no node that is known to save pictures or clips."
    raise _bad(
        told, 'Name it: "caf_outputs": ["<node id>"], in a document of the form that docs/comfyui.md shows.'
    )


def placeholders(workflow: ComfyUIWorkflow) -> Iterator[tuple[str, str, str]]:
    """Node id, input and text of every placeholder."""
    for node_id, node in workflow.nodes.items():
        for name, value in node.inputs.items():
            if isinstance(value, str) and value.startswith("__CAF_") and value.endswith("__"):
                yield node_id, name, value


def takes_poses(workflow: ComfyUIWorkflow) -> bool:
    """Whether a node of it is steered by poses."""
    return any(value in (POSE, POSES) for _, _, value in placeholders(workflow))


def links(nodes: Mapping[str, ComfyNode]) -> Iterator[tuple[str, str, tuple[str, int]]]:
    """Node id, input and where it is linked to (node id, output index)."""
    for node_id, node in nodes.items():
        for name, value in node.inputs.items():
            link = link_of(value)
            if link is not None:
                yield node_id, name, link


def reached(graph: Mapping[str, Any], ends: Iterable[str]) -> frozenset[str]:
    """These nodes and all that they are linked to, through whatever lies between, as far as the graph has them."""
    found: set[str] = set()
    pending = [node_id for node_id in ends if node_id in graph]
    while pending:
        node_id = pending.pop()
        if node_id in found:
            continue
        found.add(node_id)
        given = graph[node_id].get("inputs", {}).values()
        pending += [link[0] for value in given if (link := link_of(value)) and link[0] in graph]
    return frozenset(found)


def link_of(value: object) -> tuple[str, int] | None:
    """The node and output that a value points at, if it is a link."""
    match value:
        case [str(source), int(index)] if not isinstance(index, bool):
            return source, index
        case _:
            return None


def workflow_digest(document: Mapping[str, Any]) -> str:
    """SHA-256 of a document, whatever the order of its fields."""
    return digest(msgspec.json.encode(document, order="deterministic"))


def _ids(workflow: ComfyUIWorkflow) -> str:
    return ", ".join(_named(workflow, node_id) for node_id in workflow.nodes)


def _named(workflow: ComfyUIWorkflow, node_id: str) -> str:
    return f"{node_id} ({workflow.nodes[node_id].class_type})"


def _bad(message: str, remedy: str) -> DocumentError:
    return DocumentError(message, remedy=remedy, kind="bad_workflow")
