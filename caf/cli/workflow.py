"""`caf workflow`: what is wrong with a ComfyUI workflow before anything is rendered with it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from caf.cli.common import FILE, JSON, parse_parameters, print_json, print_table, run_async
from caf.cli.tables import one_line, say
from caf.errors import InputError

if TYPE_CHECKING:
    from caf.comfy.object_info import Adjustable
    from caf.contracts import ComfyUIWorkflow

__all__ = ["workflow"]

SHOWN = 6
"""Values of a list that are shown in a table."""


class Linted(Struct, frozen=True, kw_only=True):
    """What `caf workflow lint --json` says."""

    workflow_id: str
    sha256: str
    mode: str
    stage: str
    outputs: tuple[str, ...]
    placeholders: dict[str, tuple[str, ...]]
    """Placeholder to `node.input`."""
    models: tuple[str, ...]
    server: str | None
    good: bool
    problems: tuple[Any, ...]
    adjustable: tuple[Any, ...]


@click.group(short_help="Check a ComfyUI workflow.")
def workflow() -> None:
    """ComfyUI workflows: see docs/comfyui.md for how to write one."""


@workflow.command()
@click.argument("file", type=FILE)
@click.option("--server", metavar="URL", help="Check it against this server's nodes, models and ranges, too.")
@click.option("--job", "job_file", type=FILE, help="Check this job file's bindings against it, too.")
@click.option(
    "--set", "given", multiple=True, metavar="NODE.INPUT=VALUE", help="With this parameter; repeat it."
)
@JSON
def lint(file: Path, server: str | None, job_file: Path | None, given: tuple[str, ...], as_json: bool) -> int:
    """Check a workflow: its form, links, outputs, placeholders; with --server its classes, inputs, models, ranges.

    Lists what parameters can set. Nothing is rendered. Exits with 65 when the workflow would not run.
    """
    from caf.comfy.addresses import shown
    from caf.comfy.binding import models_of, put_in
    from caf.comfy.graph import mode_of, outputs_of, placeholders, read_workflow, workflow_digest
    from caf.comfy.object_info import adjustable
    from caf.comfy.problems import problems
    from caf.repairs import merge
    from caf.submission import document_bytes
    from caf.workflows import as_document, check_mixed

    found = read_workflow(document_bytes(file), str(file), workflow_id=file.name.removesuffix(".json"))
    parameters = parse_parameters(given)
    check_mixed(found, parameters)
    graph, _ = put_in(found, merge(_bound_by(job_file, found), parameters))
    known = _nodes_of(server, graph) if server else None
    wrong = problems(graph, known, outputs=outputs_of(found)) if known is not None else []
    mode = mode_of(found)
    places: dict[str, tuple[str, ...]] = {}
    for node_id, name, value in placeholders(found):
        places[value] = (*places.get(value, ()), f"{node_id}.{name}")
    linted = Linted(
        workflow_id=found.workflow_id,
        sha256=workflow_digest(as_document(found)),
        mode=mode.name,
        stage=mode.stage,
        outputs=outputs_of(found),
        placeholders=places,
        models=models_of(graph),
        server=shown(server) if server else None,
        good=not any(problem.grave for problem in wrong),
        problems=tuple(wrong),
        adjustable=tuple(
            item
            for item in adjustable(graph, known)
            if item.input != "filename_prefix" or item.node_id not in outputs_of(found)
        ),
    )
    if as_json:
        print_json(linted)
    else:
        _tell(linted)
    return 0 if linted.good else 65


def _bound_by(job_file: Path | None, found: "ComfyUIWorkflow") -> dict[str, dict[str, Any]]:
    """The parameters that a job's bindings give. Raises `InputError` for one that points at nothing."""
    if job_file is None:
        return {}
    from caf.comfy.binding import from_bindings
    from caf.contracts import JobDocument
    from caf.contracts.read import read_document
    from caf.repairs import merge
    from caf.submission import document_bytes
    from caf.workflows import check_mixed

    job = read_document(document_bytes(job_file), JobDocument, where=str(job_file))
    if job.comfyui is None:
        raise InputError(f"{job_file} has no comfyui.", remedy="Name a job that this workflow is for.")
    parameters = merge(from_bindings(found, job.comfyui.bindings), job.comfyui.bindings.parameters)
    check_mixed(found, parameters)
    return parameters


def _nodes_of(server: str, graph: Mapping[str, Any]) -> Mapping[str, Any]:
    from caf.comfy.client import Comfy
    from caf.comfy.object_info import NodeInfo, nodes_of

    async def ask() -> dict[str, NodeInfo]:
        async with Comfy(server) as comfy:
            return nodes_of(await comfy.object_info())

    return run_async(ask)


def _tell(linted: Linted) -> None:
    say(f"{one_line(linted.workflow_id)}: {linted.mode}, works in the {linted.stage} stage")
    say(f"outputs: {', '.join(linted.outputs)}")
    for name, places in linted.placeholders.items():
        say(f"{name}: {', '.join(places)}")
    if linted.models:
        say(f"models: {', '.join(linted.models)}")
    for problem in linted.problems:
        say(f"{'WRONG  ' if problem.grave else 'note   '} {problem.kind}: {problem.message}")
    if linted.adjustable:
        click.echo("")
        print_table(
            ["parameter", "class", "value", "range"],
            [
                [f"{item.node_id}.{item.input}", item.class_type, _short(item.value), _range(item)]
                for item in linted.adjustable
            ],
            empty="",
        )
    if linted.server is None:
        click.echo(
            "The classes, models and ranges were not checked: name a server with --server URL.", err=True
        )
    click.echo("good" if linted.good else "It would not run.", err=True)


def _short(value: object) -> str:
    text = str(value).replace("\n", " ")
    return text if len(text) <= 40 else f"{text[:39]}…"


def _range(item: "Adjustable") -> str:
    if item.choices is not None:
        shown = " | ".join(str(choice) for choice in item.choices[:SHOWN])
        return f"{shown} and {len(item.choices) - SHOWN} more" if len(item.choices) > SHOWN else shown
    if item.minimum is not None and item.maximum is not None:
        return f"{item.minimum:g} to {item.maximum:g}"
    return item.type
