"""Handoff: prepares derived files and keeps the registry. It never changes a master, never posts."""

from caf.actors import documents
from caf.actors.effects import Cause, Effect, PreparePayloads, WriteDocument
from caf.events import Event, JobCompleted
from caf.job import Job

__all__ = ["NAME", "react"]

NAME = "handoff"


def react(job: Job, event: Event, cause: Cause) -> list[Event | Effect]:
    """What Handoff does about an event, given the job as of that event."""
    match event:
        case JobCompleted() if job.spec.platforms:
            folder = f"sandbox/dist_artifacts/{job.spec.job_id}"
            return [
                PreparePayloads(
                    platforms=job.spec.platforms,
                    documents=tuple(
                        WriteDocument(
                            path=f"{folder}/{platform}.json", content=documents.payload(job, platform)
                        )
                        for platform in job.spec.platforms
                    ),
                )
            ]
        case _:
            return []
