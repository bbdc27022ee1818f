"""Render: runs exactly the stage it was told to and reports facts. It never retries, adapts or judges."""

from caf.actors import documents
from caf.actors.effects import (
    Cause,
    Effect,
    PublishOutput,
    RunStage,
    WriteDocument,
    is_current,
)
from caf.events import (
    GATED,
    STAGES,
    AttemptId,
    AttemptStarted,
    Event,
    JobCompleted,
    RepairDecided,
    Stage,
    StageCompleted,
    StageStarted,
)
from caf.job import Job
from caf.outside import parameters_of
from caf.places import final_path, output_folder

__all__ = ["NAME", "react"]

NAME = "render"


def react(job: Job, event: Event, cause: Cause) -> list[Event | Effect]:
    """What Render does about an event, given the job as of that event."""
    match event:
        case AttemptStarted(attempt_id=attempt_id, from_stage=stage):
            return [_start(job, attempt_id, stage)]
        case StageStarted(stage=stage, attempt_id=attempt_id) if is_current(job, attempt_id):
            return [
                RunStage(
                    stage=stage,
                    attempt_id=attempt_id,
                    engine=event.engine,
                    parameters=event.parameters,
                    fresh=_asked_anew(job, stage),
                )
            ]
        case StageCompleted(stage=stage, attempt_id=attempt_id) if stage not in GATED and is_current(
            job, attempt_id
        ):
            return _next(job, attempt_id, stage)
        case RepairDecided(stage=stage, attempt_id=attempt_id, decision=told) if (
            told.decision.action == "PROCEED" and is_current(job, attempt_id)
        ):
            return _next(job, attempt_id, stage)
        case JobCompleted(final_sha256=digest):
            return [_publish(job, digest, cause)]
        case _:
            return []


def _next(job: Job, attempt_id: AttemptId, stage: Stage) -> list[Event | Effect]:
    later = STAGES[STAGES.index(stage) + 1 :]
    return [_start(job, attempt_id, later[0])] if later else []


def _start(job: Job, attempt_id: AttemptId, stage: Stage) -> StageStarted:
    return StageStarted(
        stage=stage,
        attempt_id=attempt_id,
        engine=documents.engine_of(job, stage),
        parameters=parameters_of(job, stage),
    )


def _asked_anew(job: Job, stage: Stage) -> bool:
    """A job that takes another one up again computes anew from the stage that was named."""
    retry = job.spec.retry_of
    return retry is not None and STAGES.index(stage) >= STAGES.index(retry.from_stage)


def _publish(job: Job, digest: str, cause: Cause) -> PublishOutput:
    folder = output_folder(job.spec.job_id)
    return PublishOutput(
        final_sha256=digest,
        path=final_path(job.spec.job_id),
        documents=(
            WriteDocument(
                path=f"{folder}/production_metrics.v1.json",
                content=documents.production_metrics(job, cause.recorded_at),
            ),
            WriteDocument(path=f"{folder}/result.json", content=documents.result(job, cause.recorded_at)),
        ),
    )
