"""The helpers of a pose task: processes that follow a clip from places in its middle, and end with their caller.

Each is `python -m caf.pose.span`. It stays in its caller's process group and dies with the caller's thread
that started it, so that nothing is left whoever is killed, and however.
"""

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from typing import Final, Self

import msgspec
import numpy as np

from caf.errors import CafError, MediaError, child_not_started
from caf.pose.landmarks import LANDMARK_COUNT, Found
from caf.pose.protocol import SpanEnded, SpanFailed, SpanFound, SpanRequest, SpanSays
from caf.worker.autopsy import cause_of_death, last_words
from caf.worker.errors import WorkerStalledError
from caf.worker.fault import error_of
from caf.worker.memory import oom_kills
from caf.worker.tether import start_tethered

__all__ = ["Helpers"]

_TASK: Final = "pose"
_READ_BYTES: Final = 1 << 16
_TAIL_BYTES: Final = 8192


class Helpers:
    """One helper for each request, numbered from 1; use as a context, after which none is left.

    `found` and `ended` are told what they say, when `pump` is called; `ended` also of a clip that could not be
    decoded from there on, with the error. What they print goes to this
    process's standard error.
    """

    def __init__(
        self,
        requests: Sequence[SpanRequest],
        *,
        found: Callable[[int, Found], None],
        ended: Callable[[int, MediaError | None], None],
        stall_s: float,
    ) -> None:
        self._found, self._ended, self._stall_s = found, ended, stall_s
        self._selector = selectors.DefaultSelector()
        self._oom_kills = oom_kills()
        self.peak_bytes = 0
        """Highest resident memory of any of them."""
        self._helpers: dict[int, _Helper] = {}
        try:
            for number, request in enumerate(requests, 1):
                self._helpers[number] = _Helper(request)
        except OSError as error:
            self.close()
            raise child_not_started(error, fewer="pose_workers") from error
        for number, helper in self._helpers.items():
            for pipe in (helper.answers, helper.noise):
                self._selector.register(pipe, selectors.EVENT_READ, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def numbers(self) -> list[int]:
        """Of those that are heard still."""
        return list(self._helpers)

    @property
    def pids(self) -> list[int]:
        """Of those that run."""
        return [helper.process.pid for helper in self._helpers.values() if helper.process.poll() is None]

    def close(self) -> None:
        """Ends all that run, and waits for them."""
        for number in list(self._helpers):
            self.dismiss(number)
        self._selector.close()

    def dismiss(self, number: int) -> None:
        """Ends one, if it is there; what it says after is not heard."""
        helper = self._helpers.pop(number, None)
        if helper is None:
            return
        for pipe in (helper.answers, helper.noise):
            if pipe in self._open():
                self._selector.unregister(pipe)
        helper.end()

    def hold(self, number: int, held: bool) -> None:
        """Lets one wait, or go on, if it is there: what nobody hears fills its pipe, and then it stands still."""
        helper = self._helpers.get(number)
        if helper is None or held == helper.held:
            return
        helper.held, helper.heard_s = held, time.monotonic()
        if held:
            self._selector.unregister(helper.answers)
        else:
            self._selector.register(helper.answers, selectors.EVENT_READ, number)

    def pump(self, wait_s: float = 0.0) -> bool:
        """Hears what was said, waiting for at most so long; whether there was anything.

        Raises what else a helper raised, WorkerCrashedError or OutOfMemoryError for one that died, and
        WorkerStalledError for one that has been silent for too long.
        """
        heard = False
        for key, _ in self._selector.select(wait_s):
            helper = self._helpers.get(key.data)
            if helper is None:
                continue
            if key.fileobj == helper.noise:
                self._pass_on(helper)
            else:
                heard = True
                self._listen(key.data, helper)
        now_s = time.monotonic()
        for helper in self._helpers.values():
            if not helper.held and now_s - helper.heard_s > self._stall_s:
                raise WorkerStalledError(_TASK, self._stall_s)
        return heard

    def _open(self) -> set[int]:
        return {key.fd for key in self._selector.get_map().values()}

    def _pass_on(self, helper: "_Helper") -> None:
        printed = os.read(helper.noise, _READ_BYTES)
        if not printed:
            self._selector.unregister(helper.noise)
            return
        helper.tail = (helper.tail + printed)[-_TAIL_BYTES:]
        os.write(2, printed)

    def _listen(self, number: int, helper: "_Helper") -> None:
        got = os.read(helper.answers, _READ_BYTES)
        if not got:
            raise self._cause(helper)
        helper.heard_s = time.monotonic()
        *lines, helper.rest = (helper.rest + got).split(b"\n")
        for line in lines:
            if number not in self._helpers:
                return
            self._take(number, msgspec.json.decode(line, type=SpanSays))

    def _take(self, number: int, said: SpanSays) -> None:
        match said:
            case SpanFound():
                self.peak_bytes = max(self.peak_bytes, said.peak_bytes)
                poses = np.frombuffer(said.poses, np.float32).reshape(-1, LANDMARK_COUNT, 4)
                self._found(number, Found(said.time_s, said.width, said.height, poses, said.look))
            case SpanEnded():
                self.dismiss(number)
                self._ended(number, None)
            case SpanFailed(fault):
                told = error_of(fault)
                if not isinstance(told, MediaError):
                    raise told
                self.dismiss(number)
                self._ended(number, told)

    def _cause(self, helper: "_Helper") -> CafError:
        while helper.noise in self._open():
            self._pass_on(helper)
        return cause_of_death(
            _TASK,
            helper.process.wait(),
            last_words(helper.tail),
            limit_bytes=None,
            peak_bytes=self.peak_bytes,
            system_killed_for_memory=oom_kills() > self._oom_kills,
        )


class _Helper:
    """One running helper, its pipes and what it has said in part."""

    def __init__(self, request: SpanRequest) -> None:
        self.process = start_tethered("caf.pose.span")
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.answers = self.process.stdout.fileno()
        self.noise = self.process.stderr.fileno()
        self.heard_s = time.monotonic()
        self.held = False
        self.rest = b""
        self.tail = b""
        with contextlib.suppress(BrokenPipeError):  # it is dead already, and that is told when it is heard
            self.process.stdin.write(msgspec.json.encode(request) + b"\n")

    def end(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
