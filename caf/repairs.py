"""Which repairs a policy offers for what failed, where their parameters act, and what was tried before. Pure."""

from collections.abc import Sequence
from typing import Final

from caf.contracts import FailureClass, GateResult, Preset, Workflow, node_defaults
from caf.events import GATED, STAGES, Parameters, Stage
from caf.job import Job
from caf.outside import carried_over
from caf.ports import Parameter
from caf.qc.stages import judged_at

__all__ = [
    "DETERMINISTIC_ENGINES",
    "adjustments_of",
    "effective_parameters",
    "engine_of",
    "gives_the_same",
    "merge",
    "outcome_known",
    "presets_for",
    "stage_of",
    "with_presets",
    "workflow_of",
]

DETERMINISTIC_ENGINES: Final = frozenset({"local", "ffmpeg"})
"""Engines that give the same output for the same request, so that an unchanged retry is pointless."""

OVERRIDE_PLACES: Final[dict[str, tuple[str, str]]] = {
    "resolution_policy": ("video", "resolution_policy"),
    "motion_intensity": ("motion", "motion_intensity"),
    "fps_strategy": ("video", "fps_strategy"),
    "max_frames_override": ("video", "max_frames"),
    "queue_management": ("caf", "queue_management"),
}
"""Where a decision's policy override acts: stage and parameter."""


def effective_parameters(job: Job, workflow: Workflow) -> Parameters:
    """What a first attempt runs with: the workflow's defaults, and above them the job's own bindings."""
    return merge(node_defaults(workflow), carried_over(job, workflow.workflow_id))


def merge(base: Parameters, above: Parameters) -> Parameters:
    """`base` with every input that `above` names replaced."""
    merged = {node: dict(inputs) for node, inputs in base.items()}
    for node, inputs in above.items():
        merged[node] = {**merged.get(node, {}), **inputs}
    return merged


def stage_of(target: str | None) -> Stage:
    """The stage that a gate blames; one that names none blames the stage it is judged at.

    The editor of older policies is the video stage.
    """
    for stage in STAGES:
        if stage == target:
            return stage
    return judged_at(target)


def presets_for(job: Job, failed: list[GateResult], target: Stage) -> list[tuple[Stage, Preset]]:
    """Legal repairs: the failed classes' presets first, then those of classes blamed on the same stage."""
    policy = job.spec.policy
    stages = {gate.metric: stage_of(gate.target_stage) for gate in policy.gates}
    by_class = {item.class_id: item for item in policy.failure_classification.classes}
    wanted = list(dict.fromkeys(gate.failure_class for gate in failed if gate.failure_class))
    presets: list[tuple[Stage, Preset]] = []
    for preset in policy.workflow_presets.class_to_preset:
        found = by_class.get(preset.class_id)
        if found is None or not preset.parameter_overrides:
            continue
        place = _place_of(found, stages, failed, target)
        if preset.class_id in wanted or place == target:
            presets.append((place, preset))
    return sorted(
        presets,
        key=lambda item: wanted.index(item[1].class_id) if item[1].class_id in wanted else len(wanted),
    )


def _place_of(
    found: FailureClass, stages: dict[str, Stage], failed: list[GateResult], target: Stage
) -> Stage:
    blamed = [stage_of(gate.target_stage) for gate in failed if gate.failure_class == found.class_id]
    if blamed:
        return min(blamed, key=STAGES.index)
    return next((stages[metric] for metric in found.metrics if metric in stages), target)


def with_presets(job: Job, chosen: Sequence[tuple[Stage, Preset]]) -> tuple[str, Parameters, Parameters]:
    """The workflow that presets ask for, the parameters to run it with, and those of them that the presets add.

    Another workflow than the current one begins with its own defaults and the job's own bindings: it has other nodes.
    """
    workflow_id = workflow_of(job, chosen[0][1])
    flow = _flow(job, workflow_id)
    added: Parameters = {}
    for place, preset in chosen:
        added = merge(added, _placed(flow, place, preset))
    if flow is None or workflow_id == job.attempt.workflow_id:
        return workflow_id, merge(job.attempt.parameters, added), added
    return workflow_id, merge(effective_parameters(job, flow), added), added


def _placed(flow: Workflow | None, place: Stage, preset: Preset) -> Parameters:
    """A preset's overrides under the nodes they belong to.

    Named per node; else the node whose defaults in the registry have an input of that name; else the
    preset's stage, or the first one that takes parameters.
    """
    own = place if place in GATED else "frame"
    homes = node_defaults(flow) if flow else {}
    found: Parameters = {}
    for name, value in preset.parameter_overrides.items():
        if isinstance(value, dict):
            found[name] = {**found.get(name, {}), **value}
        elif name in OVERRIDE_PLACES:
            node, own_name = OVERRIDE_PLACES[name]
            found.setdefault(node, {})[own_name] = value
        else:
            for node in [node for node, inputs in homes.items() if name in inputs] or [own]:
                found.setdefault(node, {})[name] = value
    return found


def adjustments_of(added: Parameters) -> dict[str, int | float | dict[str, Parameter]]:
    """Parameters as production_decision.v1 has them: name to number, or node to inputs where that says less."""
    found: dict[str, int | float | dict[str, Parameter]] = {}
    for node, inputs in added.items():
        numbers = {
            name: value
            for name, value in inputs.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        clear = all(name not in added and found.get(name, value) == value for name, value in numbers.items())
        if len(numbers) == len(inputs) and clear:
            found |= numbers
        else:
            found[node] = dict(inputs)
    return found


def outcome_known(job: Job, workflow_id: str, parameters: Parameters) -> bool:
    """True when an attempt on the same inputs ran just so, on an engine that would give the same again."""
    if not gives_the_same(job):
        return (job.attempt.workflow_id, job.attempt.parameters) == (workflow_id, parameters)
    taken_in = job.attempt.stages.get("artifact")
    return any(
        attempt.workflow_id == workflow_id
        and attempt.parameters == parameters
        and not (attempt.failure and attempt.failure.transient)
        and (inputs := attempt.stages.get("artifact")) is not None
        and taken_in is not None
        and inputs.key == taken_in.key
        for attempt in job.attempts
    )


def gives_the_same(job: Job) -> bool:
    """True when the engine gives the same output for the same request, so that an unchanged retry is pointless.

    A recorded workflow holds its seeds, and so does it.
    """
    return engine_of(job) in DETERMINISTIC_ENGINES or job.attempt.workflow_id in job.spec.workflows


def _flow(job: Job, workflow_id: str) -> Workflow | None:
    return next((flow for flow in job.spec.registry.workflows if flow.workflow_id == workflow_id), None)


def engine_of(job: Job) -> str:
    """The engine that the current attempt's workflow runs on; empty when the registry does not say."""
    flow = _flow(job, job.attempt.workflow_id)
    return flow.engine if flow else ""


def workflow_of(job: Job, preset: Preset) -> str:
    """The preset's workflow when the registry has it on the same engine, else the current one."""
    for flow in job.spec.registry.workflows:
        if flow.workflow_id == preset.workflow_id and flow.engine == engine_of(job):
            return flow.workflow_id
    return job.attempt.workflow_id
