"""The child side: confines itself, reads requests, runs them in the main thread, answers.

The process dies with its caller. On Linux the kernel sees to that, even while native code hangs;
everywhere a thread also watches stdin, whose end means that the caller is gone or done.
"""

import contextlib
import faulthandler
import gc
import os
import queue
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, BinaryIO, Final

import msgspec

from caf.errors import CafError
from caf.worker.fault import fault_of
from caf.worker.memory import give_back_memory, peak_bytes, reset_peak
from caf.worker.protocol import LINE_LIMIT_BYTES, Ask, Say, send
from caf.worker.tasks import Task
from caf.worker.tether import tether

__all__ = ["confine", "serve"]

_BEAT_S: Final = 0.05
"""Progress more often than this is not passed on: a person cannot read it, and it costs time."""

_BESIDE_BYTES: Final = 4096


def confine(parent: int, memory_bytes: int | None) -> None:
    """Binds this process to its caller and its limits: no core files, no Ctrl-C of its own."""
    tether(parent)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes is not None:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
        with contextlib.suppress(ValueError, OSError):  # macOS refuses; the caller's deadline still holds
            resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def serve(tasks: dict[str, Task]) -> None:
    """Answers requests one after another until stdin ends; does not return."""
    asks, answers = _private_pipes()
    faulthandler.enable()
    stderr = os.dup(2)
    waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(asks, waiting), daemon=True).start()
    decode = msgspec.json.Decoder(Ask).decode
    loaded = 0
    while True:
        ask = decode(waiting.get())
        _answer(ask, tasks, answers, stderr)
        give_back_memory()
        if len(sys.modules) > loaded:
            # What came with new modules stays to the end: to look through it took 45 ms after each of a job's tasks.
            loaded = len(sys.modules)
            gc.freeze()


def _private_pipes() -> tuple[BinaryIO, int]:
    """Moves the protocol away from descriptors 0 and 1, which native code may read and print to."""
    asks = os.fdopen(os.dup(0), "rb")
    answers = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return asks, answers


def _read(asks: BinaryIO, waiting: "queue.SimpleQueue[bytes]") -> None:
    for line in asks:
        waiting.put(line)
    # There is nothing to tidy up, and native libraries are known to hang in their exit handlers.
    os._exit(0)


def _answer(ask: Ask, tasks: dict[str, Task], answers: int, stderr: int) -> None:
    reset_peak()
    send(answers, Say(phase="accepted"))
    try:
        with _printing_to(ask.log, stderr):
            result = _run(ask, tasks, answers)
        send(answers, Say(result=msgspec.Raw(result), peak_bytes=peak_bytes()))
    except Exception as error:  # noqa: BLE001  whatever it is, the caller is told
        send(answers, Say(error=fault_of(error), peak_bytes=peak_bytes()))


def _run(ask: Ask, tasks: dict[str, Task], answers: int) -> bytes:
    try:
        task = tasks[ask.task]
        module, _, name = task.function.partition(":")
        function: Callable[..., Any] = getattr(import_module(module), name)
        send(answers, Say(phase="loaded"))
        request = msgspec.json.decode(ask.request, type=task.request)
        return _short(ask.task, msgspec.json.encode(function(request, _beat(answers))))
    except Exception as error:
        if not isinstance(error, CafError):
            traceback.print_exc()
        raise


def _short(task: str, result: bytes) -> bytes:
    """The result, if it fits into a line beside what goes with it. Raises CafError."""
    most = LINE_LIMIT_BYTES - _BESIDE_BYTES
    if len(result) > most:
        raise CafError(
            f"The task '{task}' answered with {len(result) / 2**20:.0f} MiB; at most {most / 2**20:.0f} can be told.",
            remedy="Use a shorter clip; please report it, too: such an answer belongs into a file.",
            kind="task_failed",
        )
    return result


def _beat(answers: int) -> Callable[[int, int | None], None]:
    last_s = -_BEAT_S

    def progress(done: int, total: int | None) -> None:
        nonlocal last_s
        now_s = time.monotonic()
        if now_s - last_s >= _BEAT_S or done == total:
            last_s = now_s
            send(answers, Say(progress=(done, total), peak_bytes=peak_bytes()))

    return progress


@contextlib.contextmanager
def _printing_to(log: str | None, stderr: int) -> Iterator[None]:
    """Sends descriptors 1 and 2 to the log file meanwhile."""
    if log is None:
        yield
        return
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        _redirect(file)
        yield
    finally:
        _redirect(stderr)
        os.close(file)


def _redirect(file: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(file, 1)
    os.dup2(file, 2)
