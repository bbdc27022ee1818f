"""Follows a job that another process works on, until it is over or waits for a person."""

from collections.abc import Callable

from caf.app import App
from caf.job import INITIAL, Job, is_over
from caf.log import Entry, entry_of, stream_of

__all__ = ["follow"]


async def follow(app: App, job_id: str, seen: Callable[[Entry], None] = lambda entry: None) -> Job:
    """Tell every entry of the stream, the old ones included; the job at its end. Raises `CafError`."""
    job = INITIAL
    head = await app.store.head()
    async for recorded in app.store.read(stream_of(job_id)):
        entry = entry_of(job, recorded)
        job = entry.job
        seen(entry)
    if _at_rest(job):
        return job
    async for recorded in app.store.subscribe(after_position=head):
        if recorded.stream != stream_of(job_id) or recorded.version <= job.version:
            continue
        entry = entry_of(job, recorded)
        job = entry.job
        seen(entry)
        if _at_rest(job):
            break
    return job


def _at_rest(job: Job) -> bool:
    return is_over(job) or job.status == "waiting"
