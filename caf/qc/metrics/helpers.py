"""Processes beside this one that collect pieces of a clip: started when first needed, kept for a minute after the last.

Linux ends a helper with the thread that started it. So only what a lasting thread started is kept.
"""

import atexit
import contextlib
import os
import pickle
import threading
from collections.abc import Callable
from typing import Final

import msgspec

from caf.errors import CafError, child_not_started
from caf.media.spans import OtherFramesError
from caf.qc.metrics.parts import FAULT, HEAD, OTHER_FRAMES, PART, SAMPLE, TICK, Part
from caf.qc.metrics.piece import Piece
from caf.qc.metrics.samples import Sample
from caf.worker.autopsy import cause_of_death, last_words
from caf.worker.fault import error_of
from caf.worker.memory import oom_kills
from caf.worker.protocol import Fault
from caf.worker.tether import start_tethered

__all__ = ["Helper", "IdleEndError", "borrow", "end_helpers", "hand_back"]

_TAIL_BYTES: Final = 8192

_idle: "list[Helper]" = []
_lock = threading.Lock()


class IdleEndError(Exception):
    """A kept helper had ended before it was asked for anything; another one will do."""


class Helper:
    """One running helper. Raises OSError where none can be started."""

    def __init__(self) -> None:
        self._oom_kills = oom_kills()
        self._process = start_tethered("caf.qc.metrics.part")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._asks, self._answers, self._noise = (
            self._process.stdin,
            self._process.stdout,
            self._process.stderr,
        )
        self._tail = b""
        self._answered = False
        self._kept = False
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def begin(self, request: bytes) -> None:
        """What the pieces are of that are asked for from now on."""
        self._answered = False
        self._ask(request)

    def collect(self, piece: Piece, tick: Callable[[], object], early: Callable[[Sample], object]) -> Part:
        """Waits for one piece. Raises what the helper raised, or what it died of, or IdleEndError."""
        self._ask(msgspec.json.encode(tuple(piece)))
        while True:
            kind, length = HEAD.unpack(self._read(HEAD.size))
            body = self._read(length)
            self._answered = True
            match kind:
                case _ if kind == TICK:
                    tick()
                case _ if kind == SAMPLE:
                    early(pickle.loads(body))  # noqa: S301  of a process of ours
                case _ if kind == PART:
                    part: Part = pickle.loads(body)  # noqa: S301  of a process of ours
                    return part
                case _ if kind == OTHER_FRAMES:
                    raise OtherFramesError
                case _ if kind == FAULT:
                    raise error_of(msgspec.json.decode(body, type=Fault))

    def keep(self) -> None:
        self._kept = True

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> None:
        """After `kill`: until it is gone."""
        self._process.wait()

    def close(self) -> None:
        """After `kill`, and after nobody waits for an answer."""
        self.wait()
        self._listener.join()
        for pipe in (self._asks, self._answers, self._noise):
            pipe.close()

    def _ask(self, line: bytes) -> None:
        left = memoryview(line + b"\n")
        with contextlib.suppress(BrokenPipeError):  # it is dead, and that is told when it should answer
            while left:
                left = left[self._asks.write(left) :]

    def _read(self, size: int) -> bytes:
        got = bytearray()
        while len(got) < size:
            more = self._answers.read(min(size - len(got), 1 << 20))
            if not more:
                if self._kept and not self._answered:
                    raise IdleEndError
                raise self._cause()
            got += more
        return bytes(got)

    def _listen(self) -> None:
        """What it prints goes to this process's standard error."""
        while printed := self._noise.read(1 << 16):
            self._tail = (self._tail + printed)[-_TAIL_BYTES:]
            os.write(2, printed)

    def _cause(self) -> CafError:
        status = self._process.wait()
        self._listener.join()
        killed = oom_kills() > self._oom_kills
        words = last_words(self._tail)
        return cause_of_death(
            "measure", status, words, limit_bytes=None, peak_bytes=0, system_killed_for_memory=killed
        )


def borrow(count: int) -> list[Helper]:
    """So many helpers, those first that are kept. Raises TryAgainError where one cannot be started."""
    with _lock:
        kept = [_idle.pop() for _ in range(min(count, len(_idle)))]
    found = [one for one in kept if one.alive]
    _end([one for one in kept if not one.alive])
    try:
        while len(found) < count:
            found.append(Helper())
    except OSError as error:
        _end(found)
        raise child_not_started(error, fewer="measure_workers") from error
    return found


def hand_back(helpers: list[Helper], *, keep: bool) -> None:
    """Ends them, or keeps them for whoever comes next: then none may have anything to do."""
    if not keep:
        _end(helpers)
        return
    for one in helpers:
        one.keep()
    with _lock:
        _idle.extend(helpers)


@atexit.register
def end_helpers() -> None:
    """Ends those that are kept."""
    with _lock:
        ending = _idle[:]
        _idle.clear()
    _end(ending)


def _end(helpers: list[Helper]) -> None:
    for one in helpers:
        one.kill()
    for one in helpers:
        one.close()
