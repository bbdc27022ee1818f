"""`caf handoff`: what is live where."""

from pathlib import Path

import click

from caf.cli.common import JOB, JSON, WORKSPACE, configured, print_json, print_table, run_async

__all__ = ["handoff"]


@click.group(short_help="Register posts, scan for them, print the registry.")
def handoff() -> None:
    """Keep the registry of what is live: once for each job and platform."""


@handoff.command()
@JOB
@click.option("--platform", required=True, help="youtube, tiktok, instagram, x, or another.")
@click.option("--url", required=True, help="Where the post is.")
@click.option("--posted-at", metavar="TIME", help="RFC 3339; default: now.")
@click.option("--post-id", help="The platform's own id of the post.")
@click.option("--author", help="Who posted it.")
@WORKSPACE
@JSON
def register(
    job_id: str,
    platform: str,
    url: str,
    posted_at: str | None,
    post_id: str | None,
    author: str | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """Record that a completed job is live; registering again changes nothing."""
    from caf import handoff as edge
    from caf.app import open_app

    async def work() -> bool:
        async with open_app(workspace, configured(workspace)) as app:
            return await edge.register(
                app, job_id, platform=platform, url=url, posted_at=posted_at, post_id=post_id, author=author
            )

    recorded = run_async(work)
    if as_json:
        print_json({"job_id": job_id, "platform": platform, "recorded": recorded})
    said = "is registered" if recorded else "was registered before; nothing changed"
    click.echo(f"{job_id} on {platform} {said}.", err=True)


@handoff.command()
@WORKSPACE
@JSON
def scan(workspace: Path, as_json: bool) -> int:
    """Read sandbox/dist_artifacts/*/*.state.json and record the posts that are new."""
    from caf import handoff as edge
    from caf.app import open_app

    async def work() -> list[edge.Scanned]:
        async with open_app(workspace, configured(workspace)) as app:
            return await edge.scan(app)

    found = run_async(work)
    if as_json:
        print_json(found)
    else:
        print_table(
            ["file", "outcome", "detail"],
            [[item.path, item.outcome, item.detail] for item in found],
            empty="No state files.",
        )
    return 65 if any(item.outcome == "refused" for item in found) else 0


@handoff.command()
@WORKSPACE
@click.option("--json", "as_json", is_flag=True, help="Always: the registry is JSON.")
def registry(workspace: Path, as_json: bool) -> None:
    """Print handoff_registry.v1."""
    from caf import handoff as edge
    from caf.app import open_for_reading
    from caf.contracts.read import write_document

    async def work() -> bytes:
        async with open_for_reading(workspace, configured(workspace)) as app:
            return write_document(await edge.registry(app))

    click.echo(run_async(work).decode(), nl=False)
