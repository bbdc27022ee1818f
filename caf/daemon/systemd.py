"""What systemd is told of a service's life (sd_notify(3)), and the unit that starts it."""

import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from caf.errors import InputError

__all__ = ["Notifier", "unit"]

_BEATS_PER_PATIENCE: Final = 3
"""sd_watchdog_enabled(3) recommends half the time; a third leaves room for a slow moment."""

_PLAIN: Final = re.compile(r"[\w@:./+=-]+", re.ASCII)


class Notifier:
    """Sends states to the socket that systemd names; without one it does nothing."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        patience_us = environ.get("WATCHDOG_USEC", "")
        mine = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.beat_s: float | None = None
        """How often `WATCHDOG=1` is to be said; None: nobody listens for it."""
        if self._address and mine and patience_us.isdigit() and int(patience_us) > 0:
            self.beat_s = int(patience_us) / 1e6 / _BEATS_PER_PATIENCE

    def ready(self, status: str) -> None:
        self._say(f"READY=1\nSTATUS={status}")

    def stopping(self, status: str) -> None:
        self._say(f"STOPPING=1\nSTATUS={status}")

    def beat(self) -> None:
        self._say("WATCHDOG=1", patience_s=0)

    def _say(self, state: str, *, patience_s: float = 1) -> None:
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        # A message that is lost costs a status line; a daemon that fails over it would cost jobs.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.settimeout(patience_s)  # whoever listens may be slow, and the daemon has other things to do
            to.sendto(state.encode("utf-8", "replace"), address)


def unit(workspace: Path, *, grace_s: float, options: Sequence[str] = ()) -> str:
    """A systemd unit that keeps a daemon running for this workspace, as this user, with this interpreter.

    `options` are further words of the command line. Raises `InputError` for a path that no unit can name.
    """
    root = str(workspace.absolute())
    if not root.isprintable():
        raise InputError(
            f"A unit cannot name the workspace {root!r}.",
            remedy="Rename the folder: no line breaks, no control characters, UTF-8.",
            kind="not_unicode",
        )
    command = [sys.executable, "-m", "caf.cli", "serve", "--workspace", root, *options]
    place = root.replace("%", "%%")
    return f"""[Unit]
Description=caf: AI cat videos in {place}
Documentation=man:systemd.service(5)
After=network.target
# A full disk is no reason to give up for good.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={" ".join(map(_quoted, command))}
ExecReload=/bin/kill -HUP $MAINPID
WorkingDirectory={place}
Restart=always
RestartSec=2
WatchdogSec=60
TimeoutStartSec=120
TimeoutStopSec={round(grace_s) + 30}
KillMode=mixed
UMask=0077
NoNewPrivileges=true
ProtectSystem=full
PrivateTmp=false

[Install]
WantedBy=default.target
"""


def _quoted(word: str) -> str:
    """A word of a command line as systemd reads it: quoted where need be, with specifiers and variables kept apart."""
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
