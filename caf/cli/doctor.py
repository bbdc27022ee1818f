"""`caf doctor`: whether caf can work here, and what to do where it cannot."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from caf.cli.common import JSON, WORKSPACE, configured, print_json
from caf.cli.tables import say
from caf.config import Config
from caf.errors import CafError

if TYPE_CHECKING:
    from caf.doctor import Finding

__all__ = ["doctor"]

_SIGNS = {"good": "ok", "warning": "WARNING", "bad": "BAD"}


@click.command(short_help="Say whether caf can work here, and what is missing.")
@WORKSPACE
@JSON
def doctor(workspace: Path, as_json: bool) -> int:
    """Look at Python and its libraries, the pose model, the workspace with its disk, permissions and log, the clock,
    memory and limits, the GPU, the ComfyUI servers that job files name, the HTTP API's token, and the daemon.

    Changes nothing. Exits with 69 when something is missing that caf cannot work without.
    """
    from caf.doctor import examine

    config = configured(workspace)
    found = [*examine(workspace, config), _token(config)]
    if as_json:
        print_json(found)
    else:
        for one in found:
            say(f"{_SIGNS[one.verdict]:8}{one.name}: {one.what}")
            if one.remedy:
                say(f"{'':8}{one.remedy}")
    return 69 if any(one.verdict == "bad" for one in found) else 0


def _token(config: Config) -> "Finding":
    """Whether the HTTP API would start as it is set: another address than loopback needs a token."""
    from caf.doctor import Finding
    from caf.web.guard import is_loopback
    from caf.web.token import token_of

    try:
        token = token_of(config)
    except CafError as fault:
        return Finding(name="token", verdict="bad", what=fault.message, remedy=fault.remedy)
    if token is None and not is_loopback(config.listen.rpartition(":")[0]):
        what = f"the HTTP API shall listen on {config.listen} and has no token"
        remedy = "Set token_file or CAF_TOKEN, or listen on 127.0.0.1."
        return Finding(name="token", verdict="bad", what=what, remedy=remedy)
    what = f"the HTTP API is for {config.listen}, {'with' if token else 'without'} a token"
    return Finding(name="token", verdict="good", what=what)
