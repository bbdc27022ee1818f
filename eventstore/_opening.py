"""What `open` gives: a store to be, which can be awaited or entered."""

import asyncio
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Generic, Protocol, TypeVar

from anyio.to_thread import run_sync

__all__ = ["Opening"]


class _Opened(Protocol):
    def attach(self, loop: asyncio.AbstractEventLoop) -> None: ...

    async def aclose(self) -> None: ...


S = TypeVar("S", bound=_Opened)


class Opening(Generic[S]):
    """`await` it, or enter it with `async with`."""

    def __init__(self, start: Callable[[], S]) -> None:
        """`start` opens the store, in a thread."""
        self._start = start
        self._store: S | None = None

    def __await__(self) -> Generator[Any, Any, S]:
        return self._open().__await__()

    async def _open(self) -> S:
        loop = asyncio.get_running_loop()
        store = await run_sync(self._start)
        store.attach(loop)
        return store

    async def __aenter__(self) -> S:
        self._store = await self._open()
        return self._store

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._store is not None
        await self._store.aclose()
