"""Threads that work on a clip side by side: OpenCV and PyAV do nearly all of it without the interpreter's lock."""

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Self, TypeVar

from caf.qc.metrics.frames import SeenFrame

__all__ = ["Beside", "Lanes", "side_by_side"]

_DEPTH: Final = 3
"""Frames that a lane may be behind."""

One = TypeVar("One")
Other = TypeVar("Other")


class Lanes:
    """Gives every frame to each of `takers`, in order, each in a thread of its own. Use as a context.

    What a taker raises is raised by `add` or at the end.
    """

    def __init__(self, takers: Sequence[Callable[[SeenFrame], None]]) -> None:
        self._fault: Exception | None = None
        self._queues: list[queue.Queue[SeenFrame | None]] = [queue.Queue(_DEPTH) for _ in takers]
        self._threads = [
            threading.Thread(target=self._serve, args=pair, daemon=True)
            for pair in zip(takers, self._queues, strict=True)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for waiting in self._queues:
            waiting.put(None)
        for thread in self._threads:
            thread.join()
        if kind is None:
            self._check()

    def add(self, frame: SeenFrame) -> None:
        self._check()
        for waiting in self._queues:
            waiting.put(frame)

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _serve(self, taker: Callable[[SeenFrame], None], waiting: "queue.Queue[SeenFrame | None]") -> None:
        while (frame := waiting.get()) is not None:
            if self._fault is None:  # else only so that nobody waits for this lane
                try:
                    taker(frame)
                except Exception as error:  # noqa: BLE001  told in the thread that adds
                    self._fault = error


class Beside:
    """Does one thing after another in a thread beside the one that asks; of a single worker, when it is asked for.

    Use as a context, at whose end nothing is under way.
    """

    def __init__(self, workers: int) -> None:
        self._pool = ThreadPoolExecutor(1) if workers > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def start(self, act: Callable[[], Other]) -> Callable[[], Other]:
        """What gives the outcome, or raises what was raised."""
        return self._pool.submit(act).result if self._pool is not None else act


def side_by_side(act: Callable[[One], Other], these: Iterable[One], workers: int) -> list[Other]:
    """`act` on each, in order, by so many threads."""
    if workers == 1:
        return [act(one) for one in these]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(act, these))
