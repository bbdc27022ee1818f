"""`caf submit`, `caf status`, `caf pause`, `caf unpause`, `caf retry`: the daemon's queue from the command line."""

from pathlib import Path
from typing import Any

import click

from caf.cli.common import JOB, JSON, WORKSPACE, configured, job_ids, print_json, run_async, said_again
from caf.cli.people import who
from caf.cli.progress import View
from caf.cli.run import drafted, end_of, given_job
from caf.events import STAGES, DaemonEvent, JobId
from caf.job import Job

__all__ = ["pause", "retry", "status", "submit", "unpause"]


@click.command(short_help="Hand a clip, an image or a job to the daemon.")
@given_job
@click.option(
    "--priority", type=click.IntRange(-100, 100), default=0, show_default=True, help="Higher goes first."
)
@click.option("--wait", "waits", is_flag=True, help="Follow the job to its end; exits as caf run does.")
@WORKSPACE
@JSON
def submit(
    clip: Path | None,
    job_file: Path | None,
    settings: tuple[str, ...],
    waits: bool,
    workspace: Path,
    as_json: bool,
    **given: Any,
) -> int:
    """Record a job for the daemon of this workspace; its inputs are probed first, and refused if they cannot be
    used. Works with the daemon down: the job is begun when it starts."""
    if clip is None and job_file is None:
        raise click.UsageError("Give a clip or image, or a job: caf submit CLIP, or caf submit --job FILE.")
    from caf.app import open_app
    from caf.daemon.following import follow
    from caf.daemon.lock import daemon_address
    from caf.runner import open_runner
    from caf.workspace import Workspace

    config = configured(workspace)
    found = drafted(workspace, config, clip=clip, job_file=job_file, settings=settings, **given)
    own = Workspace(workspace).own

    async def work() -> tuple[JobId, Job | None]:
        with View(quiet=as_json) as view:
            for warning in found.warnings:
                view.say(f"caf: {warning}")
            async with open_app(workspace, config) as app:
                async with open_runner(app, view.tick) as runner:
                    job_id = await runner.submit(found, by=who())
                running = daemon_address(own) is not None
                if not running:
                    view.say("caf: no daemon serves this workspace yet; start it with: caf serve")
                return job_id, await follow(app, job_id, view.seen) if waits else None

    job_id, job = run_async(work)
    if job is not None:
        return end_of(job, as_json, workspace)
    if as_json:
        print_json({"job_id": job_id, "status": "submitted"})
    else:
        click.echo(job_id)
    return 0


@click.command(short_help="Say what the daemon does now, and why a job waits.")
@click.argument("job_id", required=False, shell_complete=job_ids)
@WORKSPACE
@JSON
def status(job_id: str | None, workspace: Path, as_json: bool) -> int:
    """Say what runs, what waits and for what; with JOB_ID, where that job stands. Exits with 69 when no daemon
    runs."""
    from caf.cli.standing import daemon_status, job_standing

    config = configured(workspace)
    if job_id is None:
        return daemon_status(workspace, config, as_json=as_json)
    return job_standing(job_id, workspace, config, as_json=as_json)


@click.command(short_help="Let the daemon begin nothing new.")
@click.option("--reason", default="", help="Why; it is recorded, and told to whoever asks why a job waits.")
@WORKSPACE
@JSON
def pause(reason: str, workspace: Path, as_json: bool) -> None:
    """Pause the queue: what runs is finished, and no stage is begun until: caf unpause."""
    from caf.daemon.state import pause as decide

    events = _told_daemon(workspace, lambda daemon: decide(daemon, by=who(), reason=reason))
    if as_json:
        print_json({"paused": True, "recorded": bool(events)})
    click.echo("The queue is paused." if events else "The queue was paused before.", err=True)


@click.command(short_help="Let the queue go on.")
@WORKSPACE
@JSON
def unpause(workspace: Path, as_json: bool) -> None:
    """Let a paused queue go on."""
    from caf.daemon.state import unpause as decide

    events = _told_daemon(workspace, lambda daemon: decide(daemon, by=who()))
    if as_json:
        print_json({"paused": False, "recorded": bool(events)})
    click.echo("The queue goes on." if events else "The queue was not paused.", err=True)


def _told_daemon(workspace: Path, decide: Any) -> list[DaemonEvent]:
    from caf.app import open_app

    async def work() -> list[DaemonEvent]:
        async with open_app(workspace, configured(workspace)) as app:
            return list(await app.daemon_command(decide))

    return run_async(work)


@click.command(short_help="Take a job that is over up again from a stage, as a new job.")
@JOB
@click.option(
    "--from",
    "from_stage",
    type=click.Choice(STAGES),
    required=True,
    help="What is computed anew from here on.",
)
@click.option("--job-id", "new_id", metavar="ID", help="Id of the new job; default: JOB_ID-2 and so on.")
@click.option("--note", default="", help="Why; it is recorded.")
@WORKSPACE
@JSON
def retry(
    job_id: str, from_stage: str, new_id: str | None, note: str, workspace: Path, as_json: bool
) -> None:
    """Take a job that is over up again, with its inputs and the settings of its last attempt. It becomes a job of
    its own that names the old one: what was completed, cancelled or given up stays as it ended. The stages before
    the named one are taken from what was computed before."""
    from caf.app import open_app

    async def work() -> JobId:
        async with open_app(workspace, configured(workspace)) as app:
            stage = next(name for name in STAGES if name == from_stage)
            return await app.retry(job_id, from_stage=stage, by=who(), note=note, new_id=new_id)

    name = run_async(work)
    if as_json:
        print_json({"job_id": name, "retry_of": job_id, "from_stage": from_stage})
    else:
        click.echo(name)
        click.echo(f"The daemon takes it up; without one: caf resume {name}{said_again(workspace)}", err=True)
