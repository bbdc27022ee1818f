"""What the verbs share: the workspace option, JSON output, tables, running a coroutine."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NoReturn, TypeVar

import anyio
import click
import msgspec

from caf.cli.options import COUNT, FILE, JOB, JSON, POLICY, WORKSPACE, Number, job_ids, said_again
from caf.cli.tables import local_time, print_table
from caf.config import Config, load_config
from caf.errors import InputError
from caf.events import Parameters
from caf.job import Job, in_json

__all__ = [
    "COUNT",
    "FILE",
    "JOB",
    "JSON",
    "POLICY",
    "WORKSPACE",
    "Interrupted",
    "Number",
    "configured",
    "exit_code_of",
    "job_ids",
    "json_text",
    "local_time",
    "parse_parameters",
    "print_json",
    "print_table",
    "run_async",
    "said_again",
]

T = TypeVar("T")

EXIT_CODES = {"completed": 0, "waiting": 4, "cancelled": 5}


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGHUP in work that can go on; its text is the command for that."""


def configured(workspace: Path) -> Config:
    """The configuration of a workspace, from its file and the environment."""
    return load_config(workspace)


def exit_code_of(job: Job) -> int:
    """0 completed, 3 given up on quality, 4 waits for a person, 5 cancelled, 1 anything else."""
    if job.status == "aborted" and job.failure and job.failure.kind == "quality_gate_failed":
        return 3
    return EXIT_CODES.get(job.status, 1)


def run_async(work: Callable[[], Awaitable[T]]) -> T:
    """Run a coroutine; Ctrl-C, SIGTERM and the end of the terminal cancel it, so that nothing is left running, and
    raise `KeyboardInterrupt`. A second one ends the process at once: whatever is on disk is good at any moment.
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
    stops = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup's work goes on without its terminal
        stops.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in stops}
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
    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=in_json), indent=indent).decode()
    if (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf"):
        return text
    import json

    return json.dumps(json.loads(text), indent=None if indent < 0 else indent)


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
    except (msgspec.DecodeError, RecursionError):
        return text
    return value if isinstance(value, float | int | str | bool) else text
