"""`caf rebuild`, `caf verify`: the read models made again, everything proved against everything."""

from pathlib import Path
from typing import Any, Final

import click

from caf.cli.common import JSON, WORKSPACE, Number, configured, print_json, run_async
from caf.errors import InputError
from eventstore.model import Archived

__all__ = ["archive", "rebuild", "verify"]

MOST_DAYS: Final = 36_500
"""A hundred years: a time that many days ago can still be told."""


@click.command(short_help="Make the read models again from the log.")
@WORKSPACE
@JSON
def rebuild(workspace: Path, as_json: bool) -> None:
    """Drop every row of the read models and fold the whole log again."""
    from caf.app import open_app

    async def work() -> int:
        async with open_app(workspace, configured(workspace)) as app:
            position = await app.models.rebuild(app.store)
            if app.models.path is None:
                raise InputError(
                    f"{app.workspace.projections} cannot be written; the read models are made anew for each verb.",
                    remedy="Move what stands in its place away, or mend its permissions: caf rebuild",
                    kind="workspace_read_only",
                )
            return position

    position = run_async(work)
    if as_json:
        print_json({"position": position})
    click.echo(f"Read models rebuilt from {position} events.", err=True)


@click.command(short_help="Move the events of jobs that are over to a second log.")
@click.argument("name")
@click.option("--over-for", "days", type=Number(0, MOST_DAYS), default=30, show_default=True, metavar="DAYS")
@WORKSPACE
@JSON
def archive(name: str, days: float, workspace: Path, as_json: bool) -> None:
    """Move what the log holds of jobs that are over to a new log NAME beside it, which replays by itself.

    Everything is shown as before, as long as the archive lies beside the log. Jobs that ended within the last
    DAYS stay where they are.
    """
    from caf.app import open_app
    from caf.archive import archive as move

    async def work() -> Archived | None:
        async with open_app(workspace, configured(workspace)) as app:
            return await move(app, name, days)

    done = run_async(work)
    if as_json:
        print_json(done)
    elif done is None:
        click.echo(f"No job has been over for {days:g} days; nothing was moved.", err=True)
    else:
        saved = (done.bytes_before - done.bytes_after) / 1024**2
        click.echo(f"{done.events} events of {done.streams} jobs are in {done.path}.")
        click.echo(f"The log is {saved:.1f} MiB smaller.", err=True)


@click.command(short_help="Prove log, artifacts and read models against each other.")
@WORKSPACE
@JSON
def verify(workspace: Path, as_json: bool) -> int:
    """Check the log's chain of digests, every artifact against its digest, and the read models against a
    fresh rebuild. Exits with 1 when something is wrong."""
    from caf.app import open_for_reading
    from caf.verify import verify as prove

    async def work() -> dict[str, Any]:
        async with open_for_reading(workspace, configured(workspace)) as app:
            return await prove(app)

    found = run_async(work)
    if as_json:
        print_json(found)
    else:
        click.echo(f"{found['events']} events, chain ending in {found['head_digest'][:16]}")
        click.echo(f"{found['artifacts']} artifacts")
        for problem in found["problems"]:
            click.echo(f"WRONG: {problem}")
        click.echo("all is as recorded" if not found["problems"] else f"{len(found['problems'])} problems")
    return 1 if found["problems"] else 0
