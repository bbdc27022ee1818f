"""`caf serve` as a process of its own, for tests of the verbs that work beside it."""

import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["serving", "until"]

TIMEOUT_S = 240
SERVE = (sys.executable, "-m", "caf.cli", "serve", "--quiet", "--listen", "127.0.0.1:0")


@contextmanager
def serving(
    workspace: Path, *arguments: str, stderr: Path | None = None, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon that says, as systemd would hear it, that it is ready; killed at the end if it lives then.

    `stderr`: a file that is to have what it says.
    """
    with (
        tempfile.TemporaryDirectory(prefix="caf-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready,
        tempfile.TemporaryFile() if stderr is None else stderr.open("wb+") as said,
    ):
        place = f"{folder}/notify"
        ready.bind(place)
        ready.settimeout(1)
        daemon = subprocess.Popen(
            [*SERVE, "--workspace", str(workspace), *arguments],
            env={**os.environ, "NOTIFY_SOCKET": place, **environment},
            stdout=subprocess.DEVNULL,
            stderr=said,
        )

        def is_ready() -> bool:
            said.seek(0)
            assert daemon.poll() is None, said.read().decode(errors="replace")
            try:
                return ready.recv(4096).startswith(b"READY=1")
            except TimeoutError:
                return False

        try:
            until(is_ready, "the daemon to be ready")
            yield daemon
        finally:
            if daemon.poll() is None:
                daemon.kill()
            daemon.wait(TIMEOUT_S)


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until it holds. Raises `TimeoutError` naming what was waited for."""
    end_s = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError(f"waited {TIMEOUT_S} s for {what}")
        select.select([], [], [], 0.005)
