"""`caf` in processes of their own that need not load Python and caf anew: forked off one that did so once.

Every call has its own process, arguments, environment, folder and streams, and ends as the interpreter ends; what it
does not have is a start of its own, four fifths of the processor's time of a verb that reads. What of its start is a
test's subject starts `python -m caf.cli` itself, and each verb is started so in tests/cli/test_start.py.
"""

import atexit
import gc
import importlib
import io
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["call", "close"]

ROOT: Final = Path(__file__).parents[2]
_LOADED: Final = ("anyio._backends._asyncio", "caf.app", "caf.cli.__main__", "caf.runner")
"""No verb's own module: each call still proves that it finds what it needs."""
_MESSAGE_BYTES: Final = 1 << 17
_OURS: Final = ("CAF_", "NO_COLOR", "PYTEST_")
"""Variables that no interpreter, C library or loader reads when a process starts."""


class _Stem:
    """The process that the others are forked off."""

    def __init__(self) -> None:
        self._asking, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.environment = dict(os.environ)
        with other:
            words = [sys.executable, "-m", "tests.support.forked", str(other.fileno())]
            self._process = subprocess.Popen(words, cwd=ROOT, pass_fds=[other.fileno()])

    def fork(self, told: bytes, streams: Sequence[int]) -> socket.socket:
        """Where the process tells its id, and then how it ended."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            socket.send_fds(self._asking, [told], [*streams, theirs.fileno()])
        return ours

    def close(self) -> None:
        self._asking.close()
        self._process.wait()


_stems: Final[list[_Stem]] = []
_one_at_a_time: Final = threading.Lock()


def call(
    arguments: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    timeout_s: float,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """`caf` with these arguments, to its end. Raises `subprocess.TimeoutExpired`."""
    words = [str(word) for word in arguments]
    if not sys.platform.startswith("linux"):  # elsewhere a fork alone is not safe, and there is no pidfd
        return _started(words, environment, timeout_s, cwd)
    with _one_at_a_time:
        if not _stems:
            _stems.append(_Stem())
            atexit.register(close)
    if _foreign(environment) != _foreign(_stems[0].environment):
        return _started(words, environment, timeout_s, cwd)
    told = json.dumps([words, dict(environment), str(cwd or Path.cwd())]).encode()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        with _stems[0].fork(told, [0, out.fileno(), err.fileno()]) as process:
            pid = int(process.recv(64))
            process.settimeout(timeout_s)
            try:
                code = int(process.recv(64))
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(words, timeout_s) from None
        return subprocess.CompletedProcess(words, code, _whole(out), _whole(err))


def _started(
    words: Sequence[str], environment: Mapping[str, str], timeout_s: float, cwd: Path | None
) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "caf.cli", *words]
    return subprocess.run(
        command, env=environment, capture_output=True, timeout=timeout_s, cwd=cwd, check=False
    )


def _foreign(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(_OURS)}


def _whole(file: Any) -> bytes:
    file.seek(0)
    found: bytes = file.read()
    return found


def close() -> None:
    """End the process that the others are forked off, if there is one."""
    while _stems:
        _stems.pop().close()


def _serve(asked: socket.socket) -> None:
    """Returns in each forked process, with everything set as it was asked for; in the first one never."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the tests' own end is what ends it
    watched = selectors.DefaultSelector()
    watched.register(asked, selectors.EVENT_READ)
    while True:
        for key, _ in watched.select():
            if key.data is not None:
                _tell_the_end(watched, key)
                continue
            told, descriptors, *_ = socket.recv_fds(asked, _MESSAGE_BYTES, 4)
            if not told:
                os._exit(0)
            pid = os.fork()
            if pid == 0:
                watched.close()
                _become(told, descriptors)
                return
            for descriptor in descriptors[:3]:
                os.close(descriptor)
            waiting = socket.socket(fileno=descriptors[3])
            waiting.send(str(pid).encode())
            watched.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, waiting))


def _tell_the_end(watched: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    pid, waiting = key.data
    watched.unregister(key.fileobj)
    os.close(key.fd)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with waiting:
        try:
            waiting.send(str(code).encode())
        except BrokenPipeError:
            return  # nobody waits any longer


def _become(told: bytes, descriptors: Sequence[int]) -> None:
    words, environment, folder = json.loads(told)
    for number, descriptor in enumerate(descriptors[:3]):
        os.dup2(descriptor, number)
    os.closerange(3, max(descriptors) + 1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv[1:] = words
    for name, number in (("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        fresh = io.TextIOWrapper(
            os.fdopen(number, "wb", closefd=False),
            old.encoding,
            old.errors,
            write_through=number == 2,
            line_buffering=number == 2,
        )
        setattr(sys, name, fresh)


def main(descriptor: int) -> None:
    """Load what most verbs need, and then be whatever is asked for."""
    for name in _LOADED:
        importlib.import_module(name)
    gc.freeze()
    asked = socket.socket(fileno=descriptor)
    _serve(asked)
    asked.detach()
    importlib.import_module("caf.cli.start").main()


if __name__ == "__main__":
    main(int(sys.argv[1]))
