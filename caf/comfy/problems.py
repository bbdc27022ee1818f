"""What a server would say against a graph, by what its nodes take and give. Pure."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from caf.comfy.graph import FILES, TEXTS, link_of, reached
from caf.comfy.object_info import ANY, DYNAMIC, InputInfo, NodeInfo, inputs_for

__all__ = ["Problem", "problems"]

_EDITOR_ONLY: Final = frozenset({"upload", "control_after_generate", "choose file to upload", "videopreview"})
"""Inputs that the editor adds for itself; servers do not look at them."""
SHOWN: Final = 12
"""Values of a list that are named in a sentence."""


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


def problems(
    graph: Mapping[str, Any], known: Mapping[str, NodeInfo], *, outputs: Iterable[str] = ()
) -> list[Problem]:
    """What a server with these nodes would say against a graph, and what it would pass over in silence.

    Placeholders of files count as good. `outputs`: nodes whose output is meant. Of a node that leads to no output a
    server only knows the class, so that nothing else about it is grave.
    """
    found: list[Problem] = []
    ends = {node_id for node_id, node in graph.items() if _puts_out(known, node)}
    live = reached(graph, {*ends, *outputs})
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
        of_node = _of_node(graph, node_id, info, known)
        found += of_node if node_id in live else map(_passed_over, of_node)
    found += _of_graph(graph, known, tuple(outputs), live)
    return found


def _puts_out(known: Mapping[str, NodeInfo], node: Mapping[str, Any]) -> bool:
    info = known.get(node["class_type"])
    return info is not None and info.output_node


def _passed_over(problem: Problem) -> Problem:
    told = problem.message.removesuffix(".")
    return replace(problem, message=f"{told}; no output needs this node, so it is not run.", grave=False)


def _of_node(
    graph: Mapping[str, Any], node_id: str, info: NodeInfo, known: Mapping[str, NodeInfo]
) -> Iterator[Problem]:
    given: Mapping[str, Any] = graph[node_id]["inputs"]
    accepted = inputs_for(info, given)
    for name, wanted in accepted.items():
        if name not in given:
            # Without its choice a node fails when it runs, though the server takes the graph.
            if wanted.required and (wanted.choices or not wanted.type.startswith(DYNAMIC)):
                yield _problem(graph, node_id, name, "required_input_missing", "it is required and not given")
            continue
        link = link_of(given[name])
        if link is not None:
            yield from _of_link(graph, node_id, wanted, link, known)
        else:
            yield from _of_value(graph, node_id, wanted, given[name])
    for name, value in given.items():
        link = link_of(value)
        if name not in accepted and link is not None and link[0] not in graph:
            # No server looks at it, and its worker dies of it: seen on 0.26, NodeNotFoundError, a queue for ever.
            yield _dangling(graph, node_id, name, link[0])
        elif name not in accepted and name not in _EDITOR_ONLY and not _grown(name, info):
            near = get_close_matches(name, accepted, n=1)
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
        # What gives anything may give more than it lists: custom nodes whose outputs grow, switches and loops.
        grave = index < 0 or ANY not in giver.outputs
        told = f"only {len(giver.outputs)}" if grave else "though it may grow"
        text = f"node {source} ({giver.name}) has no output {index}, {told}"
        yield _problem(graph, node_id, wanted.name, "dangling_link", text, grave=grave)
    elif not _fits(giver.outputs[index], wanted.type):
        text = f"it takes {wanted.type}, and node {source} ({giver.name}) gives {giver.outputs[index]} there"
        yield _problem(graph, node_id, wanted.name, "return_type_mismatch", text)


def _fits(given: str, wanted: str) -> bool:
    if given == wanted or DYNAMIC in given or DYNAMIC in wanted:
        return True
    gives, takes = ({item.strip() for item in types.split(",")} for types in (given, wanted))
    return bool(gives & takes) or ANY in gives | takes


def _of_value(graph: Mapping[str, Any], node_id: str, wanted: InputInfo, value: object) -> Iterator[Problem]:
    if isinstance(value, str) and value in (*FILES, *TEXTS):
        if wanted.type not in ("COMBO", "STRING"):
            yield _problem(
                graph, node_id, wanted.name, "invalid_input_type", f"it takes {wanted.type}, no file"
            )
        return
    if isinstance(value, list) and not wanted.type.startswith(DYNAMIC):
        # Servers take every list for a link; one that is meant as a value stands in {"__value__": [...]}.
        text = f'{value!r} is no link; that is [node id, output], as in ["4", 0]'
        yield _problem(graph, node_id, wanted.name, "bad_linked_input", text)
        return
    if isinstance(value, dict) and "__value__" in value:
        value = value["__value__"]
    try:
        made = _MAKERS.get(wanted.type, _as_it_is)(value)
    except (TypeError, ValueError, OverflowError):
        text = f"{value!r} is no value for {wanted.type}"
        yield _problem(graph, node_id, wanted.name, "invalid_input_type", text)
        return
    if not isinstance(value, _PLAIN.get(wanted.type, object)) or (wanted.type == "INT" and _is_cut(value)):
        text = f"{value!r} becomes {made!r} at the server"
        yield _problem(graph, node_id, wanted.name, "value_changed", text, grave=False)
    if isinstance(made, int | float) and wanted.type in ("INT", "FLOAT"):
        yield from _of_range(graph, node_id, wanted, made)
    elif wanted.choices is not None and not wanted.many and value not in wanted.choices:
        yield _not_listed(graph, node_id, wanted, value)


def _of_range(
    graph: Mapping[str, Any], node_id: str, wanted: InputInfo, value: int | float
) -> Iterator[Problem]:
    """Whole numbers stay whole: beyond 2**53 a float is another number."""
    if wanted.minimum is not None and value < wanted.minimum:
        text = f"{_shown(value)} is below {_shown(wanted.minimum)}"
        yield _problem(graph, node_id, wanted.name, "value_smaller_than_min", text)
    elif wanted.maximum is not None and value > wanted.maximum:
        text = f"{_shown(value)} is above {_shown(wanted.maximum)}"
        yield _problem(graph, node_id, wanted.name, "value_bigger_than_max", text)


def _shown(value: int | float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


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


def _as_it_is(value: Any) -> object:
    return value


def _as_number(value: Any) -> float:
    number = float(value)
    if math.isnan(number):  # a server takes it, and nobody means it
        raise ValueError("no number")
    return number


def _is_cut(value: object) -> bool:
    return isinstance(value, float) and not value.is_integer()


_MAKERS: Final[Mapping[str, Callable[[Any], object]]] = {
    "INT": int,
    "FLOAT": _as_number,
    "BOOLEAN": bool,
    "STRING": str,
}
"""What a server makes a value of the type out of; it refuses only what this raises for."""
_PLAIN: Final[Mapping[str, tuple[type, ...]]] = {
    "BOOLEAN": (bool, int, float),
    "STRING": (str, int, float),
}
"""Values that become what was meant."""


def _of_graph(
    graph: Mapping[str, Any], known: Mapping[str, NodeInfo], outputs: tuple[str, ...], live: frozenset[str]
) -> Iterator[Problem]:
    for node_id in outputs:
        info = known.get(graph[node_id]["class_type"]) if node_id in graph else None
        if info is not None and not info.output_node:
            yield _problem(
                graph, node_id, "", "no_output_node", "the server does not run it for its own sake"
            )
    if not any(_puts_out(known, node) for node in graph.values()):
        yield Problem(
            node_id="",
            class_type="",
            input="",
            kind="prompt_no_outputs",
            message="No node of the workflow puts anything out.",
        )
    sources = {
        node_id: {link[0] for value in graph[node_id]["inputs"].values() if (link := link_of(value))}
        for node_id in live
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
