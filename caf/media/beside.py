"""Reading and writing beside the work on a frame: decoding and encoding leave the interpreter free for it."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

__all__ = ["Behind", "ahead"]

_DEPTH: Final = 2
"""Frames that are decoded before they are asked for, or wait to be encoded."""

Item = TypeVar("Item")


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, made two ahead in a thread of its own; what making them raises is raised where they are due."""
    end = object()
    pool = ThreadPoolExecutor(1)
    try:
        waiting = deque(pool.submit(next, items, end) for _ in range(_DEPTH))
        while (item := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, items, end))
            yield item  # type: ignore[misc]
    finally:
        pool.shutdown(cancel_futures=True)
        close = getattr(items, "close", None)
        if close is not None:
            close()


class Behind:
    """Does one thing after another in a thread of its own, with at most two waiting.

    What one of them raises is raised by the next `add` or by `finish`, and nothing after it is done.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()
        self._failed = False

    def add(self, act: Callable[[], None]) -> None:
        """Have `act` done; waits while too much is waiting."""
        while len(self._waiting) > _DEPTH:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._do, act))

    def finish(self) -> None:
        """Wait until all is done."""
        try:
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            self.drop()

    def drop(self) -> None:
        """Leave out what waits, and wait for what is under way."""
        self._pool.shutdown(cancel_futures=True)

    def _do(self, act: Callable[[], None]) -> None:
        if self._failed:
            return
        try:
            act()
        except BaseException:
            self._failed = True
            raise
