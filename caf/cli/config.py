"""`caf config show`: the settings that hold here, and where each comes from."""

import os
from pathlib import Path

import click

from caf.cli.common import JSON, WORKSPACE, print_json, print_table

__all__ = ["config"]


@click.group(short_help="Show the settings, and where each comes from.")
def config() -> None:
    """Settings come from CAF_* variables, caf.toml in the workspace, and defaults, in this order."""


@config.command(short_help="Every setting with its value.")
@click.option("--origin", is_flag=True, help="Also where each value comes from.")
@WORKSPACE
@JSON
def show(origin: bool, workspace: Path, as_json: bool) -> None:
    """Show every setting that holds in the workspace; no password is shown, and of a token only whether there is one.

    A daemon that runs took its settings when it was started, or at the last SIGHUP; flags of caf serve stand above
    all of them.
    """
    from msgspec.structs import replace

    from caf.comfy.addresses import shown, urls_of
    from caf.config import load_config, settings_of, unknown_variables
    from caf.web.token import token_of

    found = [
        replace(one, value=", ".join(map(shown, urls_of(str(one.value)))))
        if one.name == "comfy_urls"
        else one
        for one in settings_of(workspace)
    ]
    token = token_of(load_config(workspace))
    whence = "CAF_TOKEN" if os.environ.get("CAF_TOKEN") else "token_file"
    strange = unknown_variables()
    if as_json:
        print_json(
            {
                "settings": {one.name: {"value": one.value, "origin": one.origin} for one in found},
                "token": {"set": token is not None, "origin": whence if token else None},
                "unknown_variables": strange,
            }
        )
        return
    rows = [[one.name, "" if one.value is None else one.value, one.origin] for one in found]
    rows.append(["(token)", "set, not shown" if token else "none", whence if token else "default"])
    print_table(
        ["setting", "value", "from"][: 3 if origin else 2],
        [row[: 3 if origin else 2] for row in rows],
        empty="",
    )
    for name in strange:
        click.echo(f"caf: {name} is set, and is no setting of caf.", err=True)
