"""Which workflow a job is run with, and whether its parameters fit: before anything of it is recorded."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from caf.actors import poses
from caf.comfy.binding import bound, check_node_parameters, flat, from_bindings
from caf.comfy.graph import ANCHOR, POSE, POSES, placeholders, read_workflow, takes_poses
from caf.contracts import ComfyUIWorkflow, JobDocument, Workflow, WorkflowRegistry, node_defaults
from caf.contracts.paths import workspace_path
from caf.engines.parameters import settings_for
from caf.errors import CafError, InputError
from caf.events import STAGES, Parameters
from caf.job import Job
from caf.outside import OUTSIDE_ENGINE
from caf.policies import LOCAL_WORKFLOW
from caf.repairs import engine_of, merge

__all__ = [
    "Chosen",
    "as_document",
    "check_answer",
    "check_mixed",
    "check_parameters",
    "choose",
    "workflow_of",
]

TUNABLE = ("pose", "frame", "motion", "video")

Read = Callable[[Path], bytes]
"""Reads a document's file. Raises `DocumentError`."""


class Chosen(Struct, frozen=True, kw_only=True):
    """A job's workflow, with all that it was chosen among."""

    workflow_id: str
    registry: WorkflowRegistry
    """The one given, and the job's own workflow where that is not in it."""
    parameters: Parameters
    """The job's own, prompts and seed as those of the nodes that take them."""
    workflows: dict[str, dict[str, Any]] = {}
    """Documents of the workflows for engines outside."""
    warnings: tuple[str, ...] = ()


def choose(
    job: JobDocument,
    registry: WorkflowRegistry,
    root: Path,
    read: Read,
    *,
    wanted: str | None,
    parameters: Parameters,
    has_reference: bool,
) -> Chosen:
    """The workflow that was asked for, read and checked. Raises `InputError`, `DocumentError`.

    `wanted`: asked for on the command line; `parameters`: the job's own, by node.
    """
    settings = job.comfyui
    own: ComfyUIWorkflow | None = None
    if settings and settings.workflow_relpath and wanted in (None, settings.workflow_id):
        name = settings.workflow_id or Path(settings.workflow_relpath).stem
        own = _read(settings.workflow_relpath, root, read, name)
        registry, wanted = _with_own(registry, own, settings.workflow_id, settings.workflow_relpath)
    workflow_id = wanted or (settings.workflow_id if settings else None) or _local(registry)
    flow = next((item for item in registry.workflows if item.workflow_id == workflow_id), None)
    if flow is None:
        raise InputError(
            f"There is no workflow {workflow_id!r} in the registry.",
            remedy=f"Choose one of: {', '.join(item.workflow_id for item in registry.workflows)}.",
            kind="unknown_workflow",
        )
    plain = Chosen(workflow_id=workflow_id, registry=registry, parameters=parameters)
    if flow.engine == "local":
        check_parameters(merge(node_defaults(flow), parameters))
    if flow.engine != OUTSIDE_ENGINE:
        return plain
    workflow = own if own is not None else workflow_of(flow, root, read)
    chosen = _outside(plain, flow, workflow, job, has_reference=has_reference)
    return replace(chosen, workflows=_documents(registry, root, read, {workflow_id: workflow}))


def _outside(
    plain: Chosen, flow: Workflow, workflow: ComfyUIWorkflow, job: JobDocument, *, has_reference: bool
) -> Chosen:
    """All of a job that runs on a server: every name is looked up now, and not after an hour of rendering."""
    settings = job.comfyui
    parameters = plain.parameters
    if settings is not None:
        parameters = merge(from_bindings(workflow, settings.bindings), parameters)
    effective = merge(node_defaults(flow), parameters)
    check_mixed(workflow, effective)
    bound(workflow, flat(effective, but=STAGES))
    if not has_reference and any(value == ANCHOR for _, _, value in placeholders(workflow)):
        raise InputError(
            f"The workflow {flow.workflow_id} takes a picture of the subject, and the job has none.",
            remedy="Give one with --reference, an identity pack, or comfyui.bindings.identity_image_path.",
            kind="missing_input",
        )
    warnings = []
    if settings is not None and settings.bindings.pose_video_path is not None and not takes_poses(workflow):
        warnings.append(
            f"comfyui.bindings.pose_video_path is not used: no node of the workflow {flow.workflow_id} takes "
            f"{POSE} or {POSES}."
        )
    return replace(plain, parameters=parameters, warnings=tuple(warnings))


def _documents(
    registry: WorkflowRegistry, root: Path, read: Read, known: Mapping[str, ComfyUIWorkflow]
) -> dict[str, dict[str, Any]]:
    """The chosen one, and every other that the Supervisor may switch to, as far as it can be read."""
    found = dict(known)
    for flow in registry.workflows:
        if flow.engine == OUTSIDE_ENGINE and flow.workflow_id not in found:
            try:
                found[flow.workflow_id] = workflow_of(flow, root, read)
            except CafError:
                continue  # not this job's; a switch to it fails by name
    return {name: as_document(workflow) for name, workflow in found.items()}


def as_document(workflow: ComfyUIWorkflow) -> dict[str, Any]:
    """A workflow as the log keeps it: JSON's own types, so that it is read back as it is."""
    document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(workflow))
    return document


def check_answer(job: Job, parameters: Parameters) -> None:
    """Whether a person's correction fits the workflow that the job is run with. Raises `InputError`."""
    engine = engine_of(job) if job.attempts else ""
    if engine == "local":
        check_parameters(parameters)
    document = job.spec.workflows.get(job.attempt.workflow_id) if job.attempts else None
    if engine == OUTSIDE_ENGINE and document is not None:
        check_mixed(msgspec.convert(document, ComfyUIWorkflow), parameters)


def check_parameters(parameters: Parameters) -> None:
    """Raises `InputError` for a stage or parameter that neither the pose stage nor the embedded engine has."""
    for node, inputs in parameters.items():
        if node not in TUNABLE:
            raise InputError(
                f"The embedded engine has no stage {node!r} with parameters.",
                remedy=f"Name one of {', '.join(TUNABLE)}; list the parameters with: caf parameters",
                kind="unknown_parameter",
            )
        if node == "pose":
            poses.check_parameters(inputs)
        else:
            settings_for(node, inputs)


def check_mixed(workflow: ComfyUIWorkflow, parameters: Parameters) -> None:
    """Stages by the embedded engine's table, nodes by the workflow. Raises `InputError`."""
    check_parameters({node: inputs for node, inputs in parameters.items() if node in STAGES})
    check_node_parameters(
        workflow, {node: inputs for node, inputs in parameters.items() if node not in STAGES}
    )


def _with_own(
    registry: WorkflowRegistry, own: ComfyUIWorkflow, named: str | None, relpath: str
) -> tuple[WorkflowRegistry, str]:
    """The registry with the workflow that the job brings, and its id."""
    workflow_id = named or own.workflow_id
    there = {flow.workflow_id: flow for flow in registry.workflows}
    flow = there.get(workflow_id) or Workflow(workflow_id=workflow_id, engine=OUTSIDE_ENGINE, tags=())
    if flow.engine != OUTSIDE_ENGINE:
        raise InputError(
            f"The workflow {workflow_id!r} is one of the engine {flow.engine}, and the job brings a ComfyUI one.",
            remedy="Give comfyui.workflow_id another name.",
            kind="unknown_workflow",
        )
    there[workflow_id] = replace(flow, relpath=relpath)
    return replace(registry, workflows=tuple(there.values())), workflow_id


def workflow_of(flow: Workflow, root: Path, read: Read) -> ComfyUIWorkflow:
    """The document of a registry's workflow, checked in itself. Raises `InputError`, `DocumentError`."""
    if flow.relpath is None:
        raise InputError(
            f"The registry does not say where the workflow {flow.workflow_id!r} is.",
            remedy="Give its relpath there.",
            kind="workflow_missing",
        )
    return _read(flow.relpath, root, read, flow.workflow_id)


def _read(relpath: str, root: Path, read: Read, workflow_id: str) -> ComfyUIWorkflow:
    path = root / workspace_path(relpath, where="the workflow's relpath")
    return read_workflow(read(path), str(path), workflow_id=workflow_id)


def _local(registry: WorkflowRegistry) -> str:
    local = [flow.workflow_id for flow in registry.workflows if flow.engine == "local"]
    return local[0] if local else LOCAL_WORKFLOW
