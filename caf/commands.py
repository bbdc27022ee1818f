"""What people ask for, judged against a job's state: each command gives events or is refused. Pure."""

from typing import Final, Literal

from caf.errors import RefusedError
from caf.events import STAGES, EscalationAnswered, Event, JobCancelled, Posted, Stage
from caf.events.facts import Parameters
from caf.job import Job, is_over

__all__ = ["PERSON", "answer", "cancel", "register_post"]

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
) -> list[Event]:
    """A person's answer to the open escalation. Raises `RefusedError` when there is none, or it cannot be."""
    if job.escalation is None:
        raise RefusedError(
            f"Job {job.spec.job_id} is {job.status}; it asks nothing.",
            remedy="See what waits for an answer with: caf inbox",
            kind="nothing_asked",
        )
    _check_text(by, note, source or "", reference or "")
    stage = job.escalation.stage
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
        touched = [node for node in STAGES if node in (parameters or {})]
        first: Stage = "artifact" if source or reference else from_stage or stage
        return [
            EscalationAnswered(
                action="retry",
                stage=stage,
                by=by,
                note=note,
                from_stage=min((*touched, first), key=STAGES.index),
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
