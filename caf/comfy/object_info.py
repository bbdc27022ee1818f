"""What a server's nodes take and give (`/object_info`), and what of a graph can be set by that. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from caf.comfy.graph import FILES, link_of

__all__ = ["ANY", "DYNAMIC", "Adjustable", "InputInfo", "NodeInfo", "adjustable", "inputs_for", "nodes_of"]

VALUES: Final = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3")
"""Types that a value may be given for; everything else comes over a link."""
ANY: Final = "*"
DYNAMIC: Final = "COMFY_"
"""So the types begin whose inputs are not in the list of the class as a graph names them."""


class InputInfo(Struct, frozen=True, kw_only=True):
    """One input of a class of nodes."""

    name: str
    type: str
    """INT, FLOAT, STRING, BOOLEAN, COMBO, or the types of a link, separated by commas."""
    required: bool
    minimum: int | float | None = None
    """As the server says it: a whole number up to 2**64 is not the same as a float."""
    maximum: int | float | None = None
    step: int | float | None = None
    choices: tuple[str | int | float | bool, ...] | None = None
    """Of a COMBO that says which; None where it does not."""
    brings: dict[str, dict[str, "InputInfo"]] = {}
    """By choice, the inputs that come with it; a graph calls them `name.inner`."""
    upload: bool = False
    """It takes the name of a file, which may come after the list was made."""
    many: bool = False
    """More than one of the choices may be given."""


class NodeInfo(Struct, frozen=True, kw_only=True):
    """A class of nodes as a server has it."""

    name: str
    inputs: dict[str, InputInfo]
    outputs: tuple[str, ...] | None
    """The types that it gives; None where the server does not say."""
    output_node: bool
    dynamic: bool = False
    """Its inputs grow with what is chosen; those that are not listed may be right all the same."""


class Adjustable(Struct, frozen=True, kw_only=True):
    """An input that parameters can set, and to what."""

    node_id: str
    class_type: str
    title: str
    input: str
    type: str
    value: Any
    minimum: int | float | None = None
    maximum: int | float | None = None
    step: int | float | None = None
    choices: tuple[str | int | float | bool, ...] | None = None


def nodes_of(answer: Mapping[str, Any]) -> dict[str, NodeInfo]:
    """An answer of `/object_info` by class; what is not of its form is passed over."""
    return {name: _node(name, raw) for name, raw in answer.items() if isinstance(raw, dict)}


def inputs_for(info: NodeInfo, given: Mapping[str, Any]) -> dict[str, InputInfo]:
    """What a node takes when these inputs are given: those of its class, and what its choices bring."""
    found = dict(info.inputs)
    pending = list(found.values())
    while pending:
        wanted = pending.pop()
        choice = given.get(wanted.name)
        for inner in (wanted.brings.get(choice, {}) if isinstance(choice, str) else {}).values():
            named = replace(inner, name=f"{wanted.name}.{inner.name}")
            found[named.name] = named
            pending.append(named)
    return found


def _node(name: str, raw: Mapping[str, Any]) -> NodeInfo:
    inputs = _inputs(raw.get("input"))
    outputs = raw.get("output")
    return NodeInfo(
        name=name,
        inputs=inputs,
        outputs=tuple("COMBO" if isinstance(item, list) else str(item) for item in outputs)
        if isinstance(outputs, list)
        else None,
        output_node=raw.get("output_node") is True,
        dynamic=any(wanted.type.startswith(DYNAMIC) for wanted in inputs.values()),
    )


def _inputs(sections: object) -> dict[str, InputInfo]:
    """Of `{"required": {name: …}, "optional": {name: …}}`."""
    inputs: dict[str, InputInfo] = {}
    for section in ("required", "optional"):
        found = sections.get(section) if isinstance(sections, dict) else None
        for key, spec in found.items() if isinstance(found, dict) else ():
            inputs[key] = _input(key, spec, required=section == "required")
    return inputs


def _input(name: str, spec: object, *, required: bool) -> InputInfo:
    """`["INT", {...}]`, `[["a", "b"], {...}]` or `["COMBO", {"options": [...]}]`.

    The options of a dynamic combo are `{"key": "a", "inputs": {"required": ...}}` each.
    """
    kind: object = spec[0] if isinstance(spec, list | tuple) and spec else ANY
    options: object = spec[1] if isinstance(spec, list | tuple) and len(spec) > 1 else {}
    told: Mapping[str, Any] = options if isinstance(options, dict) else {}
    choices = kind if isinstance(kind, list) else told.get("options")
    if told.get("remote"):
        choices = None
    listed = choices if isinstance(choices, list) else []
    keyed = [item for item in listed if isinstance(item, dict)]
    return InputInfo(
        name=name,
        type="COMBO" if isinstance(kind, list) else str(kind),
        required=required,
        minimum=_number(told.get("min")),
        maximum=_number(told.get("max")),
        step=_number(told.get("step")),
        choices=tuple(
            key
            for item in listed
            if isinstance(key := item.get("key") if isinstance(item, dict) else item, str | int | float)
        )
        if isinstance(choices, list)
        else None,
        brings={str(item.get("key")): inner for item in keyed if (inner := _inputs(item.get("inputs")))},
        upload=any(key.endswith("_upload") and value is True for key, value in told.items()),
        many=told.get("multiselect") is True or "multi_select" in told,
    )


def _number(value: object) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def adjustable(graph: Mapping[str, Any], known: Mapping[str, NodeInfo] | None = None) -> list[Adjustable]:
    """What parameters can set in a graph; with the server's nodes also in which range."""
    found = []
    for node_id, node in graph.items():
        info = known.get(node["class_type"]) if known else None
        accepted = inputs_for(info, node["inputs"]) if info else {}
        for name, value in node["inputs"].items():
            wanted = accepted.get(name)
            if link_of(value) is not None or value in FILES or not isinstance(value, str | int | float):
                continue
            if known is not None and (wanted is None or wanted.type not in VALUES):
                continue
            found.append(
                Adjustable(
                    node_id=node_id,
                    class_type=node["class_type"],
                    title=str((node.get("_meta") or {}).get("title", "")),
                    input=name,
                    type=wanted.type if wanted else "",
                    value=value,
                    minimum=wanted.minimum if wanted else None,
                    maximum=wanted.maximum if wanted else None,
                    step=wanted.step if wanted else None,
                    choices=wanted.choices if wanted else None,
                )
            )
    return found
