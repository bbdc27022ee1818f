"""What a server's nodes take and give (`/object_info`), and what is wrong with a graph by that. Pure."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from msgspec import Struct

from caf.comfy.graph import FILES, TEXTS, link_of

__all__ = ["Adjustable", "InputInfo", "NodeInfo", "Problem", "adjustable", "nodes_of", "problems"]

NUMBERS: Final = ("INT", "FLOAT")
VALUES: Final = (*NUMBERS, "STRING", "BOOLEAN", "COMBO")
"""Types that a value may be given for; everything else comes over a link."""
ANY: Final = "*"
_EDITOR_ONLY: Final = frozenset({"upload", "control_after_generate", "choose file to upload", "videopreview"})
"""Inputs that the editor adds for itself; servers do not look at them."""
SHOWN: Final = 12
"""Values of a list that are named in a sentence."""


class InputInfo(Struct, frozen=True, kw_only=True):
    """One input of a class of nodes."""

    name: str
    type: str
    """INT, FLOAT, STRING, BOOLEAN, COMBO, or the types of a link, separated by commas."""
    required: bool
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str | int | float | bool, ...] | None = None
    """Of a COMBO that says which; None where it does not."""
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


class Problem(Struct, frozen=True, kw_only=True):
    """Something about a graph that a server would not run, or that does nothing there."""

    node_id: str
    class_type: str
    input: str
    kind: str
    message: str
    """A sentence."""
    grave: bool = True
    """False: it would run, and is probably not what was meant."""


class Adjustable(Struct, frozen=True, kw_only=True):
    """An input that parameters can set, and to what."""

    node_id: str
    class_type: str
    title: str
    input: str
    type: str
    value: Any
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str | int | float | bool, ...] | None = None


def nodes_of(answer: Mapping[str, Any]) -> dict[str, NodeInfo]:
    """An answer of `/object_info` by class; what is not of its form is passed over."""
    return {name: _node(name, raw) for name, raw in answer.items() if isinstance(raw, dict)}


def _node(name: str, raw: Mapping[str, Any]) -> NodeInfo:
    inputs: dict[str, InputInfo] = {}
    dynamic = False
    sections = raw.get("input")
    for section in ("required", "optional"):
        found = sections.get(section) if isinstance(sections, dict) else None
        for key, spec in found.items() if isinstance(found, dict) else ():
            inputs[key] = _input(key, spec, required=section == "required")
            dynamic = dynamic or inputs[key].type.startswith("COMFY_")
    outputs = raw.get("output")
    return NodeInfo(
        name=name,
        inputs=inputs,
        outputs=tuple("COMBO" if isinstance(item, list) else str(item) for item in outputs)
        if isinstance(outputs, list)
        else None,
        output_node=raw.get("output_node") is True,
        dynamic=dynamic,
    )


def _input(name: str, spec: object, *, required: bool) -> InputInfo:
    """`["INT", {...}]`, `[["a", "b"], {...}]` or `["COMBO", {"options": [...]}]`."""
    kind: object = spec[0] if isinstance(spec, list | tuple) and spec else ANY
    options: object = spec[1] if isinstance(spec, list | tuple) and len(spec) > 1 else {}
    told: Mapping[str, Any] = options if isinstance(options, dict) else {}
    choices = kind if isinstance(kind, list) else told.get("options")
    if told.get("remote"):
        choices = None
    return InputInfo(
        name=name,
        type="COMBO" if isinstance(kind, list) else str(kind),
        required=required,
        minimum=_number(told.get("min")),
        maximum=_number(told.get("max")),
        step=_number(told.get("step")),
        choices=tuple(item for item in choices if isinstance(item, str | int | float))
        if isinstance(choices, list)
        else None,
        upload=any(key.endswith("_upload") and value is True for key, value in told.items()),
        many=told.get("multiselect") is True or "multi_select" in told,
    )


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def problems(
    graph: Mapping[str, Any], known: Mapping[str, NodeInfo], *, outputs: Iterable[str] = ()
) -> list[Problem]:
    """What a server with these nodes would say against a graph, and what it would pass over in silence.

    Placeholders of files count as good. `outputs`: nodes whose output is meant.
    """
    found: list[Problem] = []
    for node_id, node in graph.items():
        info = known.get(node["class_type"])
        if info is None:
            near = get_close_matches(node["class_type"], known, n=1)
            hint = f"; it has {near[0]}" if near else ""
            found.append(
                _problem(
                    graph, node_id, "", "missing_node_type", f"the server has no node of this class{hint}"
                )
            )
            continue
        found += _of_node(graph, node_id, info, known)
    found += _of_graph(graph, known, tuple(outputs))
    return found


def _of_node(
    graph: Mapping[str, Any], node_id: str, info: NodeInfo, known: Mapping[str, NodeInfo]
) -> Iterator[Problem]:
    given: Mapping[str, Any] = graph[node_id]["inputs"]
    for name, wanted in info.inputs.items():
        if name not in given:
            if wanted.required and not wanted.type.startswith("COMFY_"):
                yield _problem(graph, node_id, name, "required_input_missing", "it is required and not given")
            continue
        link = link_of(given[name])
        if link is not None:
            yield from _of_link(graph, node_id, wanted, link, known)
        else:
            yield from _of_value(graph, node_id, wanted, given[name])
    for name, value in given.items():
        link = link_of(value)
        if name not in info.inputs and link is not None and link[0] not in graph:
            yield _dangling(graph, node_id, name, link[0])
        elif name not in info.inputs and name not in _EDITOR_ONLY and not _grown(name, info):
            near = get_close_matches(name, info.inputs, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            text = f"the server's {info.name} has no such input and passes it over{hint}"
            yield _problem(graph, node_id, name, "unknown_input", text, grave=False)


def _grown(name: str, info: NodeInfo) -> bool:
    return info.dynamic and (any(name.startswith(f"{key}.") for key in info.inputs) or "." in name)


def _of_link(
    graph: Mapping[str, Any],
    node_id: str,
    wanted: InputInfo,
    link: tuple[str, int],
    known: Mapping[str, NodeInfo],
) -> Iterator[Problem]:
    source, index = link
    if source not in graph:
        yield _dangling(graph, node_id, wanted.name, source)
        return
    giver = known.get(graph[source]["class_type"])
    if giver is None or giver.outputs is None:
        return
    if not 0 <= index < len(giver.outputs):
        text = f"node {source} ({giver.name}) has no output {index}, only {len(giver.outputs)}"
        yield _problem(graph, node_id, wanted.name, "dangling_link", text)
    elif not _fits(giver.outputs[index], wanted.type):
        text = f"it takes {wanted.type}, and node {source} ({giver.name}) gives {giver.outputs[index]} there"
        yield _problem(graph, node_id, wanted.name, "return_type_mismatch", text)


def _fits(given: str, wanted: str) -> bool:
    if given == wanted or ANY in (given, wanted) or "COMFY_" in given or "COMFY_" in wanted:
        return True
    return bool({item.strip() for item in given.split(",")} & {item.strip() for item in wanted.split(",")})


def _of_value(graph: Mapping[str, Any], node_id: str, wanted: InputInfo, value: object) -> Iterator[Problem]:
    if isinstance(value, str) and value in (*FILES, *TEXTS):
        if wanted.type not in ("COMBO", "STRING"):
            yield _problem(
                graph, node_id, wanted.name, "invalid_input_type", f"it takes {wanted.type}, no file"
            )
        return
    if isinstance(value, dict) and "__value__" in value:
        value = value["__value__"]
    judge = _JUDGES.get(wanted.type)
    if judge is not None and not judge(value):
        yield _problem(
            graph, node_id, wanted.name, "invalid_input_type", f"{value!r} is no value for {wanted.type}"
        )
    elif wanted.type in NUMBERS:
        yield from _of_range(graph, node_id, wanted, float(str(value)))
    elif wanted.choices is not None and not wanted.many and value not in wanted.choices:
        yield _not_listed(graph, node_id, wanted, value)


def _of_range(graph: Mapping[str, Any], node_id: str, wanted: InputInfo, value: float) -> Iterator[Problem]:
    if wanted.minimum is not None and value < wanted.minimum:
        text = f"{value:g} is below {wanted.minimum:g}"
        yield _problem(graph, node_id, wanted.name, "value_smaller_than_min", text)
    elif wanted.maximum is not None and value > wanted.maximum:
        text = f"{value:g} is above {wanted.maximum:g}"
        yield _problem(graph, node_id, wanted.name, "value_bigger_than_max", text)


def _not_listed(graph: Mapping[str, Any], node_id: str, wanted: InputInfo, value: object) -> Problem:
    choices = wanted.choices or ()
    if wanted.upload:
        # A file in a subfolder, or of the output folder, is found without being listed.
        text = f"{value!r} is not in the top of the server's input folder"
        placed = isinstance(value, str) and ("/" in value or value.endswith("]"))
        return _problem(graph, node_id, wanted.name, "file_not_listed", text, grave=not placed)
    near = get_close_matches(str(value), [str(item) for item in choices], n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    listed = ", ".join(str(item) for item in choices[:SHOWN])
    more = f" and {len(choices) - SHOWN} more" if len(choices) > SHOWN else ""
    text = f"{value!r} is not among the server's: {listed or 'it has none'}{more}{hint}"
    return _problem(graph, node_id, wanted.name, "value_not_in_list", text)


def _is_whole(value: Any) -> bool:
    try:
        return bool(int(value) == float(value))
    except (TypeError, ValueError, OverflowError):
        return False


def _is_number(value: Any) -> bool:
    try:
        return not math.isnan(float(value))
    except (TypeError, ValueError, OverflowError):
        return False


_JUDGES: Final[Mapping[str, Callable[[object], bool]]] = {
    "INT": _is_whole,
    "FLOAT": _is_number,
    "BOOLEAN": lambda value: isinstance(value, bool | int),
    "STRING": lambda value: isinstance(value, str | int | float),
}
"""What a server makes a value of the type out of."""


def _of_graph(
    graph: Mapping[str, Any], known: Mapping[str, NodeInfo], outputs: tuple[str, ...]
) -> Iterator[Problem]:
    for node_id in outputs:
        info = known.get(graph[node_id]["class_type"]) if node_id in graph else None
        if info is not None and not info.output_node:
            yield _problem(
                graph, node_id, "", "no_output_node", "the server does not run it for its own sake"
            )
    if not any(info.output_node for node in graph.values() if (info := known.get(node["class_type"]))):
        yield Problem(
            node_id="",
            class_type="",
            input="",
            kind="prompt_no_outputs",
            message="No node of the workflow puts anything out.",
        )
    sources = {
        node_id: {link[0] for value in node["inputs"].values() if (link := link_of(value))}
        for node_id, node in graph.items()
    }
    try:
        TopologicalSorter(sources).prepare()
    except CycleError as fault:
        circle = [str(item) for item in fault.args[1]]
        text = f"its links go round in a circle: {' -> '.join(circle)}"
        yield _problem(graph, circle[0], "", "dependency_cycle", text)


def _dangling(graph: Mapping[str, Any], node_id: str, name: str, source: str) -> Problem:
    return _problem(
        graph, node_id, name, "dangling_link", f"it is linked to node {source}, which is not there"
    )


def _problem(
    graph: Mapping[str, Any], node_id: str, name: str, kind: str, text: str, *, grave: bool = True
) -> Problem:
    class_type = str(graph[node_id]["class_type"])
    place = f"node {node_id} ({class_type})" + (f", {name}" if name else "")
    return Problem(
        node_id=node_id,
        class_type=class_type,
        input=name,
        kind=kind,
        message=f"{place}: {text}.",
        grave=grave,
    )


def adjustable(graph: Mapping[str, Any], known: Mapping[str, NodeInfo] | None = None) -> list[Adjustable]:
    """What parameters can set in a graph; with the server's nodes also in which range."""
    found = []
    for node_id, node in graph.items():
        info = known.get(node["class_type"]) if known else None
        for name, value in node["inputs"].items():
            wanted = info.inputs.get(name) if info else None
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
