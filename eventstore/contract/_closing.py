"""Contract: what those who read, wait or close as well learn when a store closes."""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.lowlevel

from eventstore.contract._support import Contract, events, refused
from eventstore.errors import StoreClosed
from eventstore.store import EventStore

__all__ = ["ClosingContract"]

_READS: Final[dict[str, Callable[[EventStore], AsyncIterator[Any]]]] = {
    "read": lambda store: store.read("job-a"),
    "read_all": lambda store: store.read_all(),
    "replay": lambda store: store.replay(lambda kind, version: int),
    "subscribe": lambda store: store.subscribe(),
}


class ClosingContract(Contract):
    async def test_closing_cuts_no_read_short(self, tmp_path: Path) -> None:
        """Each goes on to its end or says that the store closed; none ends before as if that were all."""
        for kind, read in _READS.items():
            folder = tmp_path / kind
            folder.mkdir()
            with anyio.fail_after(self.guard_s):
                async with self.open(folder) as store:
                    for _ in range(4):
                        await store.append("job-a", events(500))
                    found = read(store)
                    item = await anext(found)
                    seen = len(item) if kind == "replay" else 1
                    await store.aclose()
                    try:
                        async for item in found:
                            seen += len(item) if kind == "replay" else 1
                    except StoreClosed:
                        continue
                    assert kind != "subscribe"
                    assert seen == 2_000, kind

    async def test_leaving_a_store_closes_it_whatever_is_raised(self, tmp_path: Path) -> None:
        for how in ("quietly", "by an error", "cancelled"):
            folder = tmp_path / how
            folder.mkdir()
            with anyio.CancelScope() as scope, contextlib.suppress(LookupError):
                async with self.open(folder) as store:
                    await store.append("job-a", events(1))
                    if how == "by an error":
                        raise LookupError(how)
                    if how == "cancelled":
                        scope.cancel()
                        await anyio.sleep_forever()
            await refused(StoreClosed, store.head())
            await refused(StoreClosed, store.append("job-a", events(1)))

    async def test_a_store_may_be_closed_twice_at_once(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                await store.append("job-a", events(3))
                async with anyio.create_task_group() as tasks:
                    for _ in range(3):
                        tasks.start_soon(store.aclose)
                await refused(StoreClosed, store.head())

    async def test_all_waiting_are_woken_and_told(self, tmp_path: Path) -> None:
        """Subscriptions that wait, to the log and to a category: by an append, and then that the store closed."""
        woken: list[int] = []
        told: list[str | None] = []
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                all_woken = anyio.Event()

                async def follow(category: str | None) -> None:
                    try:
                        async for event in store.subscribe(category=category):
                            woken.append(event.position)
                            if len(woken) == 8:
                                all_woken.set()
                    except StoreClosed:
                        told.append(category)

                for number in range(8):
                    tasks.start_soon(follow, "job" if number % 2 else None)
                await anyio.wait_all_tasks_blocked()
                await store.append("job-a", events(1))
                await all_woken.wait()
                await anyio.wait_all_tasks_blocked()
                await store.aclose()
        assert woken == [1] * 8
        assert sorted(map(str, told)) == ["None"] * 4 + ["job"] * 4

    async def test_an_append_that_was_made_before_the_store_closed_is_finished(self, tmp_path: Path) -> None:
        called: list[str] = []
        answered: list[str] = []
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:

                async def write(name: str, expected: int) -> None:
                    called.append(name)
                    answer = await store.append(name, events(2), expected_version=expected)
                    assert (answer.first_version, answer.last_version) == (expected + 1, expected + 2)
                    answered.append(name)

                for number in range(20):
                    await store.append(f"job-{number}", events(2))
                async with anyio.create_task_group() as tasks:
                    for number in range(40):
                        tasks.start_soon(write, f"job-{number}", 2 if number < 20 else 0)
                    while len(called) < 40:
                        await anyio.lowlevel.checkpoint()
                    await store.aclose()
        assert sorted(answered) == sorted(called)
