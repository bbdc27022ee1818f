"""Whether caf can work here: what it needs, what was found, and what to do about what is missing."""

from pathlib import Path

from caf.config import Config
from caf.doctor import extras, machine, place, services
from caf.doctor.finding import Finding
from caf.doctor.log import look_at_log
from caf.workspace import Workspace

__all__ = ["Finding", "examine"]


def examine(root: Path, config: Config) -> list[Finding]:
    """Everything, in the order in which it would be met. Changes nothing, and asks only the addresses that are set."""
    workspace = Workspace(root)
    newest_ms, log = look_at_log(workspace)
    return [
        machine.python(),
        machine.sqlite(),
        machine.compiled(),
        machine.libraries(),
        services.model(config),
        extras.vmaf(config),
        extras.identity_model(config),
        *place.folder(workspace),
        place.filesystem(workspace),
        place.permissions(workspace, config),
        log,
        machine.clock(newest_ms),
        machine.time_sync(),
        machine.memory(config),
        machine.open_files(),
        place.watches(workspace),
        machine.gpu(),
        services.comfyui(workspace, config),
        services.daemon(workspace),
    ]
