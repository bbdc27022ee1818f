"""What ends a process beside a worker when its caller ends, whoever is killed, and however."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

__all__ = ["start_tethered", "tether", "watch_stdin"]

_PR_SET_PDEATHSIG: Final = 1


def start_tethered(module: str) -> "subprocess.Popen[bytes]":
    """`python -m MODULE --parent PID`, with pipes for stdin, stdout and stderr, in this process's group.

    Linux ends it with the thread that started it: call this from a thread that stays. Raises OSError.
    """
    command = [sys.executable, "-P", "-m", module, "--parent", str(os.getpid())]
    # It looks for modules where this process does, and not in the folder it happens to be in.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p or str(Path.cwd()) for p in sys.path)}
    pipe = subprocess.PIPE
    return subprocess.Popen(  # noqa: S603  this Python, and a module of ours
        command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, bufsize=0
    )


def tether(parent: int) -> None:
    """The end of the caller is the end of this process; Ctrl-C and the terminal's end are the caller's to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def watch_stdin() -> None:
    """Where the kernel does not end a process with its caller, the caller's end of the pipe tells.

    For a process that has read all that it is asked for.
    """
    threading.Thread(target=_end_with_stdin, daemon=True).start()


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os._exit(0)
