"""What a job puts into a workflow: parameters per node, prompts, seeds, placeholders. Pure."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

import msgspec

from caf.comfy.graph import ANCHOR, FILES, POSE, POSES, link_of, links, outputs_of, placeholders
from caf.comfy.model import InputFile, Prompt
from caf.contracts import ComfyBindings, ComfyNode, ComfyUIWorkflow
from caf.errors import InputError
from caf.events import Parameters
from caf.ports import Parameter

__all__ = [
    "OWN",
    "bound",
    "check_node_parameters",
    "flat",
    "from_bindings",
    "graph_of",
    "models_of",
    "prompt_of",
    "put_in",
]

OWN: Final = "caf"
"""Where parameters stand that no node of the workflow has."""
CHECKPOINT: Final = "__CAF_CHECKPOINT__"
POLICIES: Final = ("NORMAL", "CLEAR_STALE_ITEMS", "INTERRUPT_ACTIVE")
TEXT_INPUTS: Final = (
    *("text", "prompt", "text_g", "text_l", "clip_l", "clip_g", "t5xxl", "llama", "bert", "mt5xl"),
    *("qwen25_7b", "user_prompt", "value", "string"),
)
"""As nodes that encode texts, or hold them, call them: one that takes several is given the prompt in each."""
SEED_INPUTS: Final = ("seed", "noise_seed")
_NO_POSES: Final = (
    "Take a clip with more poses, a lower pose_coverage_threshold, or a workflow that takes none."
)
_REMEDIES: Final = {
    ANCHOR: "Give a picture of the subject with --reference.",
    POSE: _NO_POSES,
    POSES: _NO_POSES,
}
MODEL_SUFFIXES: Final = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".sft", ".onnx")


def flat(parameters: Parameters, but: Iterable[str] = ()) -> dict[str, Parameter]:
    """Node to input to value as one table, `node.input` to value, without the nodes in `but`."""
    left_out = frozenset(but)
    return {
        f"{node}.{name}": value
        for node, inputs in parameters.items()
        if node not in left_out
        for name, value in inputs.items()
    }


def from_bindings(workflow: ComfyUIWorkflow, bindings: ComfyBindings) -> Parameters:
    """A job's prompts and seed as parameters of the nodes that they belong to.

    Raises:
        InputError: `unknown_parameter` for a binding that points at nothing.
    """
    found: Parameters = {}
    for name, text in (("positive", bindings.positive_prompt), ("negative", bindings.negative_prompt)):
        nodes: tuple[str, ...] = getattr(bindings, f"{name}_nodes")
        _refuse_strangers(workflow, nodes, f"comfyui.bindings.{name}_nodes")
        if text is None:
            continue
        for node_id in nodes or _texts(workflow, name, bindings.positive_nodes):
            for key in _free(workflow, node_id, TEXT_INPUTS, f"{name}_prompt"):
                found.setdefault(node_id, {})[key] = text
    _refuse_strangers(workflow, bindings.seed_nodes, "comfyui.bindings.seed_nodes")
    if bindings.seed is not None:
        nodes = bindings.seed_nodes or tuple(
            node_id for node_id, node in workflow.nodes.items() if _free_of(node, SEED_INPUTS)
        )
        if not nodes:
            raise _unknown(
                f"The job has a seed, and no node of {workflow.workflow_id} takes one.",
                "Leave comfyui.bindings.seed out, or name comfyui.bindings.seed_nodes.",
            )
        for node_id in nodes:
            for key in _free(workflow, node_id, SEED_INPUTS, "seed"):
                found.setdefault(node_id, {})[key] = bindings.seed
    return found


def check_node_parameters(workflow: ComfyUIWorkflow, parameters: Parameters) -> None:
    """Whether every node and input is there and takes such a value, as far as the workflow itself tells.

    Raises:
        InputError: `unknown_parameter` or `bad_parameter`.
    """
    for node_id, inputs in parameters.items():
        if node_id == OWN:
            _check_own(workflow, inputs)
            continue
        if node_id not in workflow.nodes:
            raise _unknown(
                f"The workflow {workflow.workflow_id} has no node {node_id!r}{_near(node_id, workflow.nodes)}.",
                f"Its nodes are {', '.join(f'{key} ({node.class_type})' for key, node in workflow.nodes.items())}.",
            )
        for name, value in inputs.items():
            _check_input(workflow, node_id, name, value)


def bound(workflow: ComfyUIWorkflow, parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """The workflow's graph with parameters (`node.input` to value) and texts put in; files are still missing.

    Raises:
        InputError: `unknown_parameter`, `bad_parameter`, or `no_checkpoint`.
    """
    nested = _nested(workflow, parameters)
    check_node_parameters(workflow, nested)
    graph, without = put_in(workflow, nested)
    for node_id in without:
        raise InputError(
            f"Node {node_id} of {workflow.workflow_id} takes a checkpoint, and none is named.",
            remedy="Name it in the registry's default_parameters or the job's comfyui.bindings.parameters:"
            ' {"caf": {"checkpoint": "<file>"}}.',
            kind="no_checkpoint",
        )
    return graph


def put_in(workflow: ComfyUIWorkflow, parameters: Parameters) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The graph with the parameters of its nodes and the checkpoint, wherever that is meant.

    With it the nodes that take a checkpoint, where none is named. Parameters of what is no node are left out.
    """
    graph = graph_of(workflow)
    for node_id, inputs in parameters.items():
        if node_id in graph:
            graph[node_id]["inputs"] |= inputs
    places = [
        (node_id, name)
        for node_id, name, value in placeholders(workflow)
        if value == CHECKPOINT and graph[node_id]["inputs"][name] == CHECKPOINT
    ]
    checkpoint = parameters.get(OWN, {}).get("checkpoint")
    if checkpoint is None:
        return graph, tuple(node_id for node_id, _ in places)
    for node_id, name in places:
        graph[node_id]["inputs"][name] = checkpoint
    return graph, ()


def prompt_of(
    workflow: ComfyUIWorkflow,
    graph: Mapping[str, Any],
    *,
    key: str,
    files: Mapping[str, str],
    folder: str,
    weight: int = 1,
) -> Prompt:
    """One prompt of a bound graph. `files`: placeholder to local path; `folder`: below it the results are named.

    Raises:
        InputError: `missing_input` for a placeholder that no file is there for.
    """
    own = {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in graph.items()}
    uploads = []
    for node_id, name, value in placeholders(workflow):
        if value not in FILES or own[node_id]["inputs"].get(name) != value:
            continue
        if value not in files:
            raise InputError(
                f"Node {node_id} of {workflow.workflow_id} takes {value}, and the job has nothing to put there.",
                remedy=_REMEDIES.get(value, "Use another placeholder."),
                kind="missing_input",
            )
        uploads.append(InputFile(node_id=node_id, input=name, path=files[value]))
    fresh = False
    outputs = outputs_of(workflow)
    for node_id in outputs:
        if isinstance(own[node_id]["inputs"].get("filename_prefix"), str):
            own[node_id]["inputs"]["filename_prefix"] = f"{folder}/{key}"
            fresh = True
    return Prompt(key=key, graph=own, files=tuple(uploads), outputs=outputs, weight=weight, fresh=fresh)


def graph_of(workflow: ComfyUIWorkflow) -> dict[str, Any]:
    """The nodes as a server takes them, a copy of its own."""
    copy: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(workflow.nodes))
    for node in copy.values():
        node.setdefault("inputs", {})
    return copy


def models_of(graph: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of model files in a graph, each once; also those inside a value, as of loaders of several LoRAs."""
    named: set[str] = set()
    pending: list[Any] = [node["inputs"] for node in graph.values()]
    while pending:
        value = pending.pop()
        if isinstance(value, dict | list):
            pending += value.values() if isinstance(value, dict) else value
        elif isinstance(value, str) and value.lower().endswith(MODEL_SUFFIXES):
            named.add(value)
    return tuple(sorted(named))


def _nested(workflow: ComfyUIWorkflow, parameters: Mapping[str, Parameter]) -> Parameters:
    """Back from `node.input`; ids and names may hold points themselves, so the longest known node wins."""
    known = sorted((*workflow.nodes, OWN), key=len, reverse=True)
    nested: Parameters = {}
    for key, value in parameters.items():
        node_id = next((item for item in known if key.startswith(f"{item}.")), key.partition(".")[0])
        nested.setdefault(node_id, {})[key[len(node_id) + 1 :]] = value
    return nested


def _check_own(workflow: ComfyUIWorkflow, inputs: Mapping[str, Parameter]) -> None:
    for name, value in inputs.items():
        if name == "checkpoint":
            if not isinstance(value, str) or not value:
                raise _bad(f"{OWN}.checkpoint cannot be {value!r}.", "Give the name of a model file.")
            if all(text != CHECKPOINT for _, _, text in placeholders(workflow)):
                raise _unknown(
                    f"The workflow {workflow.workflow_id} has no {CHECKPOINT}, so that a checkpoint goes nowhere.",
                    "Name the node and its input instead.",
                )
        elif name == "queue_management":
            if value not in POLICIES:
                raise _bad(f"{OWN}.queue_management cannot be {value!r}.", f"Allowed: {', '.join(POLICIES)}.")
        else:
            raise _unknown(
                f"There is no {OWN}.{name}.",
                f"Of caf's own there are {OWN}.checkpoint and {OWN}.queue_management.",
            )


def _check_input(workflow: ComfyUIWorkflow, node_id: str, name: str, value: Parameter) -> None:
    node = workflow.nodes[node_id]
    where = f"node {node_id} ({node.class_type}) of {workflow.workflow_id}"
    if name not in node.inputs:
        free = [key for key, there in node.inputs.items() if link_of(there) is None]
        raise _unknown(
            f"There is no input {name!r} in {where}{_near(name, free)}.",
            f"What can be set there: {', '.join(free) or 'nothing'}.",
        )
    there = node.inputs[name]
    link = link_of(there)
    if link is not None:
        raise _bad(
            f"{name} of {where} comes from node {link[0]}; it cannot be set.", f"Set it in node {link[0]}."
        )
    if name == "filename_prefix" and node_id in outputs_of(workflow):
        raise _bad(f"{name} of {where} is named by caf; it cannot be set.", "Leave it out.")
    if there in FILES:
        raise _bad(f"{name} of {where} is the place of {there}; it cannot be set.", "Set something else.")
    if _kind(there) is not None and _kind(there) != _kind(value):
        raise _bad(
            f"{name} of {where} cannot be {value!r}: it is {_kind(there)}, as {there!r}.",
            "Give a value of the same kind.",
        )


def _kind(value: object) -> str | None:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "a text" if isinstance(value, str) else None


def _refuse_strangers(workflow: ComfyUIWorkflow, nodes: Iterable[str], where: str) -> None:
    for node_id in nodes:
        if node_id not in workflow.nodes:
            raise _unknown(
                f"{where} names node {node_id!r}, which {workflow.workflow_id} does not have.",
                f"Its nodes are {', '.join(f'{key} ({node.class_type})' for key, node in workflow.nodes.items())}.",
            )


def _texts(workflow: ComfyUIWorkflow, name: str, positive: tuple[str, ...]) -> tuple[str, ...]:
    """The nodes that a prompt goes to when none is named. `positive`: those that are named for the positive one."""
    found, but = _conditioned(workflow, name), ""
    if name == "negative" and found:
        # Where a workflow has no negative text, it often zeroes the positive one.
        taken, but = {*positive, *_conditioned(workflow, "positive")}, " but the positive one's"
        found = tuple(node_id for node_id in found if node_id not in taken)
    if not found:
        raise _unknown(
            f"The job has a {name}_prompt, and in {workflow.workflow_id} no text is linked to a {name} input{but}.",
            f"Leave it out, or name the nodes that take it: comfyui.bindings.{name}_nodes.",
        )
    return found


def _conditioned(workflow: ComfyUIWorkflow, name: str) -> tuple[str, ...]:
    """The nodes with a text of their own that an input of that name leads back to, through whatever lies between."""
    starts = [source for _, key, (source, _) in links(workflow.nodes) if key == name]
    found: dict[str, None] = {}
    seen: set[str] = set()
    while starts:
        node_id = starts.pop(0)
        if node_id in seen or node_id not in workflow.nodes:
            continue
        seen.add(node_id)
        node = workflow.nodes[node_id]
        ways: tuple[str, ...] = (name, "conditioning", *TEXT_INPUTS)
        if _free_of(node, TEXT_INPUTS):
            found[node_id] = None
            ways = TEXT_INPUTS  # others of its texts may stand elsewhere
        starts += [link[0] for key, value in node.inputs.items() if (link := link_of(value)) and key in ways]
    return tuple(found)


def _free(workflow: ComfyUIWorkflow, node_id: str, names: tuple[str, ...], what: str) -> list[str]:
    found = _free_of(workflow.nodes[node_id], names)
    if not found:
        raise _unknown(
            f"Node {node_id} ({workflow.nodes[node_id].class_type}) of {workflow.workflow_id} takes no {what}: it has "
            f"none of {', '.join(names)} that is not linked.",
            "Name another node.",
        )
    return found


def _free_of(node: ComfyNode, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if name in node.inputs and link_of(node.inputs[name]) is None]


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _unknown(message: str, remedy: str) -> InputError:
    return InputError(message, remedy=remedy, kind="unknown_parameter")


def _bad(message: str, remedy: str) -> InputError:
    return InputError(message, remedy=remedy, kind="bad_parameter")
