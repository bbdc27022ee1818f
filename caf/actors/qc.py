"""QC: measures and gates what a stage gave. It never decides what happens next."""

from caf.actors import documents
from caf.actors.effects import Cause, Effect, MeasureStage, WriteDocument, is_current
from caf.events import GATED, Event, QCFailed, QCPassed, StageCompleted
from caf.job import Job
from caf.qc.stages import metrics_of

__all__ = ["NAME", "react"]

NAME = "qc"


def react(job: Job, event: Event, cause: Cause) -> list[Event | Effect]:
    """What QC does about an event, given the job as of that event."""
    match event:
        case StageCompleted(stage=stage, attempt_id=attempt_id) if stage in GATED and is_current(
            job, attempt_id
        ):
            return [
                MeasureStage(stage=stage, attempt_id=attempt_id, metrics=metrics_of(job.spec.policy, stage))
            ]
        case QCPassed(attempt_id=attempt_id) | QCFailed(attempt_id=attempt_id) if (
            job.attempts and job.attempt.id == attempt_id
        ):
            return [
                WriteDocument(
                    path=f"sandbox/logs/{job.spec.job_id}/qc/qc_report.v1.json",
                    content=documents.qc_report(job, cause.recorded_at),
                )
            ]
        case _:
            return []
