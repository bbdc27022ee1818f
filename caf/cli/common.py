"""What the verbs share: the workspace option, JSON output, tables, running a coroutine."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import anyio
import click
import msgspec

from caf.config import Config, load_config
from caf.errors import InputError
from caf.events import Parameters
from caf.job import Job

__all__ = [
    "COUNT",
    "FILE",
    "JOB",
    "JSON",
    "WORKSPACE",
    "configured",
    "exit_code_of",
    "job_ids",
    "json_text",
    "local_time",
    "parse_parameters",
    "print_json",
    "print_table",
    "run_async",
]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

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
COUNT: Final = click.IntRange(0, 2**63 - 1)
"""A position or a number of rows, as SQLite can count them."""


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

NARROW: Final = 60
"""Columns of a terminal below which a table is not readable."""
EXIT_CODES = {"completed": 0, "waiting": 4, "cancelled": 5}


def configured(workspace: Path) -> Config:
    """The configuration of a workspace, from its file and the environment."""
    return load_config(workspace)


def exit_code_of(job: Job) -> int:
    """0 completed, 3 given up on quality, 4 waits for a person, 5 cancelled, 1 anything else."""
    if job.status == "aborted" and job.failure and job.failure.kind == "quality_gate_failed":
        return 3
    return EXIT_CODES.get(job.status, 1)


def run_async(work: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine; Ctrl-C and SIGTERM cancel it, so that nothing is left running, and raise
    `KeyboardInterrupt`. A second one ends the process at once: whatever is on disk is good at any moment.
    """
    asked = 0
    cancel: Callable[[], object] = int

    def interrupt(*_: object) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            _end_at_once()
        cancel()

    async def main() -> T:
        nonlocal cancel
        with anyio.CancelScope() as scope:
            loop = asyncio.get_running_loop()
            cancel = lambda: loop.call_soon_threadsafe(scope.cancel)  # noqa: E731 - wakes the loop as well
            if asked:
                scope.cancel()
            return await work()
        raise KeyboardInterrupt

    # Not asyncio's own way: its second Ctrl-C tears the loop down under what is being put away, and the
    # threads that are left then keep the interpreter from ending.
    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        return anyio.run(main)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_at_once() -> NoReturn:
    with contextlib.suppress(OSError):
        shown = "\x1b[?25h" if os.isatty(2) else ""  # a progress bar hides the cursor
        os.write(2, f"{shown}\ncaf: ended at once; what was recorded is kept.\n".encode())
    os._exit(130)


def print_json(value: object) -> None:
    """A value as indented JSON on stdout; numbers of any size, as in the documents that were recorded."""
    click.echo(json_text(value, indent=2))


def json_text(value: object, *, indent: int = -1) -> str:
    """A value as JSON, in one line if `indent` is -1; escaped where stdout cannot say every letter."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=indent).decode()
    if (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf"):
        return text
    import json

    return json.dumps(json.loads(text), indent=None if indent < 0 else indent)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Rows as a table on stdout; tabs between the cells off a terminal, a cell a line on a narrow one."""
    if not rows:
        click.echo(empty, err=True)
        return
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            click.echo("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if console.width < NARROW:  # columns of three letters are no help: one cell a line
        for row in cells:
            click.echo(
                "\n".join(f"{name}: {cell}" for name, cell in zip(columns, row, strict=True) if cell) + "\n"
            )
        return
    plain = bool(os.environ.get("NO_COLOR"))
    table = Table(box=None, header_style="" if plain else "bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*row)
    console.print(table, markup=False)


def local_time(utc: str) -> str:
    """An RFC 3339 time in the zone of this machine, to the second."""
    return datetime.fromisoformat(utc).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def parse_parameters(given: Sequence[str]) -> Parameters:
    """`node.input=value` texts as parameters. Raises `InputError` for another form."""
    found: Parameters = {}
    for text in given:
        name, equals, value = text.partition("=")
        node, dot, key = name.partition(".")
        if not (equals and dot and node and key):
            raise InputError(
                f"--set {text} is not of the form STAGE.NAME=VALUE.",
                remedy="For example: --set motion.pose_weight=0.5. List them with: caf parameters",
                kind="bad_parameter",
            )
        found.setdefault(node, {})[key] = _value(value)
    return found


def _value(text: str) -> float | int | str | bool:
    try:
        value = msgspec.json.decode(text.encode())
    except msgspec.DecodeError:
        return text
    return value if isinstance(value, float | int | str | bool) else text
