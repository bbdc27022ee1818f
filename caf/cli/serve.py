"""`caf serve`: the daemon."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import click

from caf.cli.common import JSON, WORKSPACE, configured, local_time
from caf.cli.lines import Lines
from caf.cli.tables import one_line
from caf.cli.telling import tell
from caf.config import Config
from caf.contracts.times import timestamp
from caf.errors import CafError
from caf.events.codec import UnreadableEvent, decode
from eventstore import EventStoreError, RecordedEvent

__all__ = ["serve"]


@click.command(short_help="Run the daemon: take jobs in, serve them all, answer on HTTP.")
@click.option("--listen", metavar="HOST:PORT", help="Where the HTTP API listens; port 0: any that is free.")
@click.option("--no-http", is_flag=True, help="No HTTP API; jobs come from the folders and the command line.")
@click.option("--print-unit", is_flag=True, help="Print a systemd unit for this workspace, and end.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but what goes wrong.")
@WORKSPACE
@JSON
def serve(
    listen: str | None, no_http: bool, print_unit: bool, quiet: bool, workspace: Path, as_json: bool
) -> None:
    """Run the daemon of a workspace in the foreground until SIGTERM or Ctrl-C.

    Stages that run get `grace_s` to come to an end; those that do not are interrupted and run again at the next
    start. SIGHUP reads the settings again, for new jobs. --json prints every event that is recorded as one JSON
    object a line on stdout.
    """
    # Until it can be followed; by default it would end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def configuration() -> Config:
        config = configured(workspace)
        return config if listen is None else _with_listen(config, listen)

    config = configuration()
    if print_unit:
        from caf.daemon.systemd import unit

        options = ["--listen", listen] if listen else []
        options += ["--no-http"] if no_http else []
        click.echo(unit(workspace, grace_s=config.grace_s, options=options), nl=False)
        return
    from caf.daemon.memory import bound_malloc, settle_interned

    bound_malloc()
    from caf.daemon.serve import Talk
    from caf.daemon.serve import serve as run
    from caf.web.server import face

    settle_interned()
    with Lines(sys.stderr) as talking, Lines(sys.stdout) as events:
        talk = Talk(
            say=talking.say if not quiet else lambda line: None,
            seen=_shown(events if as_json else talking, as_json=as_json, quiet=quiet),
            failed=lambda what, fault: talking.say(f"caf: {what} is held back: {_told(fault)}"),
            warn=lambda job_id, told: talking.say(f"caf: {job_id}: {told}"),
        )

        async def work() -> None:
            serving = None if no_http else face(config, os.environ)
            await run(workspace, config, reload=configuration, face=serving, talk=talk)

        anyio.run(work)


def _with_listen(config: Config, listen: str) -> Config:
    from msgspec.structs import replace

    return replace(config, listen=listen)


def _shown(lines: Lines, *, as_json: bool, quiet: bool) -> Callable[[RecordedEvent], None]:
    from caf.cli.events import as_json_line

    def show(recorded: RecordedEvent) -> None:
        if as_json:
            lines.say(as_json_line(recorded))
        elif not quiet:
            lines.say(_line(recorded))

    return show


def _line(recorded: RecordedEvent) -> str:
    try:
        said = tell(decode(recorded.type, recorded.type_version, recorded.data))
    except UnreadableEvent as fault:
        said = one_line(f"UNREADABLE: {fault}")
    when = local_time(timestamp(recorded.recorded_at_ms))
    return f"{when}  {recorded.stream.partition('-')[2]:<24}  {recorded.type:<20} {said}"


def _told(fault: Exception) -> str:
    while isinstance(fault, ExceptionGroup):  # of a task group: what happened in it
        fault = fault.exceptions[0]
    return str(fault) if isinstance(fault, CafError | EventStoreError) else f"{type(fault).__name__}: {fault}"
