"""An event loop whose time is invented: nothing is waited for, and a seed's coroutines run in the same order."""

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

__all__ = ["StandstillError", "VirtualLoop"]


class StandstillError(AssertionError):
    """Everything waits, and nothing will ever happen: in a real process this would be a hang."""


class VirtualLoop(asyncio.BaseEventLoop):
    """`now_s` is the time; sleeping moves it. What became ready together may be run in another order."""

    def __init__(self, now_s: float = 0.0) -> None:
        super().__init__()
        self.set_task_factory(self._numbered)
        self.now_s = now_s
        self._tasks = 0
        self.steps = 0
        self.reorder: Callable[[Any], None] | None = None
        """Is given what is ready, before it runs."""
        self.last_step: int | None = None
        self.at_last_step: Callable[[], None] = lambda: None

    def time(self) -> float:
        return self.now_s

    def _run_once(self) -> None:
        ready, timers = self._ready, self._scheduled  # type: ignore[attr-defined]
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
        if not ready:
            if not timers:
                raise StandstillError
            self.now_s = max(self.now_s, timers[0]._when)
        while timers and timers[0]._when <= self.now_s:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            ready.append(timer)
        if self.reorder is not None and len(ready) > 1:
            self.reorder(ready)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            self.steps += 1
            if self.steps == self.last_step:
                self.at_last_step()
            before = len(ready)
            handle._run()
            if len(ready) > before + 1:
                self._put_in_order(ready, before)

    def _put_in_order(self, ready: Any, before: int) -> None:
        """Tasks that one step woke run by age: anyio cancels those of a group in the order of their addresses."""
        woken = [ready.pop() for _ in range(len(ready) - before)][::-1]
        numbers = [_number_of(handle) for handle in woken]
        places = [index for index, number in enumerate(numbers) if number is not None]
        ages = [numbers[index] for index in places]
        if ages != sorted(ages):
            by_age = [woken[index] for index in sorted(places, key=numbers.__getitem__)]
            for index, handle in zip(places, by_age, strict=True):
                woken[index] = handle
        ready.extend(woken)

    def _numbered(self, loop: Any, coro: Any, **given: Any) -> Any:
        task: Any = asyncio.Task(coro, loop=loop, **given)
        self._tasks += 1
        task.number = self._tasks
        return task

    def _process_events(self, event_list: list[Any]) -> None:
        """There are none: a simulation touches no files."""

    def _write_to_self(self) -> None:
        """Nobody else runs who would have to be woken."""


def _number_of(handle: Any) -> Any:
    return getattr(getattr(handle._callback, "__self__", None), "number", None)
