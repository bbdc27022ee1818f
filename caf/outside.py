"""What of a job is done by an engine outside: which stage, with which workflow and parameters. Pure."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

import msgspec

from caf.comfy.binding import flat, from_bindings
from caf.comfy.graph import mode_of, takes_poses
from caf.contracts import ComfySettings, ComfyUIWorkflow
from caf.contracts.paths import workspace_path
from caf.errors import DocumentError, InputError
from caf.events import STAGES, Parameters, Stage
from caf.job import Job
from caf.ports import OutsideWork, Parameter

__all__ = [
    "OUTSIDE_ENGINE",
    "carried_over",
    "changed_stages",
    "given_files",
    "outside_stage",
    "outside_work",
    "parameters_of",
    "pose_video",
    "touched_stages",
]

OUTSIDE_ENGINE: Final = "comfyui"


def outside_stage(job: Job, workflow_id: str | None = None) -> Stage | None:
    """The stage that a server outside works in, if any: of the current attempt's workflow, or of another one."""
    workflow = _workflow(job, workflow_id or job.attempt.workflow_id)
    return mode_of(workflow).stage if workflow is not None else None


def outside_work(job: Job, stage: Stage) -> OutsideWork | None:
    """What is handed to a server outside in a stage; None where the stage is done here.

    Raises `InputError`: `workflow_missing`.
    """
    if job.attempt.workflow_id not in job.spec.workflows:
        raise InputError(
            f"The workflow {job.attempt.workflow_id!r} could not be read when the job was submitted.",
            remedy="Correct the registry or the workflow's file, and submit the job again.",
            kind="workflow_missing",
        )
    if outside_stage(job) != stage:
        return None
    settings = _settings(job)
    return OutsideWork(
        workflow=job.spec.workflows[job.attempt.workflow_id],
        urls=(settings.base_url,) if settings.base_url else (),
        patience_s=settings.poll.timeout_seconds or None,
    )


def parameters_of(job: Job, stage: Stage) -> dict[str, Parameter]:
    """What a stage of the current attempt is run with; a workflow's nodes are told as `node.input`."""
    own = dict(job.attempt.parameters.get(stage, {}))
    if outside_stage(job) == stage:
        return {**own, **flat(job.attempt.parameters, but=STAGES)}
    return own


def pose_video(document: dict[str, Any], workflows: dict[str, dict[str, Any]]) -> str | None:
    """The workspace's clip that steers a job's workflows; None: they are steered by the poses of the job's own clip.

    By the job's document and those of its workflows. Raises `DocumentError` for a path that leads out of the workspace.
    """
    named = msgspec.convert(document.get("comfyui") or {}, ComfySettings).bindings.pose_video_path
    steered = any(takes_poses(msgspec.convert(found, ComfyUIWorkflow)) for found in workflows.values())
    if named is None or not steered:
        return None
    return workspace_path(named, where="comfyui.bindings.pose_video_path")


def given_files(job: Job) -> dict[str, str]:
    """Role to recorded path of the files that people gave a job: `source`, `reference`, `pose_video`."""
    files: dict[str, str | None] = {"source": job.source, "reference": job.reference}
    with suppress(DocumentError):  # one that may not be named is no file of the job
        files["pose_video"] = pose_video(job.spec.document, job.spec.workflows)
    return {role: path for role, path in files.items() if path}


def touched_stages(job: Job, parameters: Iterable[str]) -> list[Stage]:
    """The stages that parameters of these nodes act in."""
    nodes = frozenset(parameters)
    found = [stage for stage in STAGES if stage in nodes]
    outside = outside_stage(job) if job.attempts else None
    if outside is not None and nodes - {*STAGES}:
        found.append(outside)
    return found


def changed_stages(job: Job, workflow_id: str, parameters: Parameters) -> list[Stage]:
    """The stages that would run otherwise than in the current attempt: with other parameters, or another workflow."""
    now = job.attempt
    nodes = [
        node for node in {*now.parameters, *parameters} if now.parameters.get(node) != parameters.get(node)
    ]
    found = [stage for stage in STAGES if stage in nodes]
    if workflow_id != now.workflow_id or set(nodes) - {*STAGES}:
        places = (outside_stage(job), outside_stage(job, workflow_id))
        found += [place for place in places if place is not None]
    return found


def carried_over(job: Job, workflow_id: str) -> Parameters:
    """The job's own parameters for a workflow: another one than it was made for has other nodes.

    The parameters of the stages stay, and prompts and seed go to that workflow's nodes.
    """
    given = job.spec.parameters
    workflow = _workflow(job, workflow_id)
    if workflow is None or workflow_id == job.spec.workflow_id:
        return given
    kept: Parameters = {node: inputs for node, inputs in given.items() if node in STAGES}
    bindings = _settings(job).bindings
    strangers = {"positive_nodes": (), "negative_nodes": (), "seed_nodes": ()}
    for part in ("positive_prompt", "negative_prompt", "seed"):
        others = {name: None for name in ("positive_prompt", "negative_prompt", "seed") if name != part}
        try:
            kept |= from_bindings(workflow, msgspec.structs.replace(bindings, **strangers, **others))
        except InputError:
            continue  # that workflow takes none
    return kept


def _workflow(job: Job, workflow_id: str) -> ComfyUIWorkflow | None:
    document = job.spec.workflows.get(workflow_id)
    return None if document is None else msgspec.convert(document, ComfyUIWorkflow)


def _settings(job: Job) -> ComfySettings:
    told: Any = job.spec.document.get("comfyui") or {}
    return msgspec.convert(told, ComfySettings)
