"""`caf models` and `caf parameters`: what caf runs with."""

from pathlib import Path

import click

from caf.cli.common import JSON, WORKSPACE, configured, print_json, print_table, run_async
from caf.cli.progress import View

__all__ = ["models", "parameters"]


@click.group(short_help="Fetch the pose model, or say where it is.")
def models() -> None:
    """The pose model: fetched by itself at the first need, or before with this."""


@models.command()
@WORKSPACE
@JSON
def fetch(workspace: Path, as_json: bool) -> None:
    """Take the pose model from a configured file, the cache, a configured URL, or a pinned Python wheel."""
    from caf.pose.source import FetchedModel
    from caf.worker import Worker

    config = configured(workspace)

    async def work() -> FetchedModel:
        with View(quiet=as_json) as view:
            async with Worker() as worker:
                found: FetchedModel = await worker.call(
                    "model",
                    config.model_source,
                    progress=lambda done, total: view.tick("", "pose model", done, total),
                    stall_s=config.stall_s,
                    deadline_s=config.deadline_s,
                )
                return found

    found = run_async(work)
    if as_json:
        print_json(found)
    else:
        click.echo(found.path)


@click.command(short_help="List what the embedded engine can be told.")
@JSON
def parameters(as_json: bool) -> None:
    """List the embedded engine's parameters: stage, range, default, effect."""
    from caf.engines.parameters import PARAMETERS

    if as_json:
        print_json(PARAMETERS)
        return
    print_table(
        ["parameter", "range", "default", "effect"],
        [[f"{spec.stage}.{spec.name}", spec.range, spec.default, spec.effect] for spec in PARAMETERS],
        empty="",
    )
