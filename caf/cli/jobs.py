"""`caf jobs`: asked all the time, so it answers from the rows' file alone wherever that is in step with the log."""

import sys
from pathlib import Path
from typing import Any, Final

import click

from caf.cli.options import JSON, WORKSPACE
from caf.cli.tables import local_time, print_table
from caf.quick import rows_in_step

__all__ = ["jobs"]

STATUSES: Final = ["submitted", "running", "waiting", "completed", "cancelled", "aborted"]
SHOWN: Final = 100
MOST: Final = 2**63 - 1


@click.command(short_help="List the jobs and where they stand.")
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@click.option(
    "--limit", type=click.IntRange(1, MOST - 1), default=SHOWN, show_default=True, help="At most so many."
)
@click.option("--all", "everything", is_flag=True, help="All of them, however many.")
@WORKSPACE
@JSON
def jobs(status: str | None, limit: int, everything: bool, workspace: Path, as_json: bool) -> None:
    """List the jobs, the newest first."""
    limit = MOST - 1 if everything else limit
    where = "WHERE status = ? " if status else ""
    sql = f"SELECT * FROM jobs {where}ORDER BY submitted_at DESC, job_id DESC LIMIT ?"  # noqa: S608
    asked: tuple[str | int, ...] = (status, limit + 1) if status else (limit + 1,)
    found = rows_in_step(workspace, sql, asked)
    if found is None:
        found = _rows(workspace, sql, asked)
    rows = found[:limit]
    if as_json:
        click.echo(_json(rows))
    else:
        _print(rows)
    if len(found) > limit:
        click.echo(f"caf: these are the newest {limit}; see more with --limit N, or with --all", err=True)


def _print(rows: list[dict[str, Any]]) -> None:
    print_table(
        ["job", "status", "stage", "attempts", "submitted", "why"],
        [
            [
                row["job_id"],
                row["status"],
                row["stage"],
                row["attempts"],
                local_time(row["submitted_at"]),
                row["reason"],
            ]
            for row in rows
        ],
        empty="No jobs.",
    )


def _rows(workspace: Path, sql: str, values: tuple[str | int, ...]) -> list[dict[str, Any]]:
    """The rows, once they were brought up to date."""
    from caf.app import open_for_reading
    from caf.cli.common import configured, run_async

    async def work() -> list[dict[str, Any]]:
        async with open_for_reading(workspace, configured(workspace)) as app:
            return await app.rows(sql, values)

    return run_async(work)


def _json(rows: list[dict[str, Any]]) -> str:
    """As `caf.cli.common.json_text`, of rows, which hold only texts and numbers."""
    import json

    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    return json.dumps(rows, indent=2, ensure_ascii=not encoding.startswith("utf"))
