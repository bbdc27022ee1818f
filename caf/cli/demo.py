"""`caf demo`: three scenarios on clips that are made on the spot."""

from pathlib import Path

import click

from caf.cli.common import JSON, WORKSPACE, configured, print_json, print_table, run_async, said_again
from caf.cli.progress import View

__all__ = ["demo"]


@click.command(short_help="Run three scenarios on clips that are made on the spot.")
@WORKSPACE
@JSON
def demo(workspace: Path, as_json: bool) -> int:
    """Make three short clips of a real cat and run them: a healthy one, one that is shaken and flickers
    and is mended, one with the wrong costume that a person is asked about.

    Exits with 0 when each came to the end it must come to.
    """
    from caf.app import open_app
    from caf.demo import SCENARIOS, Outcome, play
    from caf.runner import open_runner

    async def work() -> list[Outcome]:
        found: list[Outcome] = []
        with View(quiet=as_json) as view:
            async with (
                open_app(workspace, configured(workspace)) as app,
                open_runner(app, view.tick) as runner,
            ):
                for scenario in SCENARIOS:
                    if not as_json:
                        view.say(f"\n{scenario.name}: {scenario.story}")
                    found.append(await play(runner, scenario, seen=view.seen, started=lambda job_id: None))
        return found

    outcomes = run_async(work)
    if as_json:
        print_json(outcomes)
    else:
        click.echo("", err=True)
        print_table(
            ["scenario", "ended", "attempts", "decisions", "shake per mille", "took", "job"],
            [
                [
                    item.scenario,
                    item.status if item.as_expected else f"{item.status} (NOT AS EXPECTED)",
                    item.attempts,
                    ", ".join(item.decisions),
                    _change(item.shake_before_permille, item.shake_after_permille),
                    f"{item.duration_s:.1f} s",
                    item.job_id,
                ]
                for item in outcomes
            ],
            empty="",
        )
        for item in outcomes:
            if item.picture:
                click.echo(f"\nBefore and after: {workspace / item.picture}", err=True)
        click.echo(f"See why: caf show {outcomes[1].job_id}{said_again(workspace)}", err=True)
    return 0 if all(item.as_expected for item in outcomes) else 1


def _change(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return ""
    return f"{after:.2f}" if before == after else f"{before:.2f} -> {after:.2f}"
