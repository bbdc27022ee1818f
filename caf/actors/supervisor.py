"""Supervisor: the only one that decides, and only among what policy and registry allow."""

from typing import Final

from caf import policy
from caf.actors import documents
from caf.actors.effects import Cause, Effect, RemoveDocument, WriteDocument, is_current
from caf.contracts import Action, Decision, ProductionDecision, UserActionRequired
from caf.events import (
    AttemptStarted,
    Escalated,
    EscalationAnswered,
    Event,
    Failure,
    JobAborted,
    JobCancelled,
    JobCompleted,
    JobSubmitted,
    QCFailed,
    QCPassed,
    Reasoner,
    RepairDecided,
    Stage,
    StageFailed,
    attempt_id,
)
from caf.job import Job
from caf.policy import Verdict
from caf.repairs import effective_parameters, merge

__all__ = ["NAME", "react"]

NAME = "supervisor"

ANSWERS: Final[dict[str, Action]] = {"proceed": "PROCEED", "retry": "RETRY_STAGE", "abort": "ABORT"}


def react(job: Job, event: Event, cause: Cause) -> list[Event | Effect]:
    """What the Supervisor does about an event, given the job as of that event."""
    match event:
        case JobSubmitted():
            return [_first_attempt(job)]
        case QCPassed(attempt_id=attempt) | QCFailed(attempt_id=attempt) if is_current(job, attempt):
            return _carry_out(
                job, event.stage, policy.after_gate(job, event.stage, event.report), "policy", cause
            )
        case StageFailed(attempt_id=attempt, stage=stage) if is_current(job, attempt):
            return _carry_out(job, stage, policy.after_failure(job, stage, event.failure), "policy", cause)
        case EscalationAnswered():
            return [*_answered(job, event, cause), RemoveDocument(path=_question_path(job))]
        case RepairDecided():
            return [
                WriteDocument(
                    path=f"sandbox/logs/{job.spec.job_id}/supervisor/{event.attempt_id}/production_decision.v1.json",
                    content=documents.written(event.decision),
                )
            ]
        case Escalated():
            return [WriteDocument(path=_question_path(job), content=documents.written(event.request))]
        case JobCancelled():
            return [RemoveDocument(path=_question_path(job))]
        case _:
            return []


def _question_path(job: Job) -> str:
    return f"sandbox/logs/{job.spec.job_id}/qc/user_action_required.json"


def _first_attempt(job: Job) -> AttemptStarted:
    flow = documents.workflow_of(job, job.spec.workflow_id)
    return AttemptStarted(
        attempt_id=attempt_id(1),
        from_stage="artifact",
        workflow_id=job.spec.workflow_id,
        parameters=effective_parameters(job, flow),
        decided_by=None,
    )


def _carry_out(
    job: Job, stage: Stage, verdict: Verdict, reasoned_by: Reasoner, cause: Cause
) -> list[Event | Effect]:
    decided = RepairDecided(
        attempt_id=job.attempt.id,
        stage=stage,
        decision=ProductionDecision(
            job_id=job.spec.job_id, attempt_id=job.attempt.id, decision=verdict.decision
        ),
        reasoned_by=reasoned_by,
        alternatives=verdict.alternatives,
    )
    match verdict.decision.action:
        case "PROCEED":
            final = job.artifact("final")
            if stage != "video" or final is None:
                return [decided]
            return [decided, JobCompleted(attempt_id=job.attempt.id, final_sha256=final.sha256)]
        case "RETRY_STAGE" | "SWITCH_POLICY":
            return [decided, _next_attempt(job, verdict, cause)]
        case "ESCALATE_USER":
            return [decided, _escalated(job, stage, verdict, cause)]
        case _:
            assert verdict.failure is not None
            return [decided, JobAborted(attempt_id=job.attempt.id, failure=verdict.failure)]


def _next_attempt(job: Job, verdict: Verdict, cause: Cause) -> AttemptStarted:
    assert verdict.from_stage is not None
    return AttemptStarted(
        attempt_id=attempt_id(len(job.attempts) + 1),
        from_stage=verdict.from_stage,
        workflow_id=verdict.workflow_id or job.attempt.workflow_id,
        parameters=job.attempt.parameters if verdict.parameters is None else verdict.parameters,
        decided_by=cause.event_id,
    )


def _escalated(job: Job, stage: Stage, verdict: Verdict, cause: Cause) -> Escalated:
    assert verdict.reason_code is not None
    return Escalated(
        attempt_id=job.attempt.id,
        stage=stage,
        request=UserActionRequired(
            job_id=job.spec.job_id,
            reason=verdict.reason_code,
            required_artifact=verdict.artifact or "source clip",
            expected_format=verdict.expected or "a file that passes the gate",
            threshold_failed=verdict.threshold_failed,
            example_fix=verdict.example_fix.replace("<job_id>", job.spec.job_id) or None,
            escalation_ts=cause.recorded_at,
        ),
        detail=verdict.decision.reasoning,
    )


def _answered(job: Job, answer: EscalationAnswered, cause: Cause) -> list[Event | Effect]:
    """A person's answer as a decision, from where the job stood."""
    told = f"{answer.by} answered {answer.action}{': ' + answer.note if answer.note else ''}."
    stage = answer.stage
    action = ANSWERS[answer.action]
    from_stage = answer.from_stage or ("artifact" if answer.source or answer.reference else stage)
    verdict = Verdict(
        decision=Decision(
            action=action,
            reasoning=told,
            target_stage=policy.contracted(from_stage) if action == "RETRY_STAGE" else None,
        ),
        alternatives=("PROCEED", "RETRY_STAGE", "ABORT"),
        from_stage=from_stage,
        workflow_id=job.attempt.workflow_id,
        parameters=merge(job.attempt.parameters, answer.parameters),
        failure=Failure(kind="given_up", message=told, remedy="Submit a corrected job under a new job_id.")
        if action == "ABORT"
        else None,
    )
    reactions = _carry_out(job, stage, verdict, "person", cause)
    return [_with_inputs(item, answer) for item in reactions]


def _with_inputs(item: Event | Effect, answer: EscalationAnswered) -> Event | Effect:
    if isinstance(item, AttemptStarted) and (answer.source or answer.reference):
        return AttemptStarted(
            attempt_id=item.attempt_id,
            from_stage="artifact",
            workflow_id=item.workflow_id,
            parameters=item.parameters,
            decided_by=item.decided_by,
            source=answer.source,
            reference=answer.reference,
        )
    return item
