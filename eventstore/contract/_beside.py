"""Contract: what goes on at once leaves each other alone, whether it ends, is left half way, or is cancelled."""

from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import count
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.lowlevel

from eventstore.contract._support import Contract, collect, events, let_others, mark, new, same
from eventstore.errors import DuplicateEvent, VersionConflict
from eventstore.model import ANY, NO_STREAM, Appended, NewEvent, RecordedEvent, Witness
from eventstore.store import EventStore

__all__ = ["BesideContract"]

_MANY: Final = 120
"""Reads that are left half way: more than a store has connections."""


def _plain(kind: str, version: int) -> Callable[[bytes], bytes]:
    return bytes


async def _replayed(
    store: EventStore, *, verify: bool = False, category: str | None = None
) -> AsyncIterator[int]:
    async for batch in store.replay(_plain, verify=verify, category=category):
        for position in batch.positions:
            yield position


async def _positions(found: AsyncIterator[RecordedEvent]) -> AsyncIterator[int]:
    async for event in found:
        yield event.position


_READS: Final[dict[str, Callable[[EventStore], AsyncIterator[int]]]] = {
    "read": lambda store: _positions(store.read("job-a")),
    "read_all": lambda store: _positions(store.read_all()),
    "category": lambda store: _positions(store.read_all(category="job")),
    "correlation": lambda store: _positions(store.read_all(correlation_id="t")),
    "both": lambda store: _positions(store.read_all(category="job", correlation_id="t")),
    "replay": _replayed,
    "replay of a category": lambda store: _replayed(store, category="job"),
    "replay that verifies": lambda store: _replayed(store, verify=True),
}


async def _all(found: AsyncIterator[int]) -> list[int]:
    return [position async for position in found]


def _made(count: int) -> list[NewEvent]:
    return [new(correlation_id="t") for _ in range(count)]


class BesideContract(Contract):
    async def test_reads_that_go_on_at_once_leave_each_other_alone(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            for _ in range(3):
                await store.append("job-a", _made(200))
            reads = [read(store) for read in _READS.values() for _ in range(2)]
            back = [_positions(store.read_all(backward=True)), _positions(store.read("job-a", backward=True))]
            for position in range(1, 601):
                for found in reads:
                    assert await anext(found, None) == position
                for turned in back:
                    assert await anext(turned, None) == 601 - position
            for found in (*reads, *back):
                same([item async for item in found], [])

    async def test_a_read_left_half_way_holds_up_nobody(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                await store.append("job-a", _made(300))
                for read in _READS.values():
                    left = [read(store) for _ in range(_MANY // 6)]
                    for found in left:
                        assert await anext(found, None) == 1
                    head = (await store.append("job-a", _made(1), checkpoint=mark("qc", 1))).last_position
                    assert len([item async for item in read(store)]) == head
                    await store.save_checkpoint(mark("qc", head))
                    assert await anext(left[0], None) == 2
                left = [_positions(store.read_all(limit=200)) for _ in range(_MANY)]
                for one in left:
                    assert await anext(one, None) == 1
                assert len(await collect(store.read("job-a"))) == await store.head()
                assert (await store.verify()).ok

    async def test_a_read_goes_on_where_the_log_grows(self, tmp_path: Path) -> None:
        """To what was there when it began at least, and with no gap beyond."""
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                head = 0
                for kind, read in _READS.items():
                    for _ in range(2):
                        head = (await store.append("job-a", _made(400))).last_position
                    got, begun = list[int](), head
                    async for position in read(store):
                        got.append(position)
                        if len(got) % 300 == 1 and head < begun + 50:
                            head = (await store.append("job-a", _made(3))).last_position
                    same(got, list(range(1, len(got) + 1)))
                    assert len(got) >= begun, kind

    async def test_the_last_event_is_found_at_once_however_it_is_asked_for(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            for number in range(1, 25):
                await store.append("job-a", _made(number % 3 + 1))
                head = await store.head()
                filters: Any
                for filters in ({}, {"category": "job"}, {"correlation_id": "t"}):
                    for limit in (1, 2, None):
                        for backward in (True, False):
                            asked: Any = {"after_position": head - 1, "backward": backward, "limit": limit}
                            found = await collect(store.read_all(**filters, **asked))
                            same([e.position for e in found], [head])
                last = await collect(store.read("job-a", backward=True, limit=1))
                same([e.version for e in last], [await store.version("job-a")])
                assert [position async for position in _replayed(store, verify=True)][-1] == head

    async def test_verification_finds_no_fault_in_what_others_are_writing(self, tmp_path: Path) -> None:
        reports: list[Witness] = []
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as watching:

                async def watch() -> None:
                    for turn in count():
                        await let_others(turn)
                        before = await store.head()
                        report = await store.verify(witness=reports[-1] if reports else None)
                        assert report.ok, report.fault
                        assert before <= report.events <= await store.head()
                        reports.append(Witness(position=report.events, digest=report.head_digest))
                        same(
                            got := [p async for p in _replayed(store, verify=True)],
                            list(range(1, len(got) + 1)),
                        )
                        assert len(got) >= report.events

                async def write(number: int) -> None:
                    for size in (1, 40, 3, 30, 1, 1):
                        await store.append(f"job-{number}", events(size))

                watching.start_soon(watch)
                async with anyio.create_task_group() as tasks:
                    for number in range(12):
                        tasks.start_soon(write, number)
                for witness in reports:
                    assert (await store.verify(witness=witness)).ok
                watching.cancel_scope.cancel()

    async def test_whatever_is_cancelled_leaves_the_store_usable(self, tmp_path: Path) -> None:
        works: tuple[Callable[[EventStore], Coroutine[Any, Any, object]], ...] = (
            lambda store: store.version("job-a"),
            lambda store: store.checkpoint("qc"),
            lambda store: store.save_checkpoint(mark("left", 1)),
            lambda store: store.head(),
            lambda store: store.verify(),
            lambda store: collect(store.read("job-a")),
            lambda store: collect(store.read("job-a", backward=True, limit=300)),
            lambda store: collect(store.read_all(category="job", correlation_id="t")),
            lambda store: _all(_replayed(store)),
            lambda store: _all(_replayed(store, verify=True)),
            lambda store: collect(store.subscribe(category="job")),
            lambda store: store.append("job-a", [], checkpoint=mark("left", 2)),
        )
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                await store.append("job-a", _made(400))
                for work in works:
                    for turns in range(4):
                        async with anyio.create_task_group() as tasks:
                            for _ in range(12):
                                tasks.start_soon(work, store)
                            for _ in range(turns):
                                await anyio.lowlevel.checkpoint()
                            tasks.cancel_scope.cancel()
                    await store.save_checkpoint(mark("qc", 7))
                    assert (await store.checkpoint("qc"), await store.version("job-a")) == (7, 400)
                    assert len(await collect(store.read_all(correlation_id="t"))) == 400
                    assert len([item async for item in _replayed(store)]) == 400
                    assert (await collect(store.subscribe(), 1))[0].position == 1
                assert (await store.append("job-a", events(1))).last_position == 401

    async def test_of_appends_that_wait_together_each_saves_its_own_checkpoint(self, tmp_path: Path) -> None:
        """If it is recorded, or was before; and none if it is refused, with what it then was."""
        taken, known = new(b"taken"), events(2)
        told: dict[str, Any] = {}
        async with self.open(tmp_path) as store:
            await store.append("job-taken", [taken])
            await store.append("job-known", known)

            async def write(name: str, made: list[NewEvent], expected: int) -> None:
                stream = "job-known" if made is known else name
                try:
                    told[name] = await store.append(
                        stream, made, expected_version=expected, checkpoint=mark(name, 2)
                    )
                except (VersionConflict, DuplicateEvent) as error:
                    told[name] = error

            kinds = ((known, 7), (events(0), ANY), (None, NO_STREAM), (None, 3), ([taken], ANY))
            async with anyio.create_task_group() as tasks:
                for number in range(60):
                    made, expected = kinds[number % 5]
                    tasks.start_soon(write, f"job-{number}", events(1) if made is None else made, expected)
            for number in range(60):
                kind, told_of = number % 5, told[f"job-{number}"]
                assert await store.checkpoint(f"job-{number}") == (0 if kind > 2 else 2)
                due: tuple[type, ...] = (Appended, Appended, Appended, VersionConflict, DuplicateEvent)
                same([type(told_of)], [due[kind]])
                if kind == 0:
                    assert told_of.repeated
                if kind == 3:
                    assert (told_of.expected, told_of.actual) == (3, 0)
            assert await store.head() == 3 + 12

    async def test_versions_that_are_expected_of_one_stream_at_once_are_held_one_by_one(
        self, tmp_path: Path
    ) -> None:
        """Beside appends to it that expect none, so that what is refused and what is recorded follow each other."""
        log: list[tuple[int, int]] = []
        lost: list[tuple[int, int]] = []
        async with self.open(tmp_path) as store:

            async def write(expected: int, size: int) -> None:
                try:
                    answer = await store.append("job-a", events(size), expected_version=expected)
                except VersionConflict as error:
                    lost.append((error.expected, error.actual))
                else:
                    log.append((expected, answer.first_version))

            for turn in range(6):
                version = await store.version("job-a")
                async with anyio.create_task_group() as tasks:
                    for number in range(12):
                        tasks.start_soon(write, version + number // 2 if number % 2 else ANY, 1 + number % 3)
                assert len(log) + len(lost) == 12 * (turn + 1)
            assert all(expected in (ANY, first - 1) for expected, first in log)
            assert all(expected != actual for expected, actual in lost)
            found = await collect(store.read("job-a"))
            same([e.version for e in found], list(range(1, len(found) + 1)))
            firsts = {first for _, first in log}
            assert len(firsts) == len(log)

    async def test_a_large_or_heavy_append_is_seen_whole_or_not_at_all(self, tmp_path: Path) -> None:
        seen: set[int] = set()
        others: list[Appended] = []
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                waiting = anyio.Event()

                async def watch() -> None:
                    for turn in count():
                        await let_others(turn)
                        seen.add(await store.version("job-a"))
                        waiting.set()

                async def write() -> None:
                    for turn in count():
                        await let_others(turn)
                        others.append(await store.append("job-b", events(1)))

                tasks.start_soon(watch)
                tasks.start_soon(write)
                await waiting.wait()
                due, answers = {0}, list[Appended]()
                for made in (
                    events(10_000),
                    [new(bytes(500_000)) for _ in range(4)],
                    [new(bytes(70_000)), new()],
                ):
                    answers.append(await store.append("job-a", made, checkpoint=mark("qc", 0)))
                    due.add(max(due) + len(made))
                tasks.cancel_scope.cancel()
            assert seen <= due
            for answer in answers:
                assert (
                    answer.last_position - answer.first_position == answer.last_version - answer.first_version
                )
                assert not any(
                    answer.first_position <= one.first_position <= answer.last_position for one in others
                )
