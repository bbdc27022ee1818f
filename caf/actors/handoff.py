"""Handoff: prepares derived files and keeps the registry. It never changes a master, never posts."""

from caf.actors import documents
from caf.actors.effects import Cause, Effect, PreparePayloads, WriteDocument
from caf.events import Event, HandoffApproved, JobCompleted
from caf.job import Job

__all__ = ["NAME", "react"]

NAME = "handoff"


def react(job: Job, event: Event, cause: Cause) -> list[Event | Effect]:
    """What Handoff does about an event, given the job as of that event."""
    match event:
        case JobCompleted():
            return _prepared(job, tuple(dict.fromkeys((*job.spec.platforms, *job.approved))))
        case HandoffApproved(platform=platform) if job.status == "completed":
            known = job.prepared.platforms if job.prepared else ()
            return _prepared(job, () if platform in (*known, *job.spec.platforms) else (platform,))
        case _:
            return []


def _prepared(job: Job, platforms: tuple[str, ...]) -> list[Event | Effect]:
    folder = f"sandbox/dist_artifacts/{job.spec.job_id}"
    documents_of = tuple(
        WriteDocument(path=f"{folder}/{platform}.json", content=documents.payload(job, platform))
        for platform in platforms
    )
    return [PreparePayloads(platforms=platforms, documents=documents_of)] if platforms else []
