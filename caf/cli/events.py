"""`caf events` and `caf replay`: the log as it is, and a job as of any point in it."""

import difflib
import select
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import anyio
import click
import msgspec

from caf.app import App
from caf.cli.common import (
    COUNT,
    JOB,
    JSON,
    WORKSPACE,
    configured,
    job_ids,
    json_text,
    local_time,
    print_json,
    run_async,
)
from caf.cli.read import described
from caf.cli.run import summary
from caf.cli.tables import one_line, say
from caf.cli.telling import tell
from caf.contracts.times import timestamp
from caf.errors import RefusedError
from caf.events.codec import TYPES, UnreadableEvent, decode
from caf.job import Job
from caf.log import job_of, stream_of
from eventstore import EventStoreError, RecordedEvent

__all__ = ["as_json_line", "events", "replay"]

LOOK_S: Final = 0.25
"""How often to look whether stdout still has a reader: no call waits for an event and for that alike."""


@click.command(short_help="Print recorded events, or follow them live.")
@click.argument("job_id", required=False, shell_complete=job_ids)
@click.option("--after", type=COUNT, default=0, metavar="POSITION", help="Only later ones.")
@click.option("--type", "types", multiple=True, metavar="NAME", help="Only events of this type.")
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@WORKSPACE
@JSON
def events(
    job_id: str | None, after: int, types: tuple[str, ...], follow: bool, workspace: Path, as_json: bool
) -> None:
    """Print the recorded events of a job, or of all jobs; with --json one JSON object a line, payload
    included."""
    from caf.app import open_for_reading

    _check_types(types)

    def show(recorded: RecordedEvent) -> None:
        if (job_id is None or recorded.stream == stream_of(job_id)) and (not types or recorded.type in types):
            click.echo(as_json_line(recorded) if as_json else _as_line(recorded, wide=job_id is None))
            sys.stdout.flush()

    async def work() -> None:
        async with open_for_reading(workspace, configured(workspace)) as app:
            await _check(app, job_id)
            if follow:
                await _follow(app, after, show)
            elif job_id is not None:
                async for recorded in app.store.read(stream_of(job_id)):
                    if recorded.position > after:
                        show(recorded)
            else:
                async for recorded in app.store.read_all(after_position=after):
                    show(recorded)

    run_async(work)


async def _follow(app: App, after: int, show: Callable[[RecordedEvent], None]) -> None:
    """Show what comes until nobody reads any more. Raises `BrokenPipeError` then."""
    fault: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(_until_unread, group.cancel_scope)
        try:
            async for recorded in app.store.subscribe(after_position=after):
                show(recorded)
        except (EventStoreError, OSError) as error:  # told as itself, not as a group of one
            fault = error
        group.cancel_scope.cancel()
    raise fault or BrokenPipeError


async def _until_unread(scope: anyio.CancelScope) -> None:
    """Cancel when the pipe that stdout is has lost its reader: without this, only the next event would tell."""
    watched = select.poll()
    watched.register(sys.stdout.fileno(), select.POLLOUT)
    gone = select.POLLERR | select.POLLHUP | select.POLLNVAL
    while not any(seen & gone for _, seen in watched.poll(0)):  # noqa: ASYNC110 - no task could set an event
        await anyio.sleep(LOOK_S)
    scope.cancel()


def _check_types(types: Sequence[str]) -> None:
    """Raises `UsageError` for a misspelt one, which would otherwise only show nothing."""
    for name in types:
        if name not in TYPES:
            near = difflib.get_close_matches(name, TYPES, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "They are listed in docs/reference/events.md."
            raise click.UsageError(f"No event has the type {name!r}. {hint}")


async def _check(app: App, job_id: str | None) -> None:
    if job_id is not None and not await app.store.version(stream_of(job_id)):
        raise RefusedError(
            f"There is no job {job_id!r} in this workspace's log.",
            remedy="List the jobs with: caf jobs",
            kind="unknown_job",
        )


def _as_line(recorded: RecordedEvent, *, wide: bool) -> str:
    try:
        said = tell(decode(recorded.type, recorded.type_version, recorded.data))
    except UnreadableEvent as fault:
        said = one_line(f"UNREADABLE: {fault}")
    where = f"{recorded.position:>6}  {job_of(recorded.stream):<28}" if wide else f"{recorded.version:>4}"
    return f"{where}  {local_time(timestamp(recorded.recorded_at_ms))}  {recorded.type:<21} {said}"


def as_json_line(recorded: RecordedEvent) -> str:
    """A recorded event with its payload as one line of JSON; null for one that is no JSON, or that nests too deep."""
    try:
        data: Any = msgspec.json.decode(recorded.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        data = None
    return json_text(
        {
            "position": recorded.position,
            "stream": recorded.stream,
            "version": recorded.version,
            "event_id": recorded.event_id,
            "type": recorded.type,
            "type_version": recorded.type_version,
            "recorded_at": timestamp(recorded.recorded_at_ms),
            "correlation_id": recorded.correlation_id,
            "causation_id": recorded.causation_id,
            "checksum": f"{recorded.checksum:08x}",
            "data": data,
        }
    )


@click.command(short_help="Show a job's state as of a version, from the log alone.")
@JOB
@click.option(
    "--at",
    "at_version",
    type=click.IntRange(1),
    metavar="VERSION",
    help="After this event; default: the last.",
)
@WORKSPACE
@JSON
def replay(job_id: str, at_version: int | None, workspace: Path, as_json: bool) -> None:
    """Fold a job's events up to a version: what was known then, and what had been decided."""
    from caf.app import open_for_reading

    async def work() -> Job:
        async with open_for_reading(workspace, configured(workspace)) as app:
            if (
                at_version is not None
                and (last := await app.store.version(stream_of(job_id))) < at_version
                and last
            ):
                raise RefusedError(
                    f"Job {job_id} has {last} events; there is no version {at_version}.",
                    remedy=f"Choose 1 to {last}; see them with: caf events {job_id}",
                    kind="no_such_version",
                )
            return await app.job(job_id, at_version=at_version)

    job = run_async(work)
    if as_json:
        print_json({**summary(job), "job": job})
        return
    click.echo(f"as of version {job.version}:")
    for line in described(job):
        say(line)
