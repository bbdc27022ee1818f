"""Contract: what a log is when it is opened again, and while other stores come and go beside it."""

import contextlib
from pathlib import Path
from typing import Any

import anyio
from msgspec import structs

from eventstore.chain import new_of
from eventstore.contract._contents import NEAR_NAMES
from eventstore.contract._live import Waiting
from eventstore.contract._support import (
    Contract,
    appended,
    collect,
    events,
    mark,
    new,
    refused,
    same,
)
from eventstore.errors import DuplicateEvent, VersionConflict
from eventstore.ids import new_id
from eventstore.model import NO_STREAM, Appended, Checkpoint
from eventstore.replay import COLUMNS
from eventstore.store import EventStore

__all__ = ["ReopenedContract"]


async def _all_of(store: EventStore, names: tuple[str, ...], threads: tuple[str, ...]) -> list[Any]:
    """Every answer that a store gives to whoever reads it."""
    columns: Any = COLUMNS
    answers: list[Any] = [await store.head(), await store.verify()]
    for backward in (False, True):
        answers += [await collect(store.read_all(backward=backward, limit=limit)) for limit in (None, 300)]
        answers += [await collect(store.read(name, backward=backward)) for name in names]
        answers += [await collect(store.read_all(correlation_id=one, backward=backward)) for one in threads]
        for category in {name.split("-")[0] for name in names[::3]}:
            answers.append(await collect(store.read_all(category=category, backward=backward)))
    # And of names that nobody has used.
    for name in (*names, *(name.swapcase() for name in names)):
        answers.append((await store.version(name), await store.checkpoint(name)))
    answers.append(
        [row async for batch in store.replay(lambda kind, version: bytes, columns=columns) for row in batch]
    )
    answers.append(await collect(store.subscribe(), answers[0]))
    return answers


class ReopenedContract(Contract):
    async def test_every_answer_is_the_same_when_the_log_is_opened_again(self, tmp_path: Path) -> None:
        names = (*NEAR_NAMES, *(name.upper() for name in ("job-b", "qc", "i")), "job-B", "job-b", "QC")
        threads = ("t", "T", *NEAR_NAMES[:4])
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:
                cause = new_id()
                for number, name in enumerate(names, 1):
                    made = [
                        new(
                            b"%d\0" % n,
                            type=f"T{n % 3} ",
                            type_version=1 + number % 4,
                            correlation_id=threads[number % len(threads)] if n else None,
                            causation_id=cause if n != 1 else "text",
                            metadata=b'{"n": %d}\n' % n * (n % 2),
                        )
                        for n in range(8)
                    ]
                    cause = made[3].event_id
                    await store.append(name, made)
                    await store.save_checkpoint(mark(name, 8 * number))
                    await store.save_checkpoint(mark(name, number))
                before = await _all_of(store, names, threads)
            for _ in range(2):
                async with self.open(tmp_path) as store:
                    same(await _all_of(store, names, threads), before)

    async def test_a_long_log_is_the_same_when_it_is_opened_again(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as store:
            await store.append("job-a", events(3))
            await store.append("job-b", events(12_000))
            await store.append("job-a", [new(bytes(range(256)) * 5_000, metadata=b"{}", correlation_id="t")])
            before = await collect(store.read_all())
        async with self.open(tmp_path) as store:
            same(await collect(store.read_all()), before)
            same([e.version for e in await collect(store.read("job-b"))], list(range(1, 12_001)))
            same(
                [e.position for e in await collect(store.read_all(category="job", backward=True))],
                list(range(12_004, 0, -1)),
            )
            assert await store.version("job-b") == 12_000
            await refused(VersionConflict, store.append("job-b", [], expected_version=11_999))
            assert (await store.append("job-a", events(1), expected_version=4)).last_position == 12_005

    async def test_whatever_part_of_an_append_is_known_is_known_when_the_log_is_opened_again(
        self, tmp_path: Path
    ) -> None:
        known, other = events(4), events(2)
        async with self.open(tmp_path) as store:
            await store.append("job-a", known[:1])
            await store.append("job-b", other)
            await store.append("job-a", known[1:])
            await store.append("job-c", events(300))
        for made in (
            [new(), known[2]],
            [new(), new(), other[1], new()],
            [*known, new()],
            [known[3], known[2]],
        ):
            async with self.open(tmp_path) as store:
                error = await refused(DuplicateEvent, store.append("job-a", made))
                assert error.event_id in {e.event_id for e in (*known, *other)}
                assert await store.head() == 306
        async with self.open(tmp_path) as store:
            whole = await store.append("job-a", known, expected_version=NO_STREAM, checkpoint=mark("qc", 306))
            assert whole == appended("job-a", 1, 4, 1, 6, repeated=True)
        async with self.open(tmp_path) as store:
            assert (await store.checkpoint("qc"), await store.head()) == (306, 306)

    async def test_a_log_with_no_event_can_be_opened_again(self, tmp_path: Path) -> None:
        for _ in range(3):
            async with self.open(tmp_path) as store:
                assert (await store.head(), await store.version("job-a")) == (0, 0)
                await store.append("job-a", [], checkpoint=Checkpoint(consumer="qc", position=0))
                assert (await store.verify()).ok
        async with self.open(tmp_path) as store:
            assert (await store.append("job-a", events(1), expected_version=NO_STREAM)).last_position == 1

    async def test_what_was_acknowledged_is_there_however_the_store_was_left(self, tmp_path: Path) -> None:
        """By an error, by a caller that is cancelled, or while its closing is."""
        total = 0

        async def leave(how: str, scope: anyio.CancelScope) -> None:
            async with self.open(tmp_path) as store:
                await store.append(f"job-{how}", events(3), checkpoint=mark(how, total + 2))
                if how == "error":
                    raise LookupError(how)
                scope.cancel()
                await (anyio.sleep_forever() if how == "cancelled" else store.aclose())

        with anyio.fail_after(self.guard_s):
            for how in ("error", "cancelled", "closing"):
                with anyio.CancelScope() as scope, contextlib.suppress(LookupError):
                    await leave(how, scope)
                total += 3
                async with self.open(tmp_path) as store:
                    assert (await store.head(), await store.version(f"job-{how}")) == (total, 3)
                    assert await store.checkpoint(how) == total - 1
                    assert (await store.verify()).ok

    async def test_much_that_another_store_appended_is_known(self, tmp_path: Path) -> None:
        given, early = events(5_000), new(b"early")
        async with self.open(tmp_path) as one, self.open(tmp_path) as two:
            await one.append("job-b", events(1))
            await two.append("job-c", [early])
            await two.append("job-a", given)
            await two.append("job-d", events(1))
            for size, stop in ((3, 3), (5_000, 5_000), (1, 2_500)):
                again = await one.append("job-a", given[stop - size : stop], expected_version=NO_STREAM)
                assert again == appended(
                    "job-a", stop - size + 1, stop, stop - size + 3, stop + 2, repeated=True
                )
            for event, position in ((early, 2), (given[0], 3), (given[4_999], 5_002)):
                for made in ([structs.replace(event, data=b"other")], [new(), event]):
                    error = await refused(DuplicateEvent, one.append("job-a", made))
                    assert (error.event_id, error.position) == (event.event_id, position)
            assert (await one.append("job-a", events(1), expected_version=5_000)).last_position == 5_004

    async def test_each_store_reads_backward_from_the_end_that_another_made(self, tmp_path: Path) -> None:
        async with self.open(tmp_path) as one, self.open(tmp_path) as two:
            for number in range(1, 9):
                writer, reader = (one, two) if number % 2 else (two, one)
                await writer.append("job-a", [new(correlation_id="t")])
                due = list(range(number, 0, -1))
                for limit in (1, None):
                    asked: Any
                    for asked in ({}, {"category": "job"}, {"correlation_id": "t"}):
                        found = reader.read_all(**asked, backward=True, limit=limit)
                        same([e.position for e in await collect(found)], due[:limit])
                    own = reader.read("job-a", backward=True, limit=limit)
                    same([e.version for e in await collect(own)], due[:limit])
                same([e.position for e in await collect(reader.read_all(limit=number + 1))], due[::-1])

    async def test_all_that_wait_are_woken_by_what_another_store_appends(self, tmp_path: Path) -> None:
        """Those of either store, each time, also when all that waited before have ended."""
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as one, self.open(tmp_path) as two:
                head = 0
                for _ in range(3):
                    async with anyio.create_task_group() as tasks:
                        waiting = Waiting(one, two, after=head, each=2)
                        tasks.start_soon(waiting.run)
                        await anyio.wait_all_tasks_blocked()
                        first = head
                        for number, size in enumerate((1, 1, 20, 5_000, 2, 1)):
                            answer = await (two if number % 3 else one).append(f"job-{number}", events(size))
                            head = answer.last_position
                            await waiting.all_have(head)
                        log = await collect(two.read_all(after_position=first))
                        for got in waiting.got:
                            same(got, log)
                        tasks.cancel_scope.cancel()

    async def test_a_slow_subscription_of_another_store_holds_up_no_writer(self, tmp_path: Path) -> None:
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as one, self.open(tmp_path) as two:
                await one.append("job-a", events(1))
                slow = [two.subscribe(), two.subscribe(category="job")]
                for following in slow:
                    assert (await anext(following)).position == 1
                for _ in range(150):
                    await one.append("job-a", events(2))
                await one.append("job-a", events(2_000))
                head = await two.head()
                for following in slow:
                    same([e.position for e in await collect(following, head - 1)], list(range(2, head + 1)))

    async def test_stores_that_come_and_go_disturb_no_writer(self, tmp_path: Path) -> None:
        told: list[Appended] = []
        with anyio.fail_after(self.guard_s):
            async with self.open(tmp_path) as store:

                async def write(number: int) -> None:
                    for turn in range(12):
                        answer = await store.append(f"job-{number}", events(2), expected_version=2 * turn)
                        told.append(answer)

                async with anyio.create_task_group() as tasks:
                    for number in range(8):
                        tasks.start_soon(write, number)
                    for turn in range(6):
                        async with self.open(tmp_path) as other:
                            told.append(await other.append("guest", events(2), expected_version=2 * turn))
                            assert (await collect(other.subscribe(), 1))[0].position == 1
                log = await collect(store.read_all())
                same([e.position for e in log], list(range(1, 2 * len(told) + 1)))
                for answer in told:
                    span = log[answer.first_position - 1 : answer.last_position]
                    due = [(answer.stream, answer.first_version), (answer.stream, answer.last_version)]
                    same([(e.stream, e.version) for e in span], due)
                for name in {e.stream for e in log}:
                    made = [new_of(e) for e in log if e.stream == name]
                    assert (await store.append(name, made, expected_version=NO_STREAM)).repeated
                assert (await store.verify()).ok
