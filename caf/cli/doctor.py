"""`caf doctor`: whether caf can work here, and what to do where it cannot."""

from pathlib import Path

import click

from caf.cli.common import JSON, WORKSPACE, configured, print_json

__all__ = ["doctor"]

_SIGNS = {"good": "ok", "warning": "WARNING", "bad": "BAD"}


@click.command(short_help="Say whether caf can work here, and what is missing.")
@WORKSPACE
@JSON
def doctor(workspace: Path, as_json: bool) -> int:
    """Look at Python, SQLite, system libraries, the pose model, the workspace, its disk and log, and the clock.

    Changes nothing. Exits with 69 when something is missing that caf cannot work without.
    """
    from caf.doctor import examine

    found = examine(workspace, configured(workspace))
    if as_json:
        print_json(found)
    else:
        for one in found:
            click.echo(f"{_SIGNS[one.verdict]:8}{one.name}: {one.what}")
            if one.remedy:
                click.echo(f"{'':8}{one.remedy}")
    return 69 if any(one.verdict == "bad" for one in found) else 0
