"""Whether caf can work here: what it needs, what was found, and what to do about what is missing."""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from caf.config import Config
from caf.system import APT_LINE, missing_system_libraries
from caf.workspace import Workspace
from eventstore import sqlite_note

__all__ = ["Finding", "examine"]

_LITTLE_BYTES: Final = 2 * 1024**3
"""About what the intermediates of a one-minute clip take."""
_BUILT: Final = 1_760_000_000
"""October 2025: a clock that shows less has not been set."""


class Finding(Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    verdict: Literal["good", "warning", "bad"]
    what: str
    remedy: str = ""
    """What to do; empty where all is well."""


def examine(root: Path, config: Config) -> list[Finding]:
    """Everything, in the order in which it would be met. Changes nothing."""
    workspace = Workspace(root)
    return [
        _python(),
        _sqlite(),
        _libraries(),
        _model(config),
        *_folder(workspace),
        _log(workspace),
        _clock(),
    ]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding(name="python", verdict="good", what=f"Python {version}")


def _sqlite() -> Finding:
    note = sqlite_note()
    verdicts: Final[dict[str, Literal["good", "warning", "bad"]]] = {
        "good": "good",
        "guarded": "warning",
        "refused": "bad",
    }
    return Finding(name="sqlite", verdict=verdicts[note.verdict], what=note.what, remedy=note.remedy)


def _libraries() -> Finding:
    missing = missing_system_libraries()
    if missing:
        what = f"missing for OpenCV and MediaPipe: {', '.join(missing)}"
        return Finding(name="libraries", verdict="bad", what=what, remedy=f"On Debian or Ubuntu: {APT_LINE}")
    return Finding(name="libraries", verdict="good", what="all that OpenCV and MediaPipe load are there")


def _model(config: Config) -> Finding:
    from caf.pose.model import cache_folder

    if config.model_path is not None:
        if Path(config.model_path).is_file():
            return Finding(name="model", verdict="good", what=f"pose model {config.model_path}")
        what = f"the configured pose model {config.model_path} is not there"
        return Finding(
            name="model", verdict="bad", what=what, remedy="Correct model_path in the configuration."
        )
    folder = cache_folder(config.cache_dir) / "models"
    if any(folder.glob("*.task")):
        return Finding(name="model", verdict="good", what=f"pose model in {folder}")
    what = f"no pose model in {folder} yet; the first job fetches it"
    return Finding(name="model", verdict="warning", what=what, remedy="Fetch it now: caf models fetch")


def _folder(workspace: Workspace) -> list[Finding]:
    place = workspace.root
    while not place.exists() and place != place.parent:
        place = place.parent
    found = []
    if os.access(place, os.W_OK | os.X_OK):
        found.append(Finding(name="workspace", verdict="good", what=f"{workspace.root} can be written"))
    else:
        what = f"{place} cannot be written"
        remedy = "Give write access to it, or name another folder with --workspace DIR."
        found.append(Finding(name="workspace", verdict="bad", what=what, remedy=remedy))
    free = shutil.disk_usage(place).free
    what = f"{free / 1024**3:.1f} GiB free under {place}"
    if free < _LITTLE_BYTES:
        remedy = "Free some space: a job that meets a full disk stops and is resumed later."
        found.append(Finding(name="disk", verdict="warning", what=what, remedy=remedy))
    else:
        found.append(Finding(name="disk", verdict="good", what=what))
    return found


def _log(workspace: Workspace) -> Finding:
    try:
        size = workspace.log.stat().st_size
    except FileNotFoundError:
        return Finding(name="log", verdict="good", what=f"no log yet in {workspace.own}")
    except OSError as fault:
        what = f"{workspace.log} cannot be looked at: {fault.strerror}"
        return Finding(name="log", verdict="bad", what=what, remedy="Give access to it and its folder.")
    if not os.access(workspace.log, os.R_OK | os.W_OK):
        what = f"{workspace.log} cannot be read and written"
        return Finding(name="log", verdict="bad", what=what, remedy="Give read and write access to it.")
    what = f"log of {size / 1024**2:.1f} MiB; caf verify proves what is in it"
    return Finding(name="log", verdict="good", what=what)


def _clock() -> Finding:
    if time.time() < _BUILT:
        what = f"the clock shows {time.strftime('%Y-%m-%d')}"
        remedy = "Set it (timedatectl): events are stamped with it; their order does not depend on it."
        return Finding(name="clock", verdict="warning", what=what, remedy=remedy)
    return Finding(name="clock", verdict="good", what=f"{time.strftime('%Y-%m-%d %H:%M:%S %Z')}")
