"""`caf answer`, `caf cancel`, `caf inbox`: what people say, and what they are asked."""

import getpass
import os
from pathlib import Path
from typing import Any

import click

from caf.cli.common import (
    FILE,
    JOB,
    JSON,
    WORKSPACE,
    configured,
    local_time,
    parse_parameters,
    print_json,
    print_table,
    run_async,
    said_again,
)
from caf.events import STAGES, Event

__all__ = ["answer", "cancel", "inbox", "who"]


def who() -> str:
    """The name of who types this, for the record."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers have
        return f"uid {os.getuid()}"


@click.command(short_help="Answer a job's escalation: proceed, retry or abort.")
@JOB
@click.argument("action", type=click.Choice(["proceed", "retry", "abort"]))
@click.option("--from", "from_stage", type=click.Choice(STAGES), help="Stage to go on from.")
@click.option(
    "--set", "settings", multiple=True, metavar="STAGE.NAME=VALUE", help="A parameter for the retry."
)
@click.option("--source", type=FILE, metavar="CLIP", help="A corrected clip.")
@click.option("--reference", type=FILE, metavar="IMAGE", help="A corrected reference picture.")
@click.option("--note", default="", help="Why; it is recorded.")
@click.option(
    "--question", type=click.IntRange(1), help="The number that caf inbox shows; refused if another is open."
)
@WORKSPACE
@JSON
def answer(
    job_id: str,
    action: str,
    settings: tuple[str, ...],
    source: Path | None,
    reference: Path | None,
    workspace: Path,
    as_json: bool,
    **given: Any,
) -> None:
    """Answer a job's open escalation. The job then goes on with: caf resume JOB_ID."""
    from caf.app import open_app
    from caf.errors import MediaError

    for path in (source, reference):
        if path is not None and not path.is_file():
            raise MediaError(f"{path} is not a file.", remedy="Check the path.", kind="media_missing")

    answered = {
        "action": action,
        "by": who(),
        "parameters": parse_parameters(settings),
        "source": str(source.absolute()) if source else None,
        "reference": str(reference.absolute()) if reference else None,
        **given,
    }

    async def work() -> list[Event]:
        async with open_app(workspace, configured(workspace)) as app:
            return await app.answer(job_id, **answered)

    events = run_async(work)
    if as_json:
        print_json(events[0])
    way_on = f"caf resume {job_id}{said_again(workspace)}"
    click.echo(f"Recorded. The daemon goes on with it; without one: {way_on}", err=True)


@click.command(short_help="Call a job off.")
@JOB
@click.option("--reason", default="", help="Why; it is recorded.")
@WORKSPACE
@JSON
def cancel(job_id: str, reason: str, workspace: Path, as_json: bool) -> None:
    """Call a job off. A stage that is running is ended; what was recorded stays."""
    from caf.app import open_app

    async def work() -> list[Event]:
        async with open_app(workspace, configured(workspace)) as app:
            return await app.cancel(job_id, by=who(), reason=reason)

    events = run_async(work)
    if as_json:
        print_json({"job_id": job_id, "status": "cancelled", "recorded": bool(events)})
    click.echo(f"{job_id} is cancelled." if events else f"{job_id} was cancelled before.", err=True)


@click.command(short_help="List what waits for a person, and what to do about it.")
@click.option("--all", "everything", is_flag=True, help="Answered ones too.")
@WORKSPACE
@JSON
def inbox(everything: bool, workspace: Path, as_json: bool) -> None:
    """List the open escalations, oldest first."""
    from caf.app import open_for_reading

    async def work() -> list[dict[str, Any]]:
        asked = "SELECT *, version AS question FROM escalations"
        asked += "" if everything else " WHERE state = 'open'"
        async with open_for_reading(workspace, configured(workspace)) as app:
            return await app.rows(f"{asked} ORDER BY escalated_at, job_id")

    rows = run_async(work)
    if as_json:
        print_json(rows)
        return
    print_table(
        ["job", "question", "since", "reason", "to correct", "why"],
        [
            [
                row["job_id"],
                str(row["question"]),
                local_time(row["escalated_at"]),
                row["reason"],
                row["required_artifact"],
                row["detail"],
            ]
            for row in rows
        ],
        empty="Nothing waits for a person.",
    )
