"""`caf backup`: the workspace copied while it is at work."""

from pathlib import Path

import click

from caf.cli.common import FILE, JSON, WORKSPACE, configured, print_json, run_async
from caf.cli.progress import View

__all__ = ["backup"]


@click.command(short_help="Copy the workspace to another folder, while jobs run.")
@click.argument("folder", type=FILE, metavar="DIR")
@click.option("--link", is_flag=True, help="Hard links for artifacts, where DIR is on the same disk.")
@WORKSPACE
@JSON
def backup(folder: Path, link: bool, workspace: Path, as_json: bool) -> int:
    """Copy the workspace to DIR: the log as it is at one moment, every artifact that it names, settings and
    documents. A daemon and running jobs go on meanwhile.

    A second backup to the same DIR copies only what is new. Until it is finished, what was in DIR stands as it was;
    a finished one has backup.json, and verifies: caf verify --workspace DIR. Exits with 1 when the workspace itself
    had lost an artifact or cannot read a file; all else is in the backup then.
    """
    from caf.app import open_for_reading
    from caf.backup import Report, back_up

    async def work() -> Report:
        with View(quiet=as_json) as view:
            async with open_for_reading(workspace, configured(workspace)) as app:
                return await back_up(
                    app, folder, lambda doing, done, total: view.tick("", doing, done, total), link=link
                )

    report = run_async(work)
    if as_json:
        print_json(report)
        return 1 if report.problems else 0
    click.echo(report.folder)
    for problem in report.problems:
        click.echo(f"WRONG: {problem}", err=True)
    for clip in report.outside:
        click.echo(
            f"caf: not in the backup, for it is outside the workspace and not taken in yet: {clip}", err=True
        )
    marker = report.marker
    mebibytes = report.copied_bytes / 1024**2
    click.echo(
        f"{marker.events} events; {report.copied_artifacts} of {marker.artifacts} artifacts ({mebibytes:.1f} MiB) "
        f"and {report.copied_documents} documents were new.",
        err=True,
    )
    click.echo(f"Prove it:    caf verify --workspace {report.folder}", err=True)
    click.echo("Restore it:  copy it to a new folder, and: caf serve --workspace FOLDER", err=True)
    return 1 if report.problems else 0
