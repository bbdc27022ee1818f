"""Contract: that a subscription which waits is woken, by whatever is recorded, and brings it once."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.lowlevel

from eventstore.contract._support import Contract, collect, events, mark, new, refused, same
from eventstore.errors import VersionConflict
from eventstore.model import NO_STREAM, RecordedEvent
from eventstore.store import EventStore

__all__ = ["LiveContract", "Waiting"]

_NEAR: Final = ("job_a-1", "jobs-a", "jo-a", "JOB-a", "-job", "a-job", "job-a-b", "job", "j%b-a", "other-job")
"""Streams of which some are in the category `job`."""
_TIMES: Final = 150
"""More often than a store has connections or places for those who wait."""


class Waiting:
    """Subscriptions, to the log and to a category, of which each event is awaited before the next is appended."""

    def __init__(self, *stores: EventStore, category: str = "job", after: int = 0, each: int = 1) -> None:
        self._stores = stores
        self._categories = [None, category] * each
        self._after = after
        self.got: list[list[RecordedEvent]] = []
        self._news = anyio.Event()

    async def run(self) -> None:
        """Follow, until cancelled."""
        async with anyio.create_task_group() as tasks:
            for store in self._stores:
                for category in self._categories:
                    self.got.append([])
                    tasks.start_soon(self._follow, store, category, self.got[-1])

    async def _follow(self, store: EventStore, category: str | None, got: list[RecordedEvent]) -> None:
        async for event in store.subscribe(after_position=self._after, category=category):
            got.append(event)
            self._news.set()

    async def all_have(self, position: int) -> None:
        """Until each has the event there, and waits again."""
        while any(not got or got[-1].position < position for got in self.got):
            await self._news.wait()
            self._news = anyio.Event()
        await anyio.wait_all_tasks_blocked()


class LiveContract(Contract):
    async def test_whatever_is_recorded_wakes_those_who_wait(self, tmp_path: Path) -> None:
        """Each before anything else is appended that would wake them in its place."""
        large = bytes(range(256)) * 1_024
        given = events(2)
        appends: tuple[Callable[[EventStore, int], Awaitable[Any]], ...] = (
            lambda store, head: store.append("job-a", given),
            lambda store, head: store.append("job-a", events(1)),
            lambda store, head: store.append("job-new", events(1), expected_version=NO_STREAM),
            lambda store, head: store.append("job-new", events(1), expected_version=1),
            lambda store, head: store.append("job-a", events(2), checkpoint=mark("qc", head)),
            lambda store, head: store.append("job-newer", events(3), checkpoint=mark("qc", head + 3)),
            lambda store, head: store.append("job-a", [new(large)]),
            lambda store, head: store.append("job-a", [new(metadata=large), *events(2)]),
            lambda store, head: store.append("job-a", events(17)),
            lambda store, head: store.append("job-b", events(300)),
            lambda store, head: store.append("job-b", events(2_500)),
            lambda store, head: store.append("job", [new(type="T", correlation_id="t", causation_id="c")]),
            lambda store, head: store.append("job-a", [new(large * 5)]),
        )
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                waiting = Waiting(store, each=2)
                tasks.start_soon(waiting.run)
                await anyio.wait_all_tasks_blocked()
                for append in (*appends, *appends[1:2] * 4):
                    await append(store, await store.head())
                    await waiting.all_have(await store.head())
                log = await collect(store.read_all())
                for got in waiting.got:
                    same(got, log)
                tasks.cancel_scope.cancel()

    async def test_what_records_nothing_brings_nothing(self, tmp_path: Path) -> None:
        given = events(2)
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                waiting = Waiting(store)
                tasks.start_soon(waiting.run)
                await store.append("job-a", given)
                await waiting.all_have(2)
                for position in (3, 4):
                    await store.append("job-a", [])
                    await store.save_checkpoint(mark("qc", 1))
                    await store.append("job-a", [], checkpoint=mark("qc", 2))
                    await store.append("job-a", given, checkpoint=mark("qc", 1))
                    await refused(VersionConflict, store.append("job-a", events(1), expected_version=9))
                    await anyio.wait_all_tasks_blocked()
                    await store.append("job-a", events(1))
                    await waiting.all_have(position)
                for got in waiting.got:
                    same([e.position for e in got], [1, 2, 3, 4])
                tasks.cancel_scope.cancel()

    async def test_a_subscription_that_waits_for_a_position_begins_behind_it(self, tmp_path: Path) -> None:
        """Also where it lies within what one append records."""
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                head = (await store.append("job-a", events(2))).last_position
                for size, part in ((5, 2), (300, 150), (2_100, 2_099)):
                    async with anyio.create_task_group() as tasks:
                        waiting = Waiting(store, after=head + part)
                        tasks.start_soon(waiting.run)
                        await anyio.wait_all_tasks_blocked()
                        await store.append("job-a", events(size))
                        await waiting.all_have(head + size)
                        await store.append("job-b", events(1))
                        await waiting.all_have(head + size + 1)
                        tasks.cancel_scope.cancel()
                    due = list(range(head + part + 1, head + size + 2))
                    for got in waiting.got:
                        same([e.position for e in got], due)
                    head += size + 1

    async def test_what_a_subscription_brings_is_recorded(self, tmp_path: Path) -> None:
        """Whoever is told of an event finds it, wherever it looks."""
        seen: list[int] = []
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:

                async def follow(category: str | None) -> None:
                    async for event in store.subscribe(category=category):
                        assert await store.head() >= event.position
                        assert await store.version(event.stream) >= event.version
                        found = await collect(store.read_all(after_position=event.position - 1, limit=1))
                        same(found, [event])
                        seen.append(event.position)
                        if len(seen) == 2 * 60:
                            tasks.cancel_scope.cancel()

                async def write(number: int) -> None:
                    for size in (1, 1, 2, 1):
                        await store.append(f"job-{number}", events(size))

                tasks.start_soon(follow, None)
                tasks.start_soon(follow, "job")
                await anyio.wait_all_tasks_blocked()
                for number in range(12):
                    tasks.start_soon(write, number)
        same(sorted(seen), sorted([*range(1, 61)] * 2))

    async def test_a_cancelled_append_that_is_recorded_wakes_those_who_wait(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                waiting = Waiting(store)
                tasks.start_soon(waiting.run)
                head = (await store.append("job-a", events(1))).last_position
                await waiting.all_have(head)
                for turns in range(12):
                    given = events(2)
                    async with anyio.create_task_group() as writing:
                        writing.start_soon(store.append, "job-a", given)
                        for _ in range(turns):
                            await anyio.lowlevel.checkpoint()
                        writing.cancel_scope.cancel()
                    # If it is recorded already, this brings nothing that would wake them in its place.
                    head = (await store.append("job-a", given)).last_position
                    await waiting.all_have(head)
                for got in waiting.got:
                    same([e.position for e in got], list(range(1, head + 1)))
                tasks.cancel_scope.cancel()

    async def test_a_subscription_hears_however_many_ended_before_it(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                head = (await store.append("job-a", events(1))).last_position
                for number in range(_TIMES):
                    following = store.subscribe(category="job" if number % 2 else None)
                    assert (await anext(following)).position == 1
                    if number % 3:
                        # Some are left as they are, which nobody else may feel.
                        closing: Any = following
                        await closing.aclose()
                for _ in range(2):
                    async with anyio.create_task_group() as tasks:
                        waiting = Waiting(store, after=head)
                        tasks.start_soon(waiting.run)
                        await anyio.wait_all_tasks_blocked()
                        head = (await store.append("job-a", events(1))).last_position
                        await waiting.all_have(head)
                        tasks.cancel_scope.cancel()

    async def test_a_subscription_that_stops_a_while_misses_nothing(self, tmp_path: Path) -> None:
        """Nor the one to a category; both have waited before, and are told of what comes."""
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                head = (await store.append("job-a", events(1))).last_position
                for category in (None, "job"):
                    following = store.subscribe(after_position=head, category=category)
                    for count in (1, 17, 70):

                        async def append_once_it_waits() -> None:
                            await anyio.wait_all_tasks_blocked()
                            await store.append("job-a", events(1))

                        async with anyio.create_task_group() as tasks:
                            tasks.start_soon(append_once_it_waits)
                            got = [(await anext(following)).position]
                        for _ in range(count):
                            await store.append("job-a", events(1))
                        while got[-1] < head + count + 1:
                            got.append((await anext(following)).position)
                        same(got, list(range(head + 1, head + count + 2)))
                        head += count + 1

    async def test_a_category_is_the_same_for_those_who_wait(self, tmp_path: Path) -> None:
        """What was appended is told to them in another way than to those who read."""
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                waiting = Waiting(store)
                tasks.start_soon(waiting.run)
                for _ in range(3):
                    for name in _NEAR:
                        await store.append(name, events(1))
                    head = (await store.append("job-a", events(1))).last_position
                    await waiting.all_have(head)
                log = await collect(store.read_all())
                same(waiting.got[0], log)
                same(waiting.got[1], [e for e in log if e.stream.split("-")[0] == "job"])
                tasks.cancel_scope.cancel()
