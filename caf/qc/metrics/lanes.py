"""Threads that work on a clip side by side: OpenCV and PyAV do nearly all of it without the interpreter's lock.

Who waits for the lock often gets it late. So there are few threads, and each does large things: it decodes, or searches
pictures for faces.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Self, TypeVar

__all__ = ["Ahead", "Beside", "side_by_side"]

One = TypeVar("One")
Other = TypeVar("Other")


class Ahead(Generic[One]):
    """Iterates in a thread of its own, up to `depth` things before they are asked for. Use as a context, and once.

    What the iterator raises is raised where its next thing would have come. Nothing of it is under way at the end.
    """

    def __init__(self, things: Iterable[One], depth: int) -> None:
        self._things = things
        self._room = threading.Semaphore(depth)
        self._ready: queue.SimpleQueue[tuple[One] | None] = queue.SimpleQueue()
        self._fault: Exception | None = None
        self._unwanted = False
        self._thread = threading.Thread(target=self._iterate, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._unwanted = True
        self._room.release()
        self._thread.join()

    def __iter__(self) -> Iterator[One]:
        while (ready := self._ready.get()) is not None:
            yield ready[0]
            self._room.release()
        if self._fault is not None:
            raise self._fault

    def _iterate(self) -> None:
        try:
            for thing in self._things:
                self._room.acquire()
                if self._unwanted:
                    return
                self._ready.put((thing,))
        except Exception as error:  # noqa: BLE001  told in the thread that asks
            self._fault = error
        finally:
            self._ready.put(None)


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
