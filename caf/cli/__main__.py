"""`caf`: the group of verbs; each verb's module is loaded when it is used, so that help is instant."""

import contextlib
import errno
import importlib
import io
import os
import signal
import sys
from pathlib import Path
from typing import Any, Final

import click

from caf import __version__
from caf.errors import CafError, InputError, TryAgainError

__all__ = ["VERBS", "LazyGroup", "cli", "main"]

VERBS: Final[dict[str, tuple[str, str]]] = {
    "run": ("caf.cli.run:run", "Take a clip, an image or a job through all stages and gates."),
    "resume": ("caf.cli.run:resume", "Go on with a job that was interrupted or answered."),
    "serve": ("caf.cli.serve:serve", "Run the daemon: take jobs in, serve them all, answer on HTTP."),
    "submit": ("caf.cli.queue:submit", "Hand a clip, an image or a job to the daemon."),
    "status": ("caf.cli.queue:status", "Say what the daemon does now, and why a job waits."),
    "pause": ("caf.cli.queue:pause", "Let the daemon begin nothing new."),
    "unpause": ("caf.cli.queue:unpause", "Let the queue go on."),
    "retry": ("caf.cli.queue:retry", "Take a job that is over up again from a stage, as a new job."),
    "demo": ("caf.cli.demo:demo", "Run three scenarios on clips that are made on the spot."),
    "answer": ("caf.cli.people:answer", "Answer a job's escalation: proceed, retry or abort."),
    "cancel": ("caf.cli.people:cancel", "Call a job off."),
    "inbox": ("caf.cli.people:inbox", "List what waits for a person, and what to do about it."),
    "jobs": ("caf.cli.jobs:jobs", "List the jobs and where they stand."),
    "show": ("caf.cli.read:show", "Show one job: attempts, scores, decisions, open questions."),
    "events": ("caf.cli.events:events", "Print recorded events, or follow them live."),
    "replay": ("caf.cli.events:replay", "Show a job's state as of a version, from the log alone."),
    "sql": ("caf.cli.read:sql", "Query the read models with SQL."),
    "handoff": ("caf.cli.handoff:handoff", "Register posts, scan for them, print the registry."),
    "qc": ("caf.cli.qc:qc", "Examine a clip, frame by frame; judge given scores."),
    "stabilize": ("caf.cli.stabilize:stabilize", "Write a steady copy of a clip."),
    "pose": ("caf.cli.pose:pose", "Find the poses of a clip."),
    "models": ("caf.cli.models:models", "Fetch the pose model, or say where it is."),
    "comfy": ("caf.cli.comfy:comfy", "Look at the ComfyUI servers: status, doctor, queue."),
    "workflow": ("caf.cli.workflow:workflow", "Check a ComfyUI workflow before it is rendered."),
    "parameters": ("caf.cli.models:parameters", "List what the embedded engine can be told."),
    "rebuild": ("caf.cli.care:rebuild", "Make the read models again from the log."),
    "archive": ("caf.cli.care:archive", "Move the events of jobs that are over to a second log."),
    "backup": ("caf.cli.backup:backup", "Copy the workspace to another folder, while jobs run."),
    "config": ("caf.cli.config:config", "Show the settings, and where each comes from."),
    "doctor": ("caf.cli.doctor:doctor", "Say whether caf can work here, and what is missing."),
    "verify": ("caf.cli.care:verify", "Prove log, artifacts and read models against each other."),
}
"""Verb to where it is and what it does, in the order of the help."""


NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
NO_SUCH_PLACE: Final = frozenset(
    {errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR}
    | {errno.EPERM, errno.EROFS}
)


class LazyGroup(click.Group):
    """A group that knows its verbs by name and help, and loads a verb's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, name = VERBS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl([(name, text) for name, (_, text) in VERBS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else " See caf --help."
            ctx.fail(f"There is no verb {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="caf", message="%(prog)s %(version)s")
def cli() -> None:
    """caf makes AI cat videos as a bounded, explainable loop: every stage is measured and gated, every
    decision is an event, and the log is the truth."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; exits with the code that README lists. Bad input never shows a traceback."""
    given = sys.argv[1:] if arguments is None else arguments
    _make_streams_good()
    try:
        code = cli.main(args=given, prog_name="caf", standalone_mode=False)
    except click.ClickException as fault:
        with contextlib.suppress(OSError):  # the exit code tells where that cannot be heard
            if "--json" in given:
                _say_in_json("usage", fault.format_message(), "See what is taken with: caf --help")
            fault.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt) as stop:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # on the way out already
        how = str(stop.__cause__ or stop)  # click raises an Abort of it
        kept = f"; what was recorded is kept. Go on with: {how}" if how else ""
        with contextlib.suppress(OSError):  # the terminal may be what ended
            click.echo(f"caf: interrupted{kept}", err=True)
        sys.exit(130)
    except CafError as fault:
        _tell(fault, as_json="--json" in given)
        sys.exit(fault.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except UnicodeEncodeError as fault:
        odd = InputError(
            f"{fault.object[:60]!r} is not Unicode; the log knows no such name.",
            remedy="Write it in UTF-8.",
            kind="not_unicode",
        )
        _tell(odd, as_json="--json" in given)
        sys.exit(odd.exit_code)
    except OSError as fault:
        told = _of_the_machine(fault)
        _tell(told, as_json="--json" in given)
        sys.exit(told.exit_code)
    sys.exit(code if isinstance(code, int) else 0)


def _make_streams_good() -> None:
    """Put /dev/null where a stream was closed (`>&-`): the log would be opened in its place, and written to."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that it cannot say is no reason to say nothing
            stream.reconfigure(errors="backslashreplace")


def _of_the_machine(fault: OSError) -> CafError:
    """An error of the disk or the terminal that nobody below could say more about."""
    what = f"{fault.filename} cannot be read or written" if fault.filename else "The output cannot be written"
    kind = (
        InputError if fault.errno in NO_SUCH_PLACE else TryAgainError if fault.errno in NO_ROOM else CafError
    )
    return kind(
        f"{what}: {fault.strerror or fault}.",
        remedy="See to the disk and its permissions, and to where the output goes; then try again.",
        kind="io_failed",
    )


def _tell(fault: CafError, *, as_json: bool) -> None:
    """Say it, on each stream that takes it; the exit code tells where it cannot be heard."""
    from caf.cli.tables import say

    if as_json:
        with contextlib.suppress(OSError):
            _say_in_json(fault.kind, fault.message, fault.remedy)
    with contextlib.suppress(OSError):
        say(f"caf: {fault.message}", err=True)
        if fault.remedy:
            say(f"     {fault.remedy}", err=True)


def _say_in_json(kind: str, message: str, remedy: str) -> None:
    """An error for scripts, on stdout as any other answer."""
    from caf.cli.common import print_json

    print_json({"error": {"kind": kind, "message": message, "remedy": remedy}})


if __name__ == "__main__":
    main()
