"""Options and arguments that many verbs take; needs nothing but click, so that quick verbs stay quick."""

import contextlib
import math
import os
import shlex
from pathlib import Path
from typing import Any, Final

import click

__all__ = ["COUNT", "FILE", "JOB", "JSON", "POLICY", "WORKSPACE", "Number", "job_ids", "said_again"]

FILE: Final = click.Path(path_type=Path, readable=False)
"""A path that is judged where it is read, so that what is wrong with it is told by what it is for."""
WORKSPACE = click.option(
    "--workspace",
    "-w",
    type=FILE,
    envvar="CAF_WORKSPACE",
    default=Path(),
    metavar="DIR",
    help="Folder of the log and the documents; default: here.",
)
POLICY = click.option(
    "--policy",
    type=FILE,
    metavar="FILE|NAME",
    help="A qc_policy.v1 document, or default or technical, which come with caf.",
)
COUNT: Final = click.IntRange(0, 2**63 - 1)
"""A position or a number of rows, as SQLite can count them."""


class Number(click.FloatRange):
    """A number within bounds. `nan` is none: it is neither below nor above any."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number


def said_again(workspace: Path) -> str:
    """What a further command needs to mean the same workspace; nothing where it is the usual one."""
    usual = Path(os.environ.get("CAF_WORKSPACE") or ".")
    return "" if workspace == usual else f" --workspace {shlex.quote(str(workspace))}"


def job_ids(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """For the shell: jobs that begin with what was typed, from the rows as they are; nothing where there are none."""
    import sqlite3

    workspace = context.params.get("workspace") or Path(os.environ.get("CAF_WORKSPACE", "."))
    rows = Path(workspace, ".caf", "projections.db").absolute()
    query = "SELECT job_id FROM jobs WHERE substr(job_id, 1, ?) = ? ORDER BY submitted_at DESC LIMIT 100"
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{rows.as_uri()}?mode=ro", uri=True, timeout=1)) as opened,
    ):
        return [job_id for (job_id,) in opened.execute(query, (len(incomplete), incomplete))]
    return []


JOB = click.argument("job_id", shell_complete=job_ids)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
