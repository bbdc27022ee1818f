"""The Supervisor's rules: from a job's recorded history to one legal decision. Pure.

It chooses among what the policy and the registry allow and invents no parameter: a retry takes a preset
of a failed class, never a value of its own, and never repeats an attempt whose outcome is already known.
"""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from caf.contracts import (
    Decision,
    EscalationReason,
    GateResult,
    PolicyOverrides,
    Preset,
    QCReport,
    TargetStage,
)
from caf.events import STAGES, Failure, Parameters, Stage
from caf.job import Job
from caf.outside import OUTSIDE_ENGINE, changed_stages, given_files, touched_stages
from caf.repairs import (
    adjustments_of,
    effective_parameters,
    engine_of,
    gives_the_same,
    merge,
    outcome_known,
    presets_for,
    stage_of,
    with_presets,
)

__all__ = ["Verdict", "after_failure", "after_gate", "attempts_left", "contracted"]

CORRUPTED: Final = frozenset({"artifact_corrupted", "not_a_video", "not_a_file", "pose_unreadable"})
"""Kinds of failure that say that a file is not what it should be."""

CLEARED: Final[Parameters] = {"caf": {"queue_management": "CLEAR_STALE_ITEMS"}}
"""What a failed attempt left in a server's queue goes before the next one begins; only what is ours."""

SEVERITY: Final = {"CRITICAL": 0, "HIGH": 1, "MEDIUM": 2, "LOW": 3}


class Verdict(Struct, frozen=True, kw_only=True):
    """A decision together with what it takes to carry it out."""

    decision: Decision
    alternatives: tuple[str, ...]
    from_stage: Stage | None = None
    workflow_id: str | None = None
    parameters: Parameters | None = None
    reason_code: EscalationReason | None = None
    """For ESCALATE_USER: a reason of user_action_required.v1."""
    artifact: str = ""
    """For ESCALATE_USER: the field or file to correct."""
    expected: str = ""
    threshold_failed: str | None = None
    example_fix: str = ""
    failure: Failure | None = None


def attempts_left(job: Job) -> int:
    """Attempts that may still be started: retries + 1 in all, and one more for each that a person asked for."""
    return job.spec.policy.max_retries_default + 1 + job.retries_asked - len(job.attempts)


def after_gate(job: Job, stage: Stage, report: QCReport) -> Verdict:
    """The decision after a stage's gates were judged."""
    if report.overall.passed:
        return Verdict(
            decision=Decision(action="PROCEED", reasoning=f"Every gate of the {stage} stage passed."),
            alternatives=("PROCEED",),
        )
    failed = _failed_gates(report)
    recommended = report.overall.recommended_action
    stuck = [gate for gate in failed if not gate.repairable and gate.severity in ("HIGH", "CRITICAL")]
    if recommended == "PROCEED":
        return Verdict(
            decision=Decision(
                action="PROCEED",
                reasoning=f"{_told(failed)} The policy lets the job go on all the same.",
            ),
            alternatives=("PROCEED", "ESCALATE_USER"),
        )
    if recommended == "ABORT":
        return _abort(failed)
    if recommended == "RETRY_STAGE" and not stuck:
        return _retry(job, stage, failed)
    if recommended == "SWITCH_POLICY" and not stuck:
        return _switch(job, stage, failed)
    why = f"{_told(failed)} The policy asks for a person."
    if stuck and recommended != "ESCALATE_USER":
        why = f"{_told(failed)} The policy says that {stuck[0].metric} cannot be repaired."
        failed = [*stuck, *(gate for gate in failed if gate not in stuck)]
    return _escalate_gates(failed, why, ("ESCALATE_USER",))


def after_failure(job: Job, stage: Stage, failure: Failure) -> Verdict:
    """The decision after a stage gave no artifacts: again when that can help, otherwise a person."""
    if failure.transient and attempts_left(job) > 0:
        why = f"The {stage} stage failed ({failure.kind}: {failure.message}); the same request may succeed."
        left_behind = engine_of(job) == OUTSIDE_ENGINE and failure.kind.startswith("comfy_")
        return Verdict(
            decision=Decision(
                action="RETRY_STAGE",
                reasoning=why,
                target_stage=contracted(stage),
                policy_overrides=PolicyOverrides(queue_management="CLEAR_STALE_ITEMS")
                if left_behind
                else None,
            ),
            alternatives=(f"RETRY_STAGE {stage} unchanged", "ESCALATE_USER"),
            from_stage=stage,
            workflow_id=job.attempt.workflow_id,
            parameters=merge(job.attempt.parameters, CLEARED if left_behind else {}),
        )
    code = "RETRY_BUDGET_EXCEEDED" if failure.transient else _failure_reason(failure)
    tried = f" after {len(job.attempts)} attempts" if failure.transient else ""
    return Verdict(
        decision=Decision(
            action="ESCALATE_USER",
            reasoning=f"The {stage} stage failed{tried} ({failure.kind}): {failure.message}",
        ),
        alternatives=("ESCALATE_USER",),
        reason_code=code,
        artifact=_file_to_correct(job, stage, failure) or f"{stage} stage",
        expected=failure.remedy,
        example_fix=f"caf answer {job.spec.job_id} retry {_way_out(job, stage, failure)}",
        failure=failure,
    )


def _file_to_correct(job: Job, stage: Stage, failure: Failure) -> str | None:
    """The person's file that the failure names: of several that fit, the one with the longest name."""
    if stage != "artifact" and not failure.kind.startswith("media_"):
        return None
    named = [file for file in given_files(job).values() if file in failure.message]
    return max(named, key=len, default=job.source if stage == "artifact" else None)


def _way_out(job: Job, stage: Stage, failure: Failure) -> str:
    file = _file_to_correct(job, stage, failure)
    if file is not None and not failure.transient:
        # Another pose video cannot be named by an answer: the file is put right where it is.
        ways = {job.source: "--source <another clip>", job.reference: "--reference <another picture>"}
        return ways.get(file, "--from artifact")
    # What is damaged is made again only from where it came from.
    return f"--from {'artifact' if failure.kind in CORRUPTED else stage}"


def _retry(job: Job, stage: Stage, failed: list[GateResult]) -> Verdict:
    target = _target(stage, [gate for gate in failed if gate.repairable] or failed)
    options = presets_for(job, failed, target)
    legal = (*(f"RETRY_STAGE {place} with {preset.preset_id}" for place, preset in options), "ESCALATE_USER")
    left = attempts_left(job)
    if left <= 0:
        why = f"{_told(failed)} All {len(job.attempts)} attempts that the policy allows are used."
        return _escalate_gates(failed, why, ("ESCALATE_USER",), code="RETRY_BUDGET_EXCEEDED")
    current = job.attempt.parameters
    for chosen in (_for_every_class(job, failed, options), *([option] for option in options)):
        if not chosen:
            continue
        workflow_id, parameters, added = with_presets(job, chosen)
        if not outcome_known(job, workflow_id, parameters):
            touched = [*touched_stages(job, added), *changed_stages(job, workflow_id, parameters)]
            # Never after the stage just judged: the ones between would be skipped, and their gates with them.
            first = min((*touched, *(place for place, _ in chosen), stage), key=STAGES.index)
            return Verdict(
                decision=_repair(failed, [preset for _, preset in chosen], first, added),
                alternatives=legal,
                from_stage=first,
                workflow_id=workflow_id,
                parameters=parameters,
            )
    if not gives_the_same(job):
        return Verdict(
            decision=Decision(
                action="RETRY_STAGE",
                reasoning=f"{_told(failed)} No preset is left to try; the engine may give another result.",
                target_stage=contracted(target),
            ),
            alternatives=(f"RETRY_STAGE {target} unchanged", *legal),
            from_stage=target,
            workflow_id=job.attempt.workflow_id,
            parameters=current,
        )
    why = (
        f"{_told(failed)} Every repair that the policy has for it was tried, and the engine would give the "
        f"same result again ({left} of {job.spec.policy.max_retries_default} retries not used)."
    )
    return _escalate_gates(failed, why, ("ESCALATE_USER",), code="RETRY_BUDGET_EXCEEDED")


def _for_every_class(
    job: Job, failed: list[GateResult], options: list[tuple[Stage, Preset]]
) -> list[tuple[Stage, Preset]]:
    """The presets of all failed classes at once; a class without one takes its stage's first in the policy."""
    named = {name for gate in failed if (name := gate.failure_class)}
    chosen = [option for option in options if option[1].class_id in named]
    covered = {preset.class_id for _, preset in chosen}
    order = job.spec.policy.workflow_presets.class_to_preset
    for gate in failed:
        if gate.failure_class not in covered:
            beside = [option for option in options if option[0] == stage_of(gate.target_stage)]
            first = min(beside, key=lambda option: order.index(option[1]), default=None)
            if first is not None and first not in chosen:
                chosen.append(first)
    return chosen


def _repair(failed: list[GateResult], chosen: list[Preset], from_stage: Stage, added: Parameters) -> Decision:
    names = ", ".join(preset.preset_id for preset in chosen)
    return Decision(
        action="RETRY_STAGE",
        reasoning=f"{_told(failed)} The policy's repair for it is {names}: again from the {from_stage} stage.",
        target_stage=contracted(from_stage),
        workflow_profile=chosen[0].preset_id,
        parameter_adjustments=adjustments_of(added),
    )


def _switch(job: Job, stage: Stage, failed: list[GateResult]) -> Verdict:
    target = _target(stage, failed)
    if attempts_left(job) <= 0:
        why = f"{_told(failed)} All {len(job.attempts)} attempts that the policy allows are used."
        return _escalate_gates(failed, why, ("ESCALATE_USER",), code="RETRY_BUDGET_EXCEEDED")
    used = {attempt.workflow_id for attempt in job.attempts}
    others = [flow for flow in job.spec.registry.workflows if flow.workflow_id not in used]
    same_engine = [flow for flow in others if flow.engine == engine_of(job)]
    if not same_engine:
        why = f"{_told(failed)} The policy asks for another workflow, and the registry has none left to try."
        return _escalate_gates(failed, why, ("ESCALATE_USER",))
    flow = same_engine[0]
    parameters = effective_parameters(job, flow)
    # What the other workflow does otherwise before the blamed stage is to be done by it, too.
    target = min((target, *changed_stages(job, flow.workflow_id, parameters)), key=STAGES.index)
    return Verdict(
        decision=Decision(
            action="SWITCH_POLICY",
            reasoning=f"{_told(failed)} The policy asks for another workflow: {flow.workflow_id} is next.",
            target_stage=contracted(target),
            workflow_profile=flow.workflow_id,
        ),
        alternatives=(*(f"SWITCH_POLICY {other.workflow_id}" for other in same_engine), "ESCALATE_USER"),
        from_stage=target,
        workflow_id=flow.workflow_id,
        parameters=parameters,
    )


def _abort(failed: list[GateResult]) -> Verdict:
    told = f"{_told(failed)} The policy gives such a job up."
    return Verdict(
        decision=Decision(action="ABORT", reasoning=told),
        alternatives=("ABORT", "ESCALATE_USER"),
        failure=Failure(
            kind="quality_gate_failed", message=told, remedy="Submit a corrected job under a new job_id."
        ),
    )


def _escalate_gates(
    failed: list[GateResult], why: str, legal: tuple[str, ...], *, code: EscalationReason | None = None
) -> Verdict:
    worst = failed[0]
    if code is None:
        code = (
            "LOW_CONFIDENCE_DETECTION"
            if worst.status == "UNKNOWN"
            else _GATE_REASONS.get(worst.dimension, "CONTRACT_VIOLATION")
        )
    return Verdict(
        decision=Decision(action="ESCALATE_USER", reasoning=why),
        alternatives=legal,
        reason_code=code,
        artifact=_artifact_to_correct(worst),
        expected=f"{worst.metric} of at least {worst.threshold:g}. {worst.reason}",
        threshold_failed=_shortfall(worst),
        example_fix=f"caf answer <job_id> retry --from artifact {_way_to_correct(worst)}",
    )


_GATE_REASONS: Final[dict[str, EscalationReason]] = {
    "identity": "IDENTITY_CONFLICT",
    "costume": "IDENTITY_CONFLICT",
    "motion": "LOW_CONFIDENCE_DETECTION",
    "audio": "CONTRACT_VIOLATION",
    "technical": "CONTRACT_VIOLATION",
}
_WAYS_OUT: Final = {
    "reference picture": "--reference <picture of the cat in the clip>",
    "source audio": "--source <clip with sound>",
    "source clip": "--source <corrected clip>",
}
_OF_THE_CLIP: Final = ("identity_drift", "mask_edge_bleed")
"""What of the identity is seen in the clip alone: no other picture of the cat changes it."""


def _artifact_to_correct(gate: GateResult) -> str:
    if gate.metric in _OF_THE_CLIP:
        return "source clip"
    of_dimension = {"identity": "reference picture", "costume": "reference picture", "audio": "source audio"}
    return of_dimension.get(gate.dimension, "source clip")


def _way_to_correct(gate: GateResult) -> str:
    if gate.dimension == "costume":
        return "--reference <picture with the required costume>"
    return _WAYS_OUT[_artifact_to_correct(gate)]


def _failure_reason(failure: Failure) -> EscalationReason:
    if failure.kind in ("media_missing", "not_found", "artifact_missing"):
        return "ARTIFACT_MISSING"
    if failure.kind in CORRUPTED or failure.kind.startswith("media_"):
        return "ARTIFACT_CORRUPTED"
    return "CONTRACT_VIOLATION"


def _failed_gates(report: QCReport) -> list[GateResult]:
    """Failed gates, gravest first; the policy's order among equals."""
    ids = set(report.overall.failed_gate_ids)
    return sorted(
        (gate for gate in report.gates if gate.gate_id in ids), key=lambda gate: SEVERITY[gate.severity]
    )


def _shortfall(gate: GateResult) -> str:
    found = "not measured" if gate.score is None else f"{gate.score:.3f}"
    return f"{gate.metric}: {found}, threshold {gate.threshold:g}"


def _told(failed: list[GateResult]) -> str:
    parts = [
        f"{gate.metric} could not be measured{_because(gate)}"
        if gate.score is None
        else f"{gate.metric} is {gate.score:.3f}, below {gate.threshold:g}"
        for gate in failed
    ]
    return f"{'; '.join(parts)}."


def _because(gate: GateResult) -> str:
    _, _, why = gate.reason.partition(": ")
    return f" ({why.rstrip('.')})" if why else ""


def _target(stage: Stage, failed: Iterable[GateResult]) -> Stage:
    """The earliest stage that a failed gate blames, but none after the one just judged."""
    blamed = [stage_of(gate.target_stage or stage) for gate in failed]
    return min((*blamed, stage), key=STAGES.index)


def contracted(stage: Stage) -> TargetStage:
    """The decision contract has no pose stage; what it blames on pose re-enters at the artifact stage."""
    return "artifact" if stage == "pose" else stage
