"""What becomes of an event that an actor fails on again and again: a question to a person."""

from caf.contracts import UserActionRequired
from caf.contracts.times import timestamp
from caf.errors import CafError
from caf.events import Escalated, Stage, attempt_id
from caf.log import Entry

__all__ = ["dead_letter", "given_up", "is_dead_letter"]


def dead_letter(actor: str, entry: Entry, fault: Exception, tries: int) -> Escalated:
    """The escalation of the one job that this event belongs to; the others go on."""
    job = entry.job
    current = job.attempts[-1] if job.attempts else None
    own: Stage | None = getattr(entry.event, "stage", None)
    return Escalated(
        attempt_id=current.id if current else attempt_id(1),
        stage=own or (current.from_stage if current else "artifact"),
        request=UserActionRequired(
            job_id=job.spec.job_id,
            reason="CONTRACT_VIOLATION",
            required_artifact=_subject(actor, entry),
            expected_format="an event that the actor can answer",
            example_fix=f"caf answer {job.spec.job_id} retry",
            escalation_ts=timestamp(entry.recorded.recorded_at_ms),
        ),
        detail=f"{actor} failed {tries} times on {_place(entry)}: {_told(fault)}",
    )


def is_dead_letter(event: object, actor: str, entry: Entry) -> bool:
    """Whether an event is the question that was asked because this actor failed on that entry."""
    return isinstance(event, Escalated) and event.request.required_artifact == _subject(actor, entry)


def given_up(actor: str, entry: Entry, fault: Exception, tries: int) -> CafError:
    """The same where a person cannot be asked by the job: told to whoever runs it."""
    job_id = entry.job.spec.job_id
    return CafError(
        f"Job {job_id} is {entry.job.status}, but {actor} failed {tries} times on {_place(entry)}: "
        f"{_told(fault)}.",
        remedy=f"Mend the cause, then finish it with: caf resume {job_id}",
        kind="actor_failed",
    )


def _subject(actor: str, entry: Entry) -> str:
    return f"{actor} on {_place(entry)}"


def _place(entry: Entry) -> str:
    return f"{entry.recorded.type}, version {entry.recorded.version}"


def _told(fault: Exception) -> str:
    # A path may hold bytes that are no text; what is told must be.
    return f"{type(fault).__name__}: {fault}".encode("utf-8", "backslashreplace").decode()
