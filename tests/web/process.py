"""A real `caf serve` process."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from caf.daemon.lock import daemon_address

__all__ = ["Daemon", "daemon", "refused"]

TIMEOUT_S = 120


class Daemon(NamedTuple):
    """A daemon that is ready."""

    process: subprocess.Popen[str]
    url: str
    said: list[str]
    """What it wrote on stderr so far, line by line; all of it once it is ended."""


@contextmanager
def daemon(workspace: Path, *options: str, **environment: str) -> Iterator[Daemon]:
    """`caf serve`, ready; ended in good order afterwards."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "caf.cli",
            "serve",
            "--workspace",
            str(workspace),
            *(options or ("--listen", "127.0.0.1:0")),
        ],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    said: list[str] = []
    ready = threading.Event()

    def listen() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if line.startswith("caf serves "):
                ready.set()
        ready.set()

    reader = threading.Thread(target=listen)
    reader.start()
    try:
        assert ready.wait(TIMEOUT_S)
        address = daemon_address(workspace / ".caf")
        assert address is not None, "".join(said)
        yield Daemon(process, address.url, said)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0, "".join(said)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        reader.join()
        assert process.stderr is not None
        process.stderr.close()


def refused(workspace: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A start that is refused."""
    return subprocess.run(
        [sys.executable, "-m", "caf.cli", "serve", "--workspace", str(workspace), *options],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
