"""Contract: what stores that are open on one log know of each other's appends."""

from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from anyio.from_thread import start_blocking_portal
from msgspec import structs

from eventstore.contract._chain import Rechained
from eventstore.contract._live import Waiting
from eventstore.contract._support import (
    Contract,
    collect,
    events,
    mark,
    new,
    refused,
    same,
)
from eventstore.errors import DuplicateEvent, VersionConflict
from eventstore.model import RecordedEvent, Witness
from eventstore.store import EventStore

__all__ = ["SharedContract"]


async def _replayed(store: EventStore, *, verify: bool = False) -> list[int]:
    """The positions that a replay brings."""
    batches = store.replay(lambda kind, version: bytes, verify=verify)
    return [position async for batch in batches for position in batch.positions]


class SharedContract(Contract):
    async def test_filters_see_what_another_store_appended(self, tmp_path: Path) -> None:
        filters: tuple[dict[str, Any], ...] = (
            {"category": "job"},
            {"correlation_id": "t"},
            {"category": "job", "correlation_id": "t"},
        )
        async with self.open(tmp_path) as one, self.open(tmp_path) as two:
            for number in range(1, 6):
                writer, reader = (one, two) if number % 2 else (two, one)
                await writer.append("job-a", [new(correlation_id="t")])
                due = list(range(1, number + 1))
                for asked in filters:
                    same([e.position for e in await collect(reader.read_all(**asked))], due)
                    back = await collect(reader.read_all(**asked, backward=True))
                    same([e.position for e in back], due[::-1])
                same(await _replayed(reader), due)
                report = await reader.verify()
                assert report.ok
                assert report.events == number
                await reader.save_checkpoint(mark("qc", number))
                assert await writer.checkpoint("qc") == number
                empty = await reader.append("job-a", [], expected_version=number)
                assert empty.last_version == number

    async def test_checkpoints_and_expected_versions_know_what_another_store_appended(
        self, tmp_path: Path
    ) -> None:
        async with self.open(tmp_path) as one, self.open(tmp_path) as two:
            await one.append("job-a", events(1))
            await two.append("job-a", events(2))
            await one.save_checkpoint(mark("qc", 3))
            assert await two.checkpoint("qc") == 3
            await two.append("job-a", events(1), checkpoint=mark("qc", 4))
            assert await one.checkpoint("qc") == 4
            await one.append("job-a", events(1), checkpoint=mark("qc", 5))
            assert await two.checkpoint("qc") == 5
            await one.append("job-a", [], expected_version=5)
            await two.append("job-a", events(1))
            await one.append("job-a", [], expected_version=6)
            await refused(VersionConflict, one.append("job-a", [], expected_version=5))

    async def test_a_replay_brings_what_another_store_appended(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as one, self.open(tmp_path) as two:
            assert (await one.verify()).events == 0
            same(await _replayed(one), [])
            await two.append("job-a", events(2))
            same(await _replayed(one), [1, 2])
            assert (await one.verify()).events == 2
            await one.append("job-a", events(1))
            await two.append("job-a", events(2))
            same(await _replayed(one, verify=True), [1, 2, 3, 4, 5])
            await one.append("job-b", events(1))
            same(await _replayed(two), [1, 2, 3, 4, 5, 6])
            assert (await one.verify()).events == 6

    async def test_what_another_store_appended_is_compared_whole(self, tmp_path: Path) -> None:
        others: tuple[dict[str, Any], ...] = (
            {"data": b"2"},
            {"metadata": b"{}"},
            {"type": "Other"},
            {"type_version": 2},
            {"correlation_id": "x"},
            {"causation_id": "x"},
        )
        given = new(b"1")
        large = new(bytes(range(256)) * 4_000, metadata=bytes(100_000))
        async with self.open(tmp_path) as one, self.open(tmp_path) as two:
            await one.append("job-a", [given])
            for fields in others:
                work = two.append("job-a", [structs.replace(given, **fields)])
                assert (await refused(DuplicateEvent, work)).position == 1
            await refused(DuplicateEvent, two.append("job-b", [given]))
        async with self.open(tmp_path) as store:
            for fields in others:
                await refused(DuplicateEvent, store.append("job-a", [structs.replace(given, **fields)]))
            await store.append("job-a", [large])
        async with self.open(tmp_path) as store:
            found = (await collect(store.read("job-a")))[1]
            assert (found.data, found.metadata) == (large.data, large.metadata)

    async def test_a_subscription_to_a_category_that_waits_sees_what_another_store_appends(
        self, tmp_path: Path
    ) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as one, self.open(tmp_path) as two:
                got: list[RecordedEvent] = []

                async def follow() -> None:
                    got.extend(await collect(one.subscribe(category="job"), 3))

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(follow)
                    await anyio.wait_all_tasks_blocked()
                    for number in range(3):
                        await two.append("other-a", events(1))
                        await two.append(f"job-{number}", events(1))
                same([event.stream for event in got], ["job-0", "job-1", "job-2"])

    async def test_a_subscription_that_waits_goes_on_when_another_store_closes(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:

                async def append_elsewhere() -> None:
                    async with self.open(tmp_path) as other:
                        await other.append("job-a", events(1))

                following = store.subscribe()
                for position in (1, 2):
                    await append_elsewhere()
                    assert (await anext(following)).position == position

                async def follow() -> None:
                    assert (await anext(following)).position == 3

                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(follow)
                    await anyio.wait_all_tasks_blocked()
                    await append_elsewhere()
                await store.append("job-a", events(1))
                assert (await store.verify()).ok

    async def test_a_subscription_that_ends_deafens_no_other_to_what_another_store_appends(
        self, tmp_path: Path
    ) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as one, self.open(tmp_path) as two:
                head = (await two.append("job-a", events(1))).last_position
                for category in (None, "job"):

                    async def follow(after: int) -> None:
                        assert (await anext(one.subscribe(after_position=after))).position == after + 1

                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(follow, head)
                        async with anyio.create_task_group() as others:
                            for _ in range(2):
                                others.start_soon(collect, one.subscribe(category=category))
                            await anyio.wait_all_tasks_blocked()
                            others.cancel_scope.cancel()
                        await anyio.wait_all_tasks_blocked()
                        head = (await two.append("job-a", events(1))).last_position

    async def test_a_subscription_of_a_store_whose_loop_stood_still_misses_nothing(
        self, tmp_path: Path
    ) -> None:
        """Of what told it meanwhile that others append, some may have been lost; what comes next does not make up."""

        async def write(store: EventStore, count: int) -> int:
            for _ in range(count):
                await store.append("job-a", [new(bytes(8_000))])
            return await store.head()

        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                waiting = Waiting(store)
                tasks.start_soon(waiting.run)
                with (
                    start_blocking_portal() as portal,
                    portal.wrap_async_context_manager(self.open(tmp_path)) as other,
                ):
                    for _ in range(2):
                        for count in (1, 1, 60, 1):
                            # Waited for without an await, so that nothing goes on here.
                            head = portal.start_task_soon(write, other, count).result(self.guard_s)
                            if count == 1:
                                await waiting.all_have(head)
                            for _ in range(20):
                                await anyio.lowlevel.checkpoint()
                log = await collect(store.read_all())
                for got in waiting.got:
                    same(got, log)
                tasks.cancel_scope.cancel()

    async def test_the_chain_goes_on_when_the_log_is_opened_again(self, tmp_path: Path) -> None:
        again, total = Rechained(), 0
        witnesses: list[Witness] = []
        # 256 events make a segment of the chain.
        for count in (3, 252, 1, 1, 400):
            async with self.open(tmp_path) as store:
                kind, thread = f"T{count}", f"t{count}"
                made = [new(type=kind, correlation_id=thread, metadata=b"{}") for _ in range(count)]
                await store.append("job-a", made)
                for event in await collect(store.read_all(after_position=total)):
                    again.add(event)
                total += count
                report = await store.verify()
                assert report.ok
                assert (report.events, report.head_digest) == (total, again.digest)
                witnesses.append(Witness(position=total, digest=report.head_digest))
                for witness in witnesses:
                    assert (await store.verify(witness=witness)).ok
