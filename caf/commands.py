"""What people ask for, judged against a job's state: each command gives events or is refused. Pure."""

from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from caf.errors import RefusedError
from caf.events import (
    GATED,
    STAGES,
    AttemptId,
    EscalationAnswered,
    Event,
    HandoffApproved,
    JobCancelled,
    JobId,
    JobSubmitted,
    Posted,
    RetryOf,
    Stage,
    StageInterrupted,
)
from caf.events.codec import digest
from caf.events.facts import Parameters
from caf.job import Job, is_over
from caf.outside import touched_stages

__all__ = ["PERSON", "answer", "approve", "cancel", "interrupt", "register_post", "retry"]

PERSON: Final = "person"
"""`Posted.observed_from` when nobody but a person said so."""


def cancel(job: Job, *, by: str, reason: str) -> list[Event]:
    """Call a job off; nothing when it already is. Raises `RefusedError` when it has ended otherwise."""
    if job.status == "cancelled":
        return []
    _check_text(by, reason)
    if is_over(job):
        raise RefusedError(
            f"Job {job.spec.job_id} is {job.status} and cannot be cancelled.",
            remedy=f"See how it ended with: caf show {job.spec.job_id}",
            kind="job_over",
        )
    return [JobCancelled(by=by, reason=reason)]


def answer(
    job: Job,
    *,
    action: str,
    by: str,
    note: str = "",
    from_stage: Stage | None = None,
    parameters: Parameters | None = None,
    source: str | None = None,
    reference: str | None = None,
    question: int | None = None,
) -> list[Event]:
    """A person's answer to the open escalation. Raises `RefusedError` when there is none, or it cannot be.

    `question`: which one it is meant for; an answer that was on its way when another came must not be taken for that.
    """
    stage = _asked(job, question)
    _check_text(by, note, source or "", reference or "")
    if action in ("proceed", "abort") and (from_stage or parameters or source or reference):
        raise RefusedError(
            f"{action!r} takes no correction: a stage, a parameter, a clip or a picture goes with 'retry'.",
            remedy=f"Leave it out, or answer with: caf answer {job.spec.job_id} retry ...",
            kind="not_a_retry",
        )
    if action == "proceed" and not (job.attempts and stage in job.attempt.stages):
        raise RefusedError(
            f"Job {job.spec.job_id} cannot proceed: its {stage} stage gave nothing to go on with.",
            remedy=f"Answer with retry or abort: caf answer {job.spec.job_id} retry",
            kind="nothing_to_proceed_with",
        )
    if action == "retry":
        if from_stage is not None and STAGES.index(from_stage) > STAGES.index(stage):
            raise RefusedError(
                f"Job {job.spec.job_id} stands at the {stage} stage; it cannot go on from {from_stage}.",
                remedy=f"Name {stage} or a stage before it, or let it go on with: caf answer {job.spec.job_id} proceed",
                kind="stage_not_reached",
            )
        # What a changed input or parameter acts on must run again, or the record would not be true.
        touched = touched_stages(job, parameters or {})
        first: Stage = "artifact" if source or reference else from_stage or stage
        # Nothing starts on a stage that was not reached, or that nobody let through: a question about an earlier
        # attempt may come while this one is under way.
        missing = [name for name in STAGES if not _is_behind(job, name)][:1]
        return [
            EscalationAnswered(
                action="retry",
                stage=stage,
                by=by,
                note=note,
                from_stage=min((*touched, *missing, first), key=STAGES.index),
                parameters=parameters or {},
                source=source,
                reference=reference,
            )
        ]
    if action in ("proceed", "abort"):
        given: Literal["proceed", "abort"] = "proceed" if action == "proceed" else "abort"
        return [EscalationAnswered(action=given, stage=stage, by=by, note=note)]
    raise RefusedError(
        f"{action!r} is no answer.", remedy="Answer with proceed, retry or abort.", kind="unknown_answer"
    )


def _is_behind(job: Job, stage: Stage) -> bool:
    """Whether the current attempt has a stage's output, and it was let through where it is gated."""
    done = job.attempt.stages.get(stage) if job.attempts else None
    if done is None:
        return False
    if stage not in GATED or any(gate.stage == stage and gate.passed for gate in job.attempt.gates):
        return True
    ids = [attempt.id for attempt in job.attempts]
    return any(
        taken.stage == stage and taken.decision.action == "PROCEED"
        for attempt in job.attempts[ids.index(done.attempt_id) :]
        for taken in attempt.decisions
    )


def retry(job: Job, *, job_id: JobId, from_stage: Stage, by: str, note: str = "") -> JobSubmitted:
    """A job that is over, taken up again as a new job: its inputs and its last attempt's settings, linked.

    The stages before `from_stage` are taken from what was computed before, those from there on are run anew. The
    old job stays as it ended. Raises `RefusedError` for a job that is not over.
    """
    _check_text(by, note)
    if job.escalation is not None:
        raise RefusedError(
            f"Job {job.spec.job_id} waits for an answer; that is where it goes on.",
            remedy=f"Answer it: caf answer {job.spec.job_id} retry --from {from_stage}",
            kind="waits_for_an_answer",
        )
    if not is_over(job):
        raise RefusedError(
            f"Job {job.spec.job_id} is {job.status}; only a job that is over can be taken up again.",
            remedy=f"Wait for its end, or call it off first: caf cancel {job.spec.job_id}",
            kind="not_over",
        )
    last = job.attempts[-1] if job.attempts else None
    document = {**job.spec.document, "job_id": job_id}
    return replace(
        job.spec,
        job_id=job_id,
        document=document,
        document_sha256=digest(msgspec.json.encode(document, order="deterministic")),
        source=job.source,
        reference=job.reference,
        workflow_id=last.workflow_id if last else job.spec.workflow_id,
        parameters=last.parameters if last else job.spec.parameters,
        submitted_by=by,
        retry_of=RetryOf(
            job_id=job.spec.job_id,
            attempt_id=last.id if last else None,
            from_stage=from_stage,
            by=by,
            note=note,
        ),
    )


def _asked(job: Job, question: int | None) -> Stage:
    """The stage at which the question stands that an answer is meant for."""
    if job.escalation is None:
        raise RefusedError(
            f"Job {job.spec.job_id} is {job.status}; it asks nothing.",
            remedy="See what waits for an answer with: caf inbox",
            kind="nothing_asked",
        )
    if question is not None and question != job.question:
        raise RefusedError(
            f"Job {job.spec.job_id} asks question {job.question} by now; this answers question {question}.",
            remedy=f"See what it asks with: caf show {job.spec.job_id}",
            kind="another_question",
        )
    return job.escalation.stage


def interrupt(
    job: Job, *, stage: Stage, attempt_id: AttemptId, gate: bool, ran_ms: int, reason: str
) -> list[Event]:
    """A stage, or its gate, was ended under way; nothing when it came to an end all the same."""
    if is_over(job) or not job.attempts or job.attempt.id != attempt_id:
        return []
    attempt = job.attempt
    judged = any(seen.stage == stage for seen in attempt.gates)
    if judged if gate else attempt.running != stage:
        return []
    return [StageInterrupted(stage=stage, attempt_id=attempt_id, gate=gate, ran_ms=ran_ms, reason=reason)]


def approve(job: Job, *, platform: str, by: str, note: str, observed_from: str = PERSON) -> list[Event]:
    """Let a job go to a platform; nothing when that was said before. Raises `RefusedError` for one that failed."""
    if platform in job.approved:
        return []
    _check_text(by, note)
    if job.status in ("cancelled", "aborted"):
        raise RefusedError(
            f"Job {job.spec.job_id} is {job.status}; there is nothing to hand over.",
            remedy=f"See why with: caf show {job.spec.job_id}",
            kind="job_over",
        )
    return [HandoffApproved(platform=platform, by=by, note=note, observed_from=observed_from)]


def register_post(job: Job, post: Posted) -> list[Event]:
    """A clip is live; nothing when this job and platform are registered already.

    What a publishing tool's state file says is a fact, also of a job that this log never saw. What a
    person says of a job that is not completed is refused: it is most likely another job's name.
    """
    if post.platform in job.posted:
        return []
    if post.observed_from == PERSON and job.status != "completed":
        raise RefusedError(
            f"Job {job.spec.job_id} is {job.status}; only a completed job can be posted.",
            remedy=f"See why with: caf show {job.spec.job_id}",
            kind="not_completed",
        )
    return [post]


def _check_text(*texts: str) -> None:
    """Raises `RefusedError` for a text that is no Unicode (a file name in an old encoding): JSON cannot hold it."""
    for text in texts:
        if any("\ud800" <= character <= "\udfff" for character in text):
            shown = text.encode("utf-8", "backslashreplace").decode()
            raise RefusedError(
                f"{shown!r} is not Unicode and cannot be recorded.",
                remedy="Rename the file, or write the text in UTF-8.",
                kind="not_unicode",
            )
