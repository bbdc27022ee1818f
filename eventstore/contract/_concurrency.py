"""Contract: what holds when many append, some give up, and the store closes under them."""

from itertools import count
from pathlib import Path

import anyio
import anyio.lowlevel
from msgspec import structs

from eventstore.contract._support import Contract, appended, collect, events, let_others, mark, new, same
from eventstore.errors import DuplicateEvent, EventStoreError, StoreClosed, VersionConflict
from eventstore.model import ANY, NO_STREAM, Appended, NewEvent
from eventstore.store import EventStore

__all__ = ["ConcurrencyContract"]


class ConcurrencyContract(Contract):
    async def test_many_writers_leave_no_gap(self, tmp_path: Path) -> None:
        acknowledged: list[Appended] = []
        async with self.open(tmp_path) as store:

            async def write(number: int) -> None:
                for size in (1, 3, 2):
                    if number % 2:
                        await store.head()  # who awaits something else comes at other moments
                    answer = await store.append(f"job-{number}", events(size))
                    # Not a list comprehension: each answer counts at the moment it comes.
                    acknowledged.append(answer)

            async with anyio.create_task_group() as tasks:
                for number in range(64):
                    tasks.start_soon(write, number)
            log = await collect(store.read_all())
            same([e.position for e in log], list(range(1, 64 * 6 + 1)))
            for answer in acknowledged:
                span = log[answer.first_position - 1 : answer.last_position]
                assert {e.stream for e in span} == {answer.stream}
                due = list(range(answer.first_version, answer.last_version + 1))
                same([e.version for e in span], due)
            positions = [answer.first_position for answer in acknowledged]
            same(positions, sorted(positions))  # acknowledged in the order in which they are recorded
            assert (await store.verify()).ok

    async def test_of_writers_that_expect_the_same_version_one_wins(self, tmp_path: Path) -> None:
        won: list[int] = []
        lost: list[tuple[int, int]] = []
        async with self.open(tmp_path) as store:

            async def write(number: int, expected: int) -> None:
                try:
                    await store.append("job-a", [new(b"%d" % number)], expected_version=expected)
                except VersionConflict as conflict:
                    lost.append((conflict.expected, conflict.actual))
                else:
                    won.append(number)

            for expected in range(5):
                async with anyio.create_task_group() as tasks:
                    for number in range(20):
                        tasks.start_soon(write, number, expected)
            same([int(e.data) for e in await collect(store.read("job-a"))], won)
            assert len(won) == 5
            same(lost, [(expected, expected + 1) for expected in range(5) for _ in range(19)])

    async def test_the_refusal_of_one_fails_no_other(self, tmp_path: Path) -> None:
        taken = new(b"taken")
        failed: list[EventStoreError] = []
        async with self.open(tmp_path) as store:
            await store.append("job-taken", [taken])

            async def write(number: int) -> None:
                try:
                    if number % 3 == 0:
                        await store.append(f"job-{number}", events(2), expected_version=7)
                    elif number % 3 == 1:
                        await store.append(f"job-{number}", [new(), taken])
                    else:
                        await store.append(f"job-{number}", events(2), expected_version=NO_STREAM)
                except (VersionConflict, DuplicateEvent) as error:
                    failed.append(error)

            async with anyio.create_task_group() as tasks:
                for number in range(60):
                    tasks.start_soon(write, number)
            assert [type(error) for error in failed].count(VersionConflict) == 20
            assert [type(error) for error in failed].count(DuplicateEvent) == 20
            log = await collect(store.read_all())
            same([e.position for e in log], list(range(1, 42)))
            same(sorted(e.stream for e in log[1:]), sorted(2 * [f"job-{n}" for n in range(2, 60, 3)]))

    async def test_the_same_append_made_many_times_at_once_is_recorded_once(self, tmp_path: Path) -> None:
        given = events(3)
        answers: list[Appended] = []
        async with self.open(tmp_path) as store:

            async def write(expected: int) -> None:
                answers.append(await store.append("job-a", given, expected_version=expected))

            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(write, NO_STREAM if number % 2 else -1)
            assert await store.head() == 3
            same(sorted(answer.repeated for answer in answers), [False] + [True] * 19)
            assert {(a.first_version, a.last_position) for a in answers} == {(1, 3)}

    async def test_thousands_that_append_at_once_are_all_answered(self, tmp_path: Path) -> None:
        answers: dict[int, Appended] = {}
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:

                async def write(number: int) -> None:
                    answers[number] = await store.append(f"job-{number % 50}", [new(b"%d" % number)])

                async with anyio.create_task_group() as tasks:
                    for number in range(5_000):
                        tasks.start_soon(write, number)
                log = await collect(store.read_all())
                assert len(answers) == len(log) == await store.head() == 5_000
                for number, answer in answers.items():
                    event = log[answer.first_position - 1]
                    assert (event.data, event.version) == (b"%d" % number, answer.first_version)

    async def test_a_large_append_is_seen_whole_or_not_at_all(self, tmp_path: Path) -> None:
        seen: set[int] = set()
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                waiting = anyio.Event()

                async def watch() -> None:
                    for turn in count():
                        await let_others(turn)
                        seen.add(await store.head())
                        seen.add(len(await collect(store.read("job-a"))))
                        waiting.set()

                tasks.start_soon(watch)
                await waiting.wait()
                for _ in range(3):
                    await store.append("job-a", events(4_000))
                tasks.cancel_scope.cancel()
        assert seen <= {0, 4_000, 8_000, 12_000}

    async def test_large_append_whole_whatever_else_it_asks(self, tmp_path: Path) -> None:
        """Seen whole or not at all, where it expects a version, where it saves a checkpoint, and with both."""
        for asks in ({"expected"}, {"checkpoint"}, {"expected", "checkpoint"}):
            folder = tmp_path / "-".join(sorted(asks))
            folder.mkdir()
            seen: set[int] = set()
            with anyio.fail_after(self.guard_s):
                async with self.open(folder) as store, anyio.create_task_group() as tasks:
                    waiting = anyio.Event()

                    async def watch(store: EventStore, seen: set[int], waiting: anyio.Event) -> None:
                        for turn in count():
                            await let_others(turn)
                            seen.add(await store.version("job-a"))
                            waiting.set()

                    tasks.start_soon(watch, store, seen, waiting)
                    await waiting.wait()
                    for last in range(0, 500, 50):
                        await store.append(
                            "job-a",
                            events(50),
                            expected_version=last if "expected" in asks else ANY,
                            checkpoint=mark("qc", last) if "checkpoint" in asks else None,
                        )
                    tasks.cancel_scope.cancel()
            assert all(version % 50 == 0 for version in seen), asks

    async def test_readers_see_a_prefix(self, tmp_path: Path) -> None:
        """While many write: of what is read nothing is missing before the last, and nothing goes away again."""
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as watching:

                async def watch() -> None:
                    seen = 0
                    for turn in count():
                        await let_others(turn)
                        head = await store.head()
                        got = [e.position for e in await collect(store.read_all())]
                        same(got, list(range(1, len(got) + 1)))
                        assert len(got) >= max(head, seen)
                        seen = len(got)
                        assert await store.head() >= seen

                async def write(number: int) -> None:
                    for size in (1, 2, 1, 3, 1):
                        await store.append(f"job-{number}", events(size))

                watching.start_soon(watch)
                async with anyio.create_task_group() as tasks:
                    for number in range(16):
                        tasks.start_soon(write, number)
                watching.cancel_scope.cancel()

    async def test_same_id_other_content_at_once(self, tmp_path: Path) -> None:
        """One is recorded, and all others learn where; none counts as a repeat."""
        given = new()
        won: dict[int, Appended] = {}
        lost: list[int | None] = []
        async with self.open(tmp_path) as store:

            async def write(number: int) -> None:
                made = [structs.replace(given, data=b"%d" % number)]
                try:
                    won[number] = await store.append("job-a" if number % 2 else "job-b", made)
                except DuplicateEvent as error:
                    lost.append(error.position)

            async with anyio.create_task_group() as tasks:
                for number in range(20):
                    tasks.start_soon(write, number)
            assert len(won) == 1
            ((winner, answer),) = won.items()
            assert not answer.repeated
            same(lost, [1] * 19)
            same([e.data for e in await collect(store.read_all())], [b"%d" % winner])

    async def test_a_cancelled_caller_takes_no_other_along(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                for turns in range(12):
                    answers: dict[int, Appended] = {}
                    scopes = [anyio.CancelScope() for _ in range(8)]

                    async def write(
                        number: int, turn: int, scope: anyio.CancelScope, answers: dict[int, Appended]
                    ) -> None:
                        with scope:
                            answers[number] = await store.append(f"job-{turn}-{number}", events(2))

                    async with anyio.create_task_group() as tasks:
                        for number, scope in enumerate(scopes):
                            tasks.start_soon(write, number, turns, scope, answers)
                        for _ in range(turns):
                            await anyio.lowlevel.checkpoint()
                        for scope in scopes[1::2]:
                            scope.cancel()
                    assert {0, 2, 4, 6} <= set(answers)
                    for number, answer in answers.items():
                        one, two = await collect(store.read(answer.stream))
                        assert answer == appended(
                            f"job-{turns}-{number}", 1, 2, one.position, two.position, repeated=False
                        )

    async def test_a_cancelled_append_is_recorded_whole_or_not_at_all(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                for turns in range(12):

                    async def write(turn: int, number: int) -> None:
                        await store.append(f"job-{turn}-{number}", events(3))

                    async with anyio.create_task_group() as tasks:
                        for number in range(8):
                            tasks.start_soon(write, turns, number)
                        for _ in range(turns):
                            await anyio.lowlevel.checkpoint()
                        tasks.cancel_scope.cancel()
                    await store.append("after", events(1))
                log = await collect(store.read_all())
                same([e.position for e in log], list(range(1, len(log) + 1)))
                for name in {e.stream for e in log}:
                    count = sum(e.stream == name for e in log)
                    assert count == (12 if name == "after" else 3)
                assert (await store.verify()).ok

    async def test_a_cancelled_append_can_be_made_again(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                for turns in range(12):
                    given = {f"job-{turns}-{number}": events(3) for number in range(8)}

                    async def write(name: str, made: list[NewEvent]) -> None:
                        await store.append(name, made, expected_version=NO_STREAM)

                    async with anyio.create_task_group() as tasks:
                        for name, made in given.items():
                            tasks.start_soon(write, name, made)
                        for _ in range(turns):
                            await anyio.lowlevel.checkpoint()
                        tasks.cancel_scope.cancel()
                    for name, made in given.items():
                        answer = await store.append(name, made, expected_version=NO_STREAM)
                        assert (answer.first_version, answer.last_version) == (1, 3)
                        same(
                            [e.event_id for e in await collect(store.read(name))], [e.event_id for e in made]
                        )
                assert await store.head() == 12 * 8 * 3

    async def test_a_cancelled_append_saves_its_checkpoint_with_its_events_or_not_at_all(
        self, tmp_path: Path
    ) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                await store.append("before", events(1))
                for turns in range(12):

                    async def write(name: str) -> None:
                        await store.append(name, events(2), checkpoint=mark(name, 1))

                    async with anyio.create_task_group() as tasks:
                        for number in range(8):
                            tasks.start_soon(write, f"job-{turns}-{number}")
                        for _ in range(turns):
                            await anyio.lowlevel.checkpoint()
                        tasks.cancel_scope.cancel()
                    await store.append("after", events(1))
                    for number in range(8):
                        name = f"job-{turns}-{number}"
                        before, there = -1, 0
                        while before != there:
                            # It may be recorded just now.
                            before, saved = await store.version(name), await store.checkpoint(name)
                            there = await store.version(name)
                        assert (saved, there) in ((0, 0), (1, 2))

    async def test_events_and_their_checkpoint_are_seen_together(self, tmp_path: Path) -> None:
        wrong: list[tuple[int, int, int]] = []
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store, anyio.create_task_group() as tasks:
                waiting = anyio.Event()

                async def watch() -> None:
                    for turn in count():
                        await let_others(turn)
                        before = await store.head()
                        saved = await store.checkpoint("qc")
                        after = await store.head()
                        if not before <= 2 * saved <= after:
                            wrong.append((before, saved, after))
                        waiting.set()

                tasks.start_soon(watch)
                await waiting.wait()
                for number in range(1, 60):
                    await store.append("job-a", events(2), checkpoint=mark("qc", number))
                    assert await store.checkpoint("qc") == number
                tasks.cancel_scope.cancel()
        same(wrong, [])

    async def test_cancelled_readers_leave_the_store_usable(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                await store.append("job-a", events(3_000))
                for turns in range(8):
                    async with anyio.create_task_group() as tasks:
                        for _ in range(6):
                            tasks.start_soon(collect, store.read_all())
                            tasks.start_soon(store.head)
                            tasks.start_soon(store.verify)
                        for _ in range(turns):
                            await anyio.lowlevel.checkpoint()
                        tasks.cancel_scope.cancel()
                assert len(await collect(store.read("job-a"))) == 3_000

    async def test_closing_answers_every_append_that_waits(self, tmp_path: Path) -> None:
        acknowledged: list[Appended] = []
        closed: list[StoreClosed] = []
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:

                async def write(number: int) -> None:
                    try:
                        acknowledged.append(await store.append(f"job-{number}", events(2)))
                    except StoreClosed as error:
                        closed.append(error)

                async with anyio.create_task_group() as tasks:
                    for number in range(50):
                        tasks.start_soon(write, number)
                    await anyio.lowlevel.checkpoint()
                    await store.aclose()
        assert len(acknowledged) + len(closed) == 50
