"""An event loop whose time is invented: nothing is waited for, and the same coroutines run in the same order."""

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any

__all__ = ["StandstillError", "VirtualLoop"]


class StandstillError(AssertionError):
    """Everything waits, and nothing will ever happen: in a real process this would be a hang."""


class _NoFiles(selectors.BaseSelector):
    """Nothing is ever ready; the time until the next timer passes at once."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise StandstillError
        self._loop.now_s += max(0.0, timeout)
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        raise AssertionError("a simulation touches no files")

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        raise AssertionError("a simulation touches no files")

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}

    def close(self) -> None:
        pass


class VirtualLoop(asyncio.BaseEventLoop):
    """`now_s` is the time; sleeping moves it."""

    def __init__(self, now_s: float = 0.0) -> None:
        super().__init__()
        self.now_s = now_s
        self._selector = _NoFiles(self)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self.now_s

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass
