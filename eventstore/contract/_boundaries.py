"""Contract: what holds at one count, one size or one number must hold beside it too."""

from pathlib import Path
from typing import Any, Final

import anyio
from msgspec import structs

from eventstore.contract._support import Contract, collect, events, mark, new, refused, same
from eventstore.errors import DuplicateEvent, VersionConflict
from eventstore.model import ANY, NO_STREAM, Appended, NewEvent, RecordedEvent
from eventstore.store import EventStore

__all__ = ["BoundariesContract"]

_PAGES: Final = (1, 16, 32, 50, 64, 100, 128, 200, 256, 500, 512, 1_000, 1_024, 2_048)
"""What stores like to read or write at a time."""
_SIZES: Final = tuple(size + near for size in (16, 32, 64, 100, 128, 256, 512, 1_000) for near in (-1, 0, 1))
"""The same, and one more and less."""
_FAR: Final = (2**31 - 1, 2**31, 2**32, 2**32 + 1, 2**53, 2**63 - 1)
"""Where other kinds of numbers end."""


class BoundariesContract(Contract):
    async def test_a_log_of_any_length_is_read_to_its_end(self, tmp_path: Path) -> None:
        """From so far before its end, and up to so many: whatever pages it is read in, at which it may end."""
        async with self.open(tmp_path) as store:
            head = 0
            for length in (*_PAGES, 4_096):
                more = [new(correlation_id="t") for _ in range(length - head)]
                head = (await store.append("job-a", more)).last_position
                due = list(range(1, head + 1))
                for backward in (False, True):
                    want = due[::-1] if backward else due
                    asked: Any
                    for asked in ({}, {"category": "job"}, {"correlation_id": "t"}):
                        found = await collect(store.read_all(**asked, backward=backward))
                        same([e.position for e in found], want)
                    same([e.version for e in await collect(store.read("job-a", backward=backward))], want)
                batches = store.replay(lambda kind, version: bytes)
                same([place async for batch in batches for place in batch.positions], due)

    async def test_as_many_events_come_as_are_asked_for(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            for _ in range(9):
                await store.append("job-a", [new(correlation_id="t") for _ in range(241)])
            head = await store.head()
            for count in _PAGES:
                last = list(range(head - count + 1, head + 1))
                for after, limit in ((0, count), (head - count, None)):
                    due = list(range(after + 1, after + count + 1))
                    for backward, want in ((False, due), (True, last[::-1])):
                        asked: Any
                        for asked in ({}, {"category": "job"}, {"correlation_id": "t"}):
                            found = store.read_all(
                                **asked, after_position=after, limit=limit, backward=backward
                            )
                            same([e.position for e in await collect(found)], want)
                        own = store.read("job-a", after_version=after, limit=limit, backward=backward)
                        same([e.version for e in await collect(own)], want)

    async def test_a_subscription_goes_on_behind_any_page(self, tmp_path: Path) -> None:
        """From so far before the end: what was there, and then what is appended, each once."""
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                head = (await store.append("job-a", events(2_100))).last_position
                for count in _PAGES:
                    got: list[RecordedEvent] = []
                    following = store.subscribe(after_position=head - count)
                    got += await collect(following, count)
                    following = store.subscribe(after_position=head - count)
                    for _ in range(count):
                        await anext(following)
                    head = (await store.append("job-a", events(1))).last_position
                    got.append(await anext(following))
                    same([e.position for e in got], list(range(head - count, head + 1)))

    async def test_an_append_of_any_length_is_recorded_whole(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            given: dict[str, list[NewEvent]] = {}
            for count in _SIZES:
                name = f"job-{count}"
                given[name] = events(count)
                answer = await store.append(name, given[name], expected_version=NO_STREAM)
                assert (answer.first_version, answer.last_version) == (1, count)
                assert answer.last_position - answer.first_position == count - 1
            log = await collect(store.read_all())
            due = [(name, e.event_id, e.data) for name, made in given.items() for e in made]
            same([(e.stream, e.event_id, e.data) for e in log], due)
            same([e.position for e in log], list(range(1, len(due) + 1)))
            assert (await store.verify()).ok

    async def test_any_number_that_append_at_once_is_answered(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                total = 0
                for count in (1, 2, 63, 64, 65, 127, 128, 129, 255, 256, 257):
                    answers: list[Appended] = []

                    async def write(name: str, told: list[Appended]) -> None:
                        told.append(await store.append(name, [new(name.encode())]))

                    async with anyio.create_task_group() as tasks:
                        for number in range(count):
                            tasks.start_soon(write, f"job-{number}", answers)
                    total += count
                    same(
                        sorted(answer.first_position for answer in answers),
                        list(range(total - count + 1, total + 1)),
                    )
                log = await collect(store.read_all())
                same([e.position for e in log], list(range(1, total + 1)))
                assert all(e.stream.encode() == e.data for e in log)

    async def test_data_of_any_size_comes_back_whole(self, tmp_path: Path) -> None:
        sizes = sorted({(1 << bits) + near for bits in (0, 7, 8, 12, 15, 16, 17, 20) for near in (-1, 0, 1)})
        block = bytes(range(251)) * 4_300
        given = [new(block[:size]) for size in sizes] + [
            new(metadata=block[:size]) for size in sizes if size < 2**18
        ]
        async with self.open(tmp_path) as store:
            for event in given:
                await store.append("job-a", [event])
            await store.append(
                "job-b", again := [structs.replace(event, event_id=new().event_id) for event in given]
            )
            for found in (store.read_all(), store.read_all(category="job")):
                same(
                    [(e.data, e.metadata) for e in await collect(found)],
                    [(e.data, e.metadata) for e in given + again],
                )

    async def test_a_page_of_large_events_ends_no_read(self, tmp_path: Path) -> None:
        """Whatever size a page may have at most, what does not fit into it comes with the next one."""
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                block = bytes(range(256)) * 2_048
                for number in range(20):
                    await store.append("job-a", [new(b"%d" % number + block, correlation_id="t")])
                due = list(range(1, 21))
                filters: Any
                for filters in ({}, {"category": "job"}, {"correlation_id": "t"}):
                    same([e.position for e in await collect(store.read_all(**filters))], due)
                    back = store.read_all(**filters, backward=True, limit=16, after_position=2)
                    same([e.position for e in await collect(back)], due[::-1][:16])
                same([e.version for e in await collect(store.read("job-a", limit=19))], due[:19])
                same([e.version for e in await collect(store.read("job-a", backward=True))], due[::-1])
                batches = store.replay(lambda kind, version: bytes)
                same([place async for batch in batches for place in batch.positions], due)
                same([e.position for e in await collect(store.subscribe(), 20)], due)

    async def test_a_very_large_event_comes_by_every_way(self, tmp_path: Path) -> None:
        large = new(bytes(range(256)) * 40_000, correlation_id="t")
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                got: list[RecordedEvent] = []

                async def follow() -> None:
                    got.extend(await collect(store.subscribe(), 2))

                tasks.start_soon(follow)
                await anyio.wait_all_tasks_blocked()
                await store.append("job-a", [large])
                await store.append("job-a", [new()])
                got += await collect(store.subscribe(), 1)
                for asked in ({"backward": True}, {"category": "job"}, {"correlation_id": "t"}):
                    found: Any = asked
                    got += [e for e in await collect(store.read_all(**found)) if e.position == 1]
                replayed = [
                    e async for batch in store.replay(lambda kind, version: bytes) for e in batch.events()
                ]
                assert replayed == [large.data, b"{}"]
                assert (await store.append("job-a", [large])).repeated
                other = structs.replace(large, data=large.data[:-1] + b"x")
                await refused(DuplicateEvent, store.append("job-a", [other]))
        assert sum(e.position == 1 for e in got) == 5
        assert all(e.data == large.data for e in got if e.position == 1)

    async def test_no_number_is_too_large_to_begin_after(self, tmp_path: Path) -> None:
        """And none wraps around to one that is there."""
        async with self.open(tmp_path) as store:
            await store.append("job-a", [new(correlation_id="t") for _ in range(3)])
            for far in _FAR:
                for limit in (None, 1):
                    for backward in (False, True):
                        same(
                            await collect(
                                store.read("job-a", after_version=far, limit=limit, backward=backward)
                            ),
                            [],
                        )
                        asked: Any
                        for asked in ({}, {"category": "job"}, {"correlation_id": "t"}):
                            found = store.read_all(
                                **asked, after_position=far, limit=limit, backward=backward
                            )
                            same(await collect(found), [])
                batches = store.replay(lambda kind, version: bytes, after_position=far)
                same([item async for batch in batches for item in batch], [])
                await refused(VersionConflict, store.append("job-a", events(1), expected_version=far))
            for far in (2**8, 2**16, 2**31, 2**32, 2**53):
                work = store.append("job-a", events(1), expected_version=3 + far)
                assert (await refused(VersionConflict, work)).expected == 3 + far
                await refused(VersionConflict, store.append("job-new", events(1), expected_version=far))
            with anyio.fail_after(self.guard_s):
                async with anyio.create_task_group() as tasks:
                    for far in _FAR:
                        tasks.start_soon(self._nothing_comes, store, far)
                    await anyio.wait_all_tasks_blocked()
                    await store.append("job-b", events(1))
                    await anyio.wait_all_tasks_blocked()
                    tasks.cancel_scope.cancel()
            assert await store.version("job-a") == 3

    async def _nothing_comes(self, store: EventStore, after: int) -> None:
        raise AssertionError(
            f"{await anext(aiter(store.subscribe(after_position=after)))} comes after {after}."
        )

    async def test_no_number_is_too_large_to_be_a_limit(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", [new(correlation_id="t") for _ in range(3)])
            for far in _FAR:
                for backward in (False, True):
                    want = [3, 2, 1] if backward else [1, 2, 3]
                    own = await collect(store.read("job-a", limit=far, backward=backward))
                    same([e.version for e in own], want)
                    asked: Any
                    for asked in ({}, {"category": "job"}, {"correlation_id": "t"}):
                        found = await collect(store.read_all(**asked, limit=far, backward=backward))
                        same([e.position for e in found], want)

    async def test_many_streams_types_and_threads_are_kept_apart(self, tmp_path: Path) -> None:
        """More of each than a store keeps in memory or in a byte."""
        count = 1_500
        made = [
            new(b"%d" % n, type=f"T{n % 700}", type_version=1 + n % 3, correlation_id=f"t{n}")
            for n in range(count)
        ]
        async with self.open(tmp_path) as store:
            async with anyio.create_task_group() as tasks:
                for number, event in enumerate(made):
                    tasks.start_soon(store.append, f"job-{number}", [event])
            await store.append(
                "all", again := [structs.replace(event, event_id=new().event_id) for event in made]
            )
            log = {int(e.data): e for e in await collect(store.read_all(category="job"))}
            for event, copy, number in zip(
                again, await collect(store.read("all")), range(count), strict=True
            ):
                for found in (copy, log[number]):
                    kind = (found.type, found.type_version, found.correlation_id)
                    assert kind == (event.type, event.type_version, event.correlation_id)
            for number in (0, 1, 255, 256, 600, 1_023, count - 1):
                assert await store.version(f"job-{number}") == 1
                found_all = await collect(store.read_all(correlation_id=f"t{number}"))
                same(sorted(e.stream for e in found_all), ["all", f"job-{number}"])
                for expected in (NO_STREAM, 2):
                    work = store.append(f"job-{number}", events(1), expected_version=expected)
                    assert (await refused(VersionConflict, work)).actual == 1
                assert (await store.append(f"job-{number}", [made[number]])).repeated
                await store.append(f"job-{number}", [], expected_version=1)

    async def test_an_append_of_any_size_expects_its_version_and_is_refused_whole(
        self, tmp_path: Path
    ) -> None:
        taken, heavy = new(b"taken"), [new(bytes(600_000)) for _ in range(3)]
        async with self.open(tmp_path) as store:
            await store.append("job-a", [taken])
            for made in ([], events(1), events(1_100), events(10_000), heavy):
                for name, expected in (("job-a", NO_STREAM), ("job-a", 2), ("job-new", 1)):
                    work = store.append(name, made, expected_version=expected, checkpoint=mark("qc", 1))
                    error = await refused(VersionConflict, work)
                    due = (name, expected, int(name == "job-a"))
                    assert (error.stream, error.expected, error.actual) == due
                work = store.append("job-new", [*made, taken], expected_version=ANY)
                assert (await refused(DuplicateEvent, work)).position == 1
                assert (await store.head(), await store.version("job-new")) == (1, 0)
            assert await store.checkpoint("qc") == 0

    async def test_what_is_rare_is_replayed_past_all_others(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            due: list[int] = []
            for count in (1_100, 2_300, 4_200, 0):
                due.append((await store.append("rare-a", [new(b"rare")])).last_position)
                await store.append("often-a", events(count))
            for after in (0, 1, due[1]):
                batches = store.replay(lambda kind, version: bytes, category="rare", after_position=after)
                found = [item async for batch in batches for item in batch]
                same(found, [(b"rare", position) for position in due if position > after])
