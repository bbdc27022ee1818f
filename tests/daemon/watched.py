"""`caf` with a witness on its event loop: `python -m tests.daemon.watched serve ...`.

Every callback of the loop is timed: its wall time, less the time for which its thread, or another thread of this
process that may have held the interpreter's lock, stood ready and got no processor, and less what the machine's
host took of its processors. What remains was spent computing, waiting for a lock, or in a system call that blocks;
on a busy machine as on an idle one. What took too long is written to the file that `WATCHED` names when the process
ends.
"""

import asyncio
import gc
import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any, Final

from caf.cli.__main__ import main

WORTH_TELLING_S: Final = 0.020
"""What a callback took that is reported."""
_LOOK_S: Final = 0.01
_HOST: Final = -1
"""In the place of a thread's number, which is above 0."""
_STOLEN: Final = 8
"""Field of /proc/stat's first line. Source: proc_stat(5), in ticks."""
_REFRESH: Final = 200
"""Callbacks after which it is looked again which threads there are."""


class Delays:
    """How long this process's threads have waited for a processor. Source: schedstat(5), second field, in ns."""

    def __init__(self) -> None:
        self._main = threading.get_native_id()
        self.passed_over: set[int] = set()
        """Threads that do nothing that anybody waits for."""
        self._files: dict[int, int] = {}
        self._stat = os.open("/proc/stat", os.O_RDONLY)
        self._tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
        self._age = _REFRESH

    def now_ns(self) -> dict[int, int]:
        """By thread, and under `_HOST` what the host took."""
        self._age += 1
        if self._age > _REFRESH:
            self._age = 0
            self._look()
        found = {_HOST: int(os.pread(self._stat, 200, 0).split()[_STOLEN]) * self._tick_ns}
        for thread, file in list(self._files.items()):
            try:
                found[thread] = int(os.pread(file, 100, 0).split()[1])
            except (OSError, IndexError):
                os.close(self._files.pop(thread))
        return found

    def since_ns(self, before: dict[int, int]) -> int:
        """Of the main thread since then, and of the other one that waited the longest."""
        now = self.now_ns()
        waited = {thread: now[thread] - value for thread, value in before.items() if thread in now}
        own = waited.pop(self._main, 0) + waited.pop(_HOST, 0)
        return own + max(waited.values(), default=0)

    def _look(self) -> None:
        for name in os.listdir("/proc/self/task"):  # noqa: PTH208 - names are enough
            if int(name) not in self._files and int(name) not in self.passed_over:
                try:
                    self._files[int(name)] = os.open(f"/proc/self/task/{name}/schedstat", os.O_RDONLY)
                except OSError:
                    continue  # it has ended


class Witness:
    """Times the loop's callbacks, and looks where a slow one is."""

    def __init__(self) -> None:
        self.slow: list[dict[str, Any]] = []
        self.callbacks = 0
        self.longest_s = 0.0
        self._delays = Delays()
        self._main = threading.get_ident()
        self._begun_s: float | None = None
        self._seen: list[str] = []
        threading.Thread(target=self._look_on, daemon=True).start()

    def install(self) -> None:
        run = asyncio.Handle._run

        def timed(handle: asyncio.Handle) -> None:
            before = self._delays.now_ns()
            self._seen = []
            begun_s = self._begun_s = time.monotonic()
            try:
                run(handle)
            finally:
                self._begun_s = None
                self._note(handle, begun_s, before)

        asyncio.Handle._run = timed  # type: ignore[method-assign]

    def _note(self, handle: asyncio.Handle, begun_s: float, before: dict[int, int]) -> None:
        self.callbacks += 1
        wall_s = time.monotonic() - begun_s
        if wall_s <= self.longest_s and wall_s <= WORTH_TELLING_S:
            return
        took_s = wall_s - self._delays.since_ns(before) / 1e9
        self.longest_s = max(self.longest_s, took_s)
        if took_s > WORTH_TELLING_S:
            told = {"at_s": begun_s, "took_s": round(took_s, 4), "wall_s": round(wall_s, 4)}
            self.slow.append({**told, "what": _told(handle), "where": self._seen})

    def _look_on(self) -> None:
        self._delays.passed_over.add(threading.get_native_id())
        pause = threading.Event()
        while not pause.wait(_LOOK_S):
            begun_s = self._begun_s
            if begun_s is not None and time.monotonic() - begun_s > WORTH_TELLING_S / 2:
                frame = sys._current_frames().get(self._main)
                self._seen = traceback.format_stack(frame)[-6:]


def _told(handle: asyncio.Handle) -> str:
    """Whose callback it is: of a task, that."""
    callback = getattr(handle, "_callback", None)
    return f"{getattr(callback, '__self__', None)!r} {handle!r}"[:400]


if __name__ == "__main__":
    witness = Witness()
    witness.install()
    try:
        main(sys.argv[1:])
    finally:
        report = {
            "callbacks": witness.callbacks,
            "longest_s": witness.longest_s,
            "slow": witness.slow,
            "settled": gc.get_freeze_count(),
        }
        Path(os.environ["WATCHED"]).write_text(json.dumps(report))
