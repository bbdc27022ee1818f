"""Contract: what a subscription promises."""

from pathlib import Path

import anyio

from eventstore.contract._support import Contract, collect, events, new, refused, same
from eventstore.errors import StoreClosed, VersionConflict
from eventstore.model import RecordedEvent

__all__ = ["SubscribeContract"]


class SubscribeContract(Contract):
    async def test_a_subscription_catches_up_and_goes_on_live(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                await store.append("job-a", events(700))
                following = store.subscribe(after_position=300)
                caught_up = await collect(following, 400)
                same([e.position for e in caught_up], list(range(301, 701)))
                following = store.subscribe(after_position=700)
                for number in range(701, 720):
                    await store.append("job-b", events(1))
                    assert (await anext(following)).position == number

    async def test_a_subscription_that_waits_is_woken_by_an_append(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
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
                same([e.position for e in got], [1, 2, 3])

    async def test_a_subscription_beyond_the_head_waits_for_that_position(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                got: list[RecordedEvent] = []

                async def follow() -> None:
                    got.extend(await collect(store.subscribe(after_position=3), 1))
                    tasks.cancel_scope.cancel()

                tasks.start_soon(follow)
                for _ in range(4):
                    await store.append("job-a", events(1))
                await anyio.sleep_forever()
            same([e.position for e in got], [4])

    async def test_a_subscription_to_a_category_gets_only_that(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                await store.append("job-a", events(2))
                await store.append("other-a", events(2))
                following = store.subscribe(category="job")
                same([(await anext(following)).position for _ in range(2)], [1, 2])
                await store.append("other-a", events(1))
                for near in ("jobs-a", "jo-a", "JOB-a", "job", "-job"):
                    await store.append(near, events(1))
                await store.append("job-b", events(1))
                found = [(await anext(following)).stream for _ in range(2)]
                same(found, ["job", "job-b"])

    async def test_a_subscription_to_a_rare_category_looks_past_all_others(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                await store.append("often-a", events(5_000))
                await store.append("rare-a", events(1))
                following = store.subscribe(category="rare")
                assert (await anext(following)).position == 5_001
                for number in range(1, 6):
                    for _ in range(40):
                        await store.append("often-a", events(1))
                    await store.append("often-a", events(3_000))
                    await store.append("rare-a", events(1))
                    assert (await anext(following)).position == 5_001 + number * 3_041

    async def test_a_subscription_to_a_category_beyond_the_head_waits_for_that_position(
        self, tmp_path: Path
    ) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                got: list[RecordedEvent] = []

                async def follow() -> None:
                    got.extend(await collect(store.subscribe(after_position=3, category="job"), 1))
                    tasks.cancel_scope.cancel()

                tasks.start_soon(follow)
                await anyio.wait_all_tasks_blocked()
                for _ in range(4):
                    await store.append("job-a", events(1))
                await anyio.sleep_forever()
            same([e.position for e in got], [4])

    async def test_subscriptions_miss_and_repeat_nothing_while_others_write(self, tmp_path: Path) -> None:
        writers, each = 16, 25
        got: dict[int, list[int]] = {}

        with anyio.fail_after(self.guard_s):
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
        for number in (0, 4, 8, 12):
            same(got[number], due)

    async def test_a_subscription_that_is_slow_misses_nothing(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                await store.append("job-a", events(1))
                slow, idle = store.subscribe(), store.subscribe(after_position=1)
                got = [(await anext(slow)).position]

                async def append_once_it_waits() -> None:
                    await anyio.wait_all_tasks_blocked()
                    await store.append("job-a", events(1))

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(append_once_it_waits)
                    got.append((await anext(slow)).position)
                for number in range(1_500):
                    await store.append(f"job-{number % 7}", events(1 + number % 3))
                await store.append("job-large", events(5_000))
                head = await store.head()
                got += [event.position for event in await collect(slow, head - 2)]
                same(got, list(range(1, head + 1)))
                late = [event.position for event in await collect(idle, head - 1)]
                same(late, list(range(2, head + 1)))

    async def test_a_subscription_brings_what_reading_brings(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                await store.append("job-a", [cause := new(b"1", metadata=b"{}", correlation_id="t")])
                following = store.subscribe()
                got = [await anext(following)]
                for number in range(20):
                    kind, thread = f"Type{number % 3}", f"t-{number % 2}"
                    made = [
                        new(
                            b"%d" % n if number % 5 else bytes(range(256)) * 1_024,
                            type=kind,
                            type_version=1 + number % 4,
                            correlation_id=thread,
                            causation_id=cause.event_id,
                            metadata=b'{"n":%d}' % n,
                        )
                        for n in range(1 + number % 2)
                    ]
                    await store.append(f"job-{number % 4}", made)
                    got += [await anext(following) for _ in made]
                same(got, await collect(store.read_all()))

    async def test_a_subscription_sees_none_of_what_was_refused_or_repeated(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                following = store.subscribe()
                given, number = events(2), 0
                await store.append("job-a", given)
                for number in range(3, 12):
                    await refused(VersionConflict, store.append("job-a", events(2), expected_version=0))
                    assert (await store.append("job-a", given)).repeated
                    await store.append("job-a", [], expected_version=number - 1)
                    await store.append("job-a", events(1), expected_version=number - 1)
                same([e.position for e in await collect(following, number)], list(range(1, number + 1)))

    async def test_a_large_append_is_brought_whole_while_it_waits(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                got: list[int] = []

                async def follow() -> None:
                    got.extend([e.position for e in await collect(store.subscribe(), 9_001)])

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(follow)
                    await anyio.wait_all_tasks_blocked()
                    await store.append("job-a", events(9_000))
                    await store.append("job-b", events(1))
                same(got, list(range(1, 9_002)))

    async def test_a_cancelled_subscription_deafens_no_other_that_waits(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                tasks.start_soon(collect, store.subscribe(), 1)
                async with anyio.create_task_group() as others:
                    for _ in range(3):
                        others.start_soon(collect, store.subscribe())
                    await anyio.wait_all_tasks_blocked()
                    others.cancel_scope.cancel()
                await store.append("job-a", events(1))

    async def test_a_cancelled_subscription_leaves_the_store_usable(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(collect, store.subscribe())
                    tasks.start_soon(collect, store.subscribe(category="job"))
                    await anyio.wait_all_tasks_blocked()
                    tasks.cancel_scope.cancel()
                await store.append("job-a", events(1))
                assert len(await collect(store.subscribe(), 1)) == 1

    async def test_a_waiting_subscription_learns_that_the_store_closed(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                tasks.start_soon(refused, StoreClosed, collect(store.subscribe()))
                await anyio.wait_all_tasks_blocked()
                await store.aclose()
