"""One child process, seen from the caller: start, send a line, receive a line, end it, read its noise."""

import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path
from subprocess import PIPE
from typing import IO, Final, Self

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from caf.errors import child_not_started
from caf.worker.protocol import LINE_LIMIT_BYTES

__all__ = ["ChildProcess"]

_GRACE_S: Final = 1.0
_TAIL_BYTES: Final = 8192


class ChildProcess:
    """A running `python -m caf.worker`. It must be ended with `end`."""

    def __init__(self, process: Process, noise: IO[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._lines = BufferedByteReceiveStream(process.stdout)
        self._noise = noise
        self.calls = 0
        """How many requests it was sent."""

    @classmethod
    async def start(cls, tasks: str, memory_bytes: int | None) -> Self:
        """Starts a child in a session of its own, so that Ctrl-C on the terminal does not reach it.

        Linux ends the child with the thread that started it: call this from a thread that stays.
        Raises TryAgainError when the system cannot start a process.
        """
        command = [sys.executable, "-P", "-m", "caf.worker", "--parent", str(os.getpid()), "--tasks", tasks]
        if memory_bytes is not None:
            command += ["--memory-bytes", str(memory_bytes)]
        # The child looks for modules where the caller does, and not in the folder it happens to be in.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p or str(Path.cwd()) for p in sys.path)}
        noise = tempfile.TemporaryFile()  # noqa: SIM115  closed in `end`
        try:
            with anyio.CancelScope(shield=True):
                process = await anyio.open_process(
                    command, stdin=PIPE, stdout=PIPE, stderr=noise, env=environment, start_new_session=True
                )
        except OSError as error:
            noise.close()
            raise child_not_started(error) from error
        return cls(process, noise)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.returncode is None

    async def send(self, line: bytes) -> None:
        """Raises BrokenResourceError or ClosedResourceError when the child is gone."""
        if self.calls > 0:  # what it says while it starts may be the reason why the first call fails
            os.ftruncate(self._noise.fileno(), 0)
            os.lseek(self._noise.fileno(), 0, os.SEEK_SET)
        self.calls += 1
        await self._stdin.send(line)

    async def receive(self) -> bytes:
        """The next line. Raises EndOfStream, IncompleteRead or BrokenResourceError at its end."""
        return await self._lines.receive_until(b"\n", LINE_LIMIT_BYTES)

    def noise(self) -> bytes:
        """The end of what the child printed outside of any log since the last `send`."""
        if self._noise.closed:
            return b""
        size = os.fstat(self._noise.fileno()).st_size
        return os.pread(self._noise.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES))

    async def end(self, how: signal.Signals | None) -> int:
        """Ends the process and waits for it, whatever is cancelled meanwhile; returns its exit status.

        `how` is the first signal; None only closes its stdin, which an idle child follows at once.
        """
        with anyio.CancelScope(shield=True):
            await self._stdin.aclose()
            if how is not None:
                self._signal(how)
            with anyio.move_on_after(_GRACE_S):
                await self._process.wait()
            self._signal(signal.SIGKILL)
            returncode = await self._process.wait()
            await self._process.aclose()
        self._noise.close()
        return returncode

    def _signal(self, number: signal.Signals) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
