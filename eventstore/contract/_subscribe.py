"""Contract: what a subscription promises."""

from pathlib import Path

import anyio

from eventstore.contract._support import GUARD_S, Contract, collect, events, new, refused
from eventstore.errors import StoreClosed
from eventstore.model import RecordedEvent

__all__ = ["SubscribeContract"]


class SubscribeContract(Contract):
    async def test_a_subscription_catches_up_and_goes_on_live(self, tmp_path: Path) -> None:
        with anyio.fail_after(GUARD_S):
            async with self.open(tmp_path) as store:
                await store.append("job-a", events(700))
                following = store.subscribe(after_position=300)
                caught_up = await collect(following, 400)
                assert [e.position for e in caught_up] == list(range(301, 701))
                following = store.subscribe(after_position=700)
                for number in range(701, 720):
                    await store.append("job-b", events(1))
                    assert (await anext(following)).position == number

    async def test_a_subscription_that_waits_is_woken_by_an_append(self, tmp_path: Path) -> None:
        with anyio.fail_after(GUARD_S):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                got: list[RecordedEvent] = []
                done = anyio.Event()

                async def follow() -> None:
                    got.extend(await collect(store.subscribe(), 3))
                    done.set()

                tasks.start_soon(follow)
                await anyio.wait_all_tasks_blocked()
                await store.append("job-a", events(1))
                await store.append("job-a", events(2))
                await done.wait()
                assert [e.position for e in got] == [1, 2, 3]

    async def test_a_subscription_beyond_the_head_waits_for_that_position(self, tmp_path: Path) -> None:
        with anyio.fail_after(GUARD_S):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                got: list[RecordedEvent] = []

                async def follow() -> None:
                    got.extend(await collect(store.subscribe(after_position=3), 1))
                    tasks.cancel_scope.cancel()

                tasks.start_soon(follow)
                for _ in range(4):
                    await store.append("job-a", events(1))
                await anyio.sleep_forever()
            assert [e.position for e in got] == [4]

    async def test_a_subscription_to_a_category_gets_only_that(self, tmp_path: Path) -> None:
        with anyio.fail_after(GUARD_S):
            async with self.open(tmp_path) as store:
                await store.append("job-a", events(2))
                await store.append("other-a", events(2))
                following = store.subscribe(category="job")
                assert [(await anext(following)).position for _ in range(2)] == [1, 2]
                await store.append("other-a", events(1))
                await store.append("job-b", events(1))
                assert (await anext(following)).position == 6

    async def test_subscriptions_miss_and_repeat_nothing_while_others_write(self, tmp_path: Path) -> None:
        writers, each = 16, 25
        got: dict[int, list[int]] = {}

        with anyio.fail_after(GUARD_S):
            async with self.open(tmp_path) as store:

                async def follow(number: int) -> None:
                    found = await collect(store.subscribe(), writers * each)
                    got[number] = [event.position for event in found]

                async def write(number: int) -> None:
                    for _ in range(each):
                        await store.append(f"job-{number}", [new()])

                async with anyio.create_task_group() as tasks:
                    for number in range(writers):
                        tasks.start_soon(write, number)
                        if number % 4 == 0:
                            tasks.start_soon(follow, number)
        due = list(range(1, writers * each + 1))
        assert got == {0: due, 4: due, 8: due, 12: due}

    async def test_a_cancelled_subscription_leaves_the_store_usable(self, tmp_path: Path) -> None:
        with anyio.fail_after(GUARD_S):
            async with self.open(tmp_path) as store:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(collect, store.subscribe())
                    tasks.start_soon(collect, store.subscribe(category="job"))
                    await anyio.wait_all_tasks_blocked()
                    tasks.cancel_scope.cancel()
                await store.append("job-a", events(1))
                assert len(await collect(store.subscribe(), 1)) == 1

    async def test_a_waiting_subscription_learns_that_the_store_closed(self, tmp_path: Path) -> None:
        with anyio.fail_after(GUARD_S):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                tasks.start_soon(refused, StoreClosed, collect(store.subscribe()))
                await anyio.wait_all_tasks_blocked()
                await store.aclose()
