"""Contract: what an append promises."""

import time
from collections import deque
from pathlib import Path
from typing import Final

import anyio
import anyio.lowlevel
from msgspec import structs

from eventstore.contract._support import Contract, appended, collect, events, mark, new, refused, same
from eventstore.errors import DuplicateEvent, InvalidArgument, StoreClosed, VersionConflict
from eventstore.model import ANY, NO_STREAM

__all__ = ["AppendContract"]

_STEP_MS: Final = 2


class AppendContract(Contract):
    async def test_an_empty_log_counts_zero(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            assert await store.head() == 0
            assert await store.version("job-a") == 0
            assert await store.checkpoint("nobody") == 0
            same(await collect(store.read("job-a")), [])
            same(await collect(store.read_all()), [])
            report = await store.verify()
            assert report.ok
            assert (report.events, report.head_digest) == (0, bytes(32))

    async def test_versions_and_positions_count_from_one_without_a_gap(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            first = await store.append("job-a", events(2))
            second = await store.append("job-b", events(1))
            third = await store.append("job-a", events(3))
            assert first == appended("job-a", 1, 2, 1, 2, repeated=False)
            assert second == appended("job-b", 1, 1, 3, 3, repeated=False)
            assert third == appended("job-a", 3, 5, 4, 6, repeated=False)
            assert await store.head() == 6
            same([await store.version(name) for name in ("job-a", "job-b")], [5, 1])
            log = await collect(store.read_all())
            same(
                [(e.position, e.stream, e.version) for e in log],
                [
                    (1, "job-a", 1),
                    (2, "job-a", 2),
                    (3, "job-b", 1),
                    (4, "job-a", 3),
                    (5, "job-a", 4),
                    (6, "job-a", 5),
                ],
            )

    async def test_what_is_read_is_what_was_appended(self, tmp_path: Path) -> None:
        cause = new(b"\x00\xff not json", metadata=b'{"host":"a"}', correlation_id="job-a", type="A.b/c é")
        caused = new(b"", causation_id=cause.event_id, correlation_id="another thread", type_version=7)
        foreign = new(b"3", causation_id="not a UUID")
        spelled = new(b"4", causation_id=cause.event_id.upper())
        full = new(b"5", metadata=bytes(range(256)) * 512, type_version=2**62)
        bare = new(b"", metadata=b'{"host":"b"}')
        given = [cause, caused, foreign, spelled, full, bare]
        async with self.open(tmp_path) as store:
            await store.append("job-a", given)
            for found in (await collect(store.read("job-a")), await collect(store.read_all())):
                for event, recorded in zip(given, found, strict=True):
                    for field in structs.fields(event):
                        assert getattr(recorded, field.name) == getattr(event, field.name)

    async def test_an_event_has_the_time_at_which_it_was_recorded(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(1))
            # A clock that is read in steps must have made one.
            start_ms = time.time_ns() // 1_000_000 + 1
            while time.time_ns() // 1_000_000 < start_ms + _STEP_MS:
                await anyio.lowlevel.checkpoint()
            await store.append("job-b", events(1))
            end_ms = time.time_ns() // 1_000_000 + 1
            first, second = [event.recorded_at_ms for event in await collect(store.read_all())]
            assert first <= start_ms
            assert start_ms <= second <= end_ms

    async def test_an_expected_version_that_holds_is_accepted(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            assert (await store.append("job-a", events(2), expected_version=NO_STREAM)).last_version == 2
            assert (await store.append("job-a", events(1), expected_version=2)).last_version == 3
            assert (await store.append("job-a", events(1), expected_version=ANY)).last_version == 4

    async def test_a_wrong_expected_version_is_refused_and_records_nothing(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await refused(VersionConflict, store.append("job-a", events(1), expected_version=1))
            await store.append("job-a", events(2))
            for expected in (NO_STREAM, 1, 3):
                work = store.append("job-a", events(1), expected_version=expected)
                conflict = await refused(VersionConflict, work)
                assert (conflict.stream, conflict.expected, conflict.actual) == ("job-a", expected, 2)
            conflict = await refused(VersionConflict, store.append("job-b", events(1), expected_version=1))
            assert (conflict.stream, conflict.expected, conflict.actual) == ("job-b", 1, 0)
            assert (await store.head(), await store.version("job-a")) == (2, 2)

    async def test_a_repeated_append_returns_the_earlier_positions(self, tmp_path: Path) -> None:
        given = events(3)
        async with self.open(tmp_path) as store:
            await store.append("job-b", events(1))
            first = await store.append("job-a", given, expected_version=NO_STREAM)
            await store.append("job-a", events(1))
            for expected in (NO_STREAM, ANY, 4, 99):
                again = await store.append("job-a", given, expected_version=expected)
                assert again == structs.replace(first, repeated=True)
            part = await store.append("job-a", given[1:])
            assert part == appended("job-a", 2, 3, 3, 4, repeated=True)
            assert await store.head() == 5

    async def test_an_id_with_other_content_is_refused(self, tmp_path: Path) -> None:
        given = new(b"1")
        others = {
            "data": b"2",
            "type": "Other",
            "type_version": 2,
            "metadata": b"{}",
            "correlation_id": "x",
            "causation_id": "x",
        }
        async with self.open(tmp_path) as store:
            await store.append("job-a", [given])
            for field, value in others.items():
                other = structs.replace(given, **{field: value})
                error = await refused(DuplicateEvent, store.append("job-a", [other]))
                assert (error.event_id, error.position) == (given.event_id, 1)
            await refused(DuplicateEvent, store.append("job-b", [given]))
            assert await store.head() == 1

    async def test_a_repeat_is_compared_event_by_event(self, tmp_path: Path) -> None:
        given = events(3)
        async with self.open(tmp_path) as store:
            await store.append("job-b", events(4))
            await store.append("job-a", given)
            for index in range(3):
                other = [*given]
                other[index] = structs.replace(given[index], data=b"other")
                error = await refused(DuplicateEvent, store.append("job-a", other))
                assert (error.event_id, error.position) == (given[index].event_id, 5 + index)
            assert (await store.append("job-a", given)).repeated
            assert await store.head() == 7

    async def test_an_append_that_is_partly_known_is_refused_whole(self, tmp_path: Path) -> None:
        known = events(3)
        async with self.open(tmp_path) as store:
            await store.append("job-a", known)
            await store.append("job-a", later := events(1))
            for mixed in (
                [*known, new()],
                [new(), *known],
                [known[0], new(), known[1]],
                [known[1], known[0]],
                [known[0], known[2]],
                [known[0], later[0]],
            ):
                await refused(DuplicateEvent, store.append("job-a", mixed))
            assert await store.head() == 4

    async def test_an_id_twice_in_one_append_is_refused(self, tmp_path: Path) -> None:
        twice = new()
        async with self.open(tmp_path) as store:
            error = await refused(DuplicateEvent, store.append("job-a", [new(), twice, twice]))
            assert (error.event_id, error.position) == (twice.event_id, None)
            assert await store.head() == 0

    async def test_what_was_refused_is_not_known_and_may_come_again(self, tmp_path: Path) -> None:
        taken, given = new(b"taken"), events(3)
        async with self.open(tmp_path) as store:
            await store.append("job-a", [taken])
            await refused(VersionConflict, store.append("job-a", given, expected_version=7))
            await refused(DuplicateEvent, store.append("job-a", [*given, taken]))
            await refused(InvalidArgument, store.append("job-a", [*given, new(type="")]))
            await refused(InvalidArgument, store.append("job-a", given, checkpoint=mark("qc", 99)))
            assert (await store.head(), await store.version("job-a")) == (1, 1)
            answer = await store.append("job-b", given, expected_version=NO_STREAM)
            assert answer == appended("job-b", 1, 3, 2, 4, repeated=False)

    async def test_a_large_append_is_refused_whole_for_its_last_event(self, tmp_path: Path) -> None:
        taken, many = new(b"taken"), events(3_000)
        async with self.open(tmp_path) as store:
            await store.append("job-a", [taken])
            await refused(DuplicateEvent, store.append("job-b", [*many, taken]))
            assert (await store.head(), await store.version("job-b")) == (1, 0)
            same(await collect(store.read("job-b")), [])
            assert (await store.append("job-b", many, expected_version=0)).last_position == 3_001

    async def test_an_append_is_known_however_long_ago_it_was(self, tmp_path: Path) -> None:
        first, early = events(2), new(b"early")
        async with self.open(tmp_path) as store:
            await store.append("job-a", first)
            await store.append("job-early", [early])
            for number in range(20):
                await store.append(f"job-{number}", events(1_000))
            again = await store.append("job-a", first, expected_version=NO_STREAM)
            assert again == appended("job-a", 1, 2, 1, 2, repeated=True)
            await refused(DuplicateEvent, store.append("job-a", [new(event_id=early.event_id)]))
            assert await store.head() == 20_003

    async def test_a_caller_that_changes_its_list_changes_nothing_recorded(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            given = events(3)
            await store.append("job-a", given)
            given.reverse()
            given.pop()
            same([event.data for event in await collect(store.read("job-a"))], [b"0", b"1", b"2"])

    async def test_an_append_takes_the_events_as_they_were_when_it_was_called(self, tmp_path: Path) -> None:
        given, versions = events(3), list[int]()
        async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
            called = anyio.Event()

            async def write() -> None:
                # Whoever waits for it goes on when the append first waits.
                called.set()
                versions.append((await store.append("job-a", given)).last_version)

            tasks.start_soon(write)
            await called.wait()
            given.clear()
        assert versions == [3]

    async def test_an_append_takes_any_sequence_of_events(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", tuple(events(2)))
            await store.append("job-a", deque(events(2)))
            await store.append("job-a", ())
            same([event.data for event in await collect(store.read("job-a"))], [b"0", b"1"] * 2)

    async def test_an_empty_append_is_answered_with_the_place_of_the_next_event(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(2))
            await store.append("job-b", events(1))
            for expected in (ANY, 2):
                answer = await store.append("job-a", [], expected_version=expected)
                assert (answer.first_version, answer.last_version) == (3, 2)
                assert answer.first_position == answer.last_position + 1
                assert not answer.repeated

    async def test_an_empty_append_only_checks_the_version(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(2))
            assert await store.append("job-a", [], expected_version=2) == appended(
                "job-a", 3, 2, 3, 2, repeated=False
            )
            await refused(VersionConflict, store.append("job-a", [], expected_version=1))
            assert await store.version("job-never") == 0
            assert (await store.append("job-never", [])).last_version == 0
            assert await store.head() == 2

    async def test_a_checkpoint_is_saved_with_its_append(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            given = events(2)
            await store.append("job-a", given, checkpoint=mark("qc", 2))
            assert await store.checkpoint("qc") == 2
            await store.append("job-a", events(1), checkpoint=mark("render", 1))
            assert (await store.checkpoint("qc"), await store.checkpoint("render")) == (2, 1)
            await store.append("job-a", [], checkpoint=mark("render", 3))
            assert await store.checkpoint("render") == 3
            await store.append("job-a", given, checkpoint=mark("qc", 3))
            assert (await store.checkpoint("qc"), await store.head()) == (3, 3)
            await store.append("job-a", given, expected_version=0, checkpoint=mark("qc", 1))
            assert (await store.checkpoint("qc"), await store.head()) == (1, 3)

    async def test_a_refused_append_saves_no_checkpoint(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(1))
            taken = await collect(store.read("job-a"))
            conflict = store.append("job-a", events(1), expected_version=9, checkpoint=mark("qc", 1))
            await refused(VersionConflict, conflict)
            work = store.append("job-a", [], expected_version=9, checkpoint=mark("qc", 1))
            await refused(VersionConflict, work)
            other = [new(b"other", event_id=taken[0].event_id)]
            await refused(DuplicateEvent, store.append("job-a", other, checkpoint=mark("qc", 1)))
            await refused(InvalidArgument, store.append("job-a", [new(type="")], checkpoint=mark("qc", 1)))
            assert await store.checkpoint("qc") == 0

    async def test_every_consumer_has_a_checkpoint_of_its_own(self, tmp_path: Path) -> None:
        names = ("qc", "QC", "qc ", "qc-1", "%", "猫", "'; --", "Ä", "A\u0308", "x" * 1024, "x" * 1023)
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(len(names)))
            for number, name in enumerate(names, 1):
                await store.save_checkpoint(mark(name, number))
            same([await store.checkpoint(name) for name in names], list(range(1, len(names) + 1)))
            for wrong in ("", "a\0b", "x" * 1025):
                await refused(InvalidArgument, store.save_checkpoint(mark(wrong, 1)))

    async def test_a_checkpoint_beyond_the_head_is_refused_with_its_append(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            work = store.append("job-a", events(1), checkpoint=mark("qc", 2))
            await refused(InvalidArgument, work)
            await refused(InvalidArgument, store.save_checkpoint(mark("qc", 1)))
            await refused(InvalidArgument, store.save_checkpoint(mark("qc", -1)))
            assert (await store.head(), await store.checkpoint("qc")) == (0, 0)

    async def test_a_checkpoint_goes_forward_and_back(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(3))
            for position in (3, 1, 0, 2):
                await store.save_checkpoint(mark("qc", position))
                assert await store.checkpoint("qc") == position

    async def test_a_large_event_and_a_large_append_come_back_whole(self, tmp_path: Path) -> None:
        large = new(bytes(range(256)) * 40_000)
        async with self.open(tmp_path) as store:
            await store.append("job-a", [large])
            many = await store.append("job-b", events(10_000))
            assert (many.first_position, many.last_position, many.last_version) == (2, 10_001, 10_000)
            same([event.data for event in await collect(store.read("job-a"))], [large.data])
            found = await collect(store.read("job-b"))
            same([int(event.data) for event in found], list(range(10_000)))

    async def test_a_closed_store_says_so(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(1))
            await store.aclose()
            await store.aclose()
            for work in (
                lambda: store.append("job-a", events(1)),
                lambda: store.head(),
                lambda: store.version("job-a"),
                lambda: store.checkpoint("qc"),
                lambda: store.save_checkpoint(mark("qc", 1)),
                lambda: store.verify(),
                lambda: collect(store.read("job-a")),
                lambda: collect(store.read_all()),
                lambda: collect(store.subscribe(), 1),
                lambda: anext(aiter(store.replay(lambda kind, version: bytes))),
            ):
                await refused(StoreClosed, work())
