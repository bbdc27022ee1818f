"""A consumer handles every event, never gets stuck on one, and tells which it could not handle."""

import asyncio
import fcntl
import random
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from eventstore import (
    Checkpoint,
    EventStore,
    InvalidArgument,
    MemoryStore,
    NewEvent,
    RecordedEvent,
    SqliteStore,
    StoreBusy,
    StoreClosed,
    StoreCorrupt,
    StoreFull,
)
from eventstore.consumer import Answer, consume, dead_letters, redeliver, stream_of
from eventstore.contract import collect
from tests.eventstore.support import events, new, raw, refused

ROOT = Path(__file__).parents[2]


def opened(kind: str, folder: Path) -> AbstractAsyncContextManager[EventStore]:
    return MemoryStore() if kind == "memory" else SqliteStore.open(folder / "log.db")


class Handler:
    """Notes what it was given; raises on some of it; ends the consumer once a position was handled."""

    def __init__(self, last: int, poison: dict[int, Exception] | None = None) -> None:
        self.last = last
        self.poison = poison or {}
        self.given: list[int] = []
        self.handled: list[int] = []
        self.scope = anyio.CancelScope()

    async def __call__(self, event: RecordedEvent) -> Answer | None:
        self.given.append(event.position)
        if event.position in self.poison:
            raise self.poison[event.position]
        self.handled.append(event.position)
        if event.position >= self.last:
            self.scope.cancel()
        return None

    async def run(self, store: EventStore, **options: Any) -> None:
        with anyio.fail_after(60), self.scope:
            await consume(store, "ledger", self, pause_s=0.0, **options)


async def answer(event: RecordedEvent) -> Answer | None:
    """A handler that answers every event of one stream, by an id that is the same for every redelivery."""
    if event.stream != "job-a":
        return None
    made = NewEvent(event_id=str(uuid.uuid5(uuid.NAMESPACE_OID, event.event_id)), type="Done", data=b"")
    return Answer(stream="answers", events=[made])


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_poison_event_becomes_a_dead_letter_and_stops_no_other(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as store:
        given = events(6)
        await store.append("job-a", given)
        handler = Handler(6, {2: ValueError("no such colour"), 5: KeyError()})
        await handler.run(store)
        assert handler.handled == [1, 3, 4, 6]
        assert Counter(handler.given) == {1: 1, 2: 3, 3: 1, 4: 1, 5: 3, 6: 1}
        letters = await dead_letters(store, "ledger")
        assert [(one.position, one.stream, one.version, one.tries) for one in letters] == [
            (2, "job-a", 2, 3),
            (5, "job-a", 5, 3),
        ]
        assert letters[0].why == "ValueError: no such colour"
        assert (letters[0].type, letters[0].event_id) == ("Happened", given[1].event_id)
        recorded = await collect(store.read(stream_of("ledger")))
        assert [event.causation_id for event in recorded] == [given[1].event_id, given[4].event_id]
        assert await store.checkpoint("ledger") >= 5


async def test_a_dead_letter_can_be_handled_again(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-a", events(5))
        await Handler(5, {2: ValueError("x"), 4: ValueError("y")}).run(store)
        again = Handler(99, {4: ValueError("still")})
        assert [letter.position async for letter in redeliver(store, "ledger", again)] == [2]
        assert again.given == [2, 4]
        assert [letter.position for letter in await dead_letters(store, "ledger")] == [4]
        assert [letter.position async for letter in redeliver(store, "ledger", Handler(99))] == [4]
        assert await dead_letters(store, "ledger") == []


async def test_an_event_that_was_handled_late_and_fails_once_more_is_a_dead_letter_again(
    tmp_path: Path,
) -> None:
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-a", events(3))
        poison: dict[int, Exception] = {2: ValueError("x")}
        await Handler(3, poison).run(store)
        assert [letter.position async for letter in redeliver(store, "ledger", Handler(99))] == [2]
        for _ in range(2):
            await store.save_checkpoint(Checkpoint(consumer="ledger", position=0))
            await Handler(3, {2: ValueError("y")}).run(store)
            assert [letter.why for letter in await dead_letters(store, "ledger")] == ["ValueError: y"]
        assert [letter.position async for letter in redeliver(store, "ledger", Handler(99))] == [2]
        assert await dead_letters(store, "ledger") == []


async def test_a_consumer_goes_on_where_it_was_and_leaves_other_categories_alone(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "log.db") as store:
        for number in range(9):
            await store.append(("job-a", "diary-a", "job-b")[number % 3], [new()])
        first = Handler(4)
        await first.run(store, category="job")
        assert first.handled == [1, 3, 4]
        second = Handler(9)
        await second.run(store, category="job")
        assert second.handled[-4:] == [4, 6, 7, 9][-len(second.handled) :]
        assert set(first.handled) | set(second.handled) == {1, 3, 4, 6, 7, 9}


@pytest.mark.parametrize("fault", [StoreBusy, StoreFull])
async def test_a_fault_of_the_machine_is_waited_for_and_blames_no_event(fault: Any, tmp_path: Path) -> None:
    class Shaky(MemoryStore):
        left = 5

        def fail(self) -> None:
            if self.left:
                self.left -= 1
                raise fault("Not now.", remedy="Later.")

        async def append(self, *args: Any, **options: Any) -> Any:
            self.fail()
            return await super().append(*args, **options)

        async def save_checkpoint(self, *args: Any) -> None:
            self.fail()
            await super().save_checkpoint(*args)

    async with Shaky() as store:
        store.left = 0
        await store.append("job-a", events(3))
        store.left = 5

        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(partial(consume, store, "ledger", answer, pause_s=0.0))
                while await store.checkpoint("ledger") < await store.head():
                    await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        assert await store.version("answers") == 3
        assert await store.checkpoint("ledger") >= 3
        assert await dead_letters(store, "ledger") == []


@pytest.mark.parametrize("seed", range(20))
async def test_nothing_is_skipped_whatever_fails_and_wherever_it_is_broken_off(seed: int) -> None:
    chance = random.Random(seed)
    async with MemoryStore() as store:
        await store.append("job-a", events(30))
        handled: Counter[int] = Counter()
        poison = set(chance.sample(range(1, 61), 8))
        flaky = set(chance.sample(range(1, 61), 15)) - poison

        async def handle(event: RecordedEvent) -> Answer | None:
            await anyio.lowlevel.checkpoint()
            number = int(event.data) if event.stream == "job-a" else 0
            if number in poison or (number in flaky and chance.random() < 0.4):
                raise RuntimeError(f"no {number}")
            handled[event.position] += 1
            return None

        async def one_life(last: bool) -> None:
            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    group.start_soon(partial(consume, store, "ledger", handle, pause_s=0.0))
                    for _ in range(chance.randint(0, 120)):
                        await anyio.lowlevel.checkpoint()
                    while last and await store.checkpoint("ledger") < await store.head():
                        await anyio.lowlevel.checkpoint()
                    group.cancel_scope.cancel()

        for life in range(51):
            if life == 20:
                await store.append("job-a", [new(b"%d" % n) for n in range(30, 60)])
            await one_life(last=life == 50)
        dead = {letter.position for letter in await dead_letters(store, "ledger")}
        for event in await collect(store.read_all()):
            if event.stream != stream_of("ledger"):
                assert (event.position in dead) or handled[event.position], event
                assert (
                    not (int(event.data or b"0") in poison and event.stream == "job-a")
                    or event.position in dead
                )


async def test_an_answer_is_there_once_however_often_the_event_comes(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-a", events(10))

        for _ in range(3):
            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    group.start_soon(consume, store, "ledger", answer)
                    while await store.checkpoint("ledger") < 10:
                        await anyio.lowlevel.checkpoint()
                    group.cancel_scope.cancel()
            await store.save_checkpoint(Checkpoint(consumer="ledger", position=4))
        assert await store.version("answers") == 10


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_an_answer_with_an_id_of_its_own_is_there_once_where_the_consumer_breaks_off(
    kind: str, tmp_path: Path
) -> None:
    """The event before is handled just then, and its checkpoint is still to be saved."""
    handled: list[int] = []

    async def once(event: RecordedEvent) -> Answer | None:
        if event.stream != "job-a":
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            scope.cancel()
            return None
        handled.append(event.position)
        return Answer(stream="answers", events=[new()]) if event.position == 2 else None

    async with opened(kind, tmp_path) as store:
        await store.append("job-a", events(2))
        for _ in range(2):
            with anyio.fail_after(60), anyio.CancelScope() as scope:
                await consume(store, "ledger", once)
        assert handled == [1, 2]
        assert await store.version("answers") == 1


async def test_a_consumer_that_is_called_off_while_it_answers_and_begins_again_answers_once(
    tmp_path: Path,
) -> None:
    """Its answer is on its way to a disk that somebody else has just then, and cannot be called back."""
    answered, seen = anyio.Event(), anyio.Event()

    async def once(event: RecordedEvent) -> Answer | None:
        if event.data == b"2":
            seen.set()
        if event.stream != "job-a" or event.data != b"1":
            return None
        answered.set()
        return Answer(stream="answers", events=[new()])

    async with SqliteStore.open(tmp_path / "log.db", in_thread=True) as store:
        await store.append("job-a", events(3))
        with anyio.fail_after(60), (tmp_path / "log.db-lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            first = asyncio.create_task(consume(store, "ledger", once))
            await answered.wait()
            for _ in range(10):
                await anyio.lowlevel.checkpoint()
            first.cancel()
            await asyncio.wait([first])
            again = asyncio.create_task(consume(store, "ledger", once))
            # One that does not wait for what is on its way handles the event once more.
            for _ in range(30):
                await store.head()
            fcntl.flock(lock, fcntl.LOCK_UN)
            await seen.wait()
            again.cancel()
            await asyncio.wait([again])
        assert await store.version("answers") == 1


async def test_a_consumer_ends_with_the_very_error_of_its_store() -> None:
    async with MemoryStore() as store:
        await store.append("job-a", events(1))

        async def close(event: RecordedEvent) -> Answer | None:
            await store.aclose()
            return None

        with anyio.fail_after(60):
            await refused(StoreClosed, consume(store, "ledger", close))


async def test_an_answer_that_is_refused_holds_up_no_other_dead_letter(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-a", events(4))
        await Handler(4, dict.fromkeys((1, 2, 3), ValueError())).run(store, tries=1)

        async def again(event: RecordedEvent) -> Answer | None:
            return Answer(stream="" if event.position == 1 else "answers", events=[new()])

        assert [letter.position async for letter in redeliver(store, "ledger", again)] == [2, 3]
        assert [letter.position for letter in await dead_letters(store, "ledger")] == [1]
        await store.aclose()
        await refused(StoreClosed, anext(redeliver(store, "ledger", again)))


async def test_an_event_that_cannot_be_read_becomes_a_dead_letter_too(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path) as store:
        # The writer reads the last segment again when it opens the log: nobody can append to one that is broken.
        await store.append("job-a", events(300))
    connection = raw(path)
    connection.execute("DROP TRIGGER events_no_update")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("UPDATE events SET type_key = 77 WHERE position = 3")
    connection.close()
    async with SqliteStore.open(path) as store:
        handler = Handler(300)
        await handler.run(store)
        assert handler.handled == [1, 2, *range(4, 301)]
        [letter] = await dead_letters(store, "ledger")
        assert (letter.position, letter.stream) == (3, "")
        assert "Position 3 cannot be read" in letter.why


WRITER = """
import sys, uuid, anyio
from eventstore import NewEvent, SqliteStore
async def main(path):
    async with SqliteStore.open(path) as store:
        for _ in range(200):
            await store.append("job-b", [NewEvent(event_id=str(uuid.uuid4()), type="T", data=b"")])
anyio.run(main, sys.argv[1])
"""


async def test_what_another_process_appends_is_handled_without_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path) as store:
        handler = Handler(200)
        command = [sys.executable, "-c", WRITER, str(path)]
        process = await anyio.open_process(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=None)
        async with process:
            await handler.run(store)
        assert handler.handled == list(range(1, 201))


class WordlessError(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


async def wait_for_something_that_is_cancelled() -> None:
    waiter = asyncio.get_running_loop().create_future()
    waiter.cancel()
    await waiter


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ValueError("no file \udcff.mp4"), r"ValueError: no file \udcff.mp4"),
        (WordlessError(), "WordlessError"),
        (ValueError("x" * 3_000_000), "ValueError: " + "x" * 9_988),
        (None, "CancelledError"),
    ],
    ids=["surrogate", "wordless", "endless", "cancelled"],
)
async def test_whatever_a_handler_fails_with_becomes_a_dead_letter(
    kind: str, error: Exception | None, why: str, tmp_path: Path
) -> None:
    async with opened(kind, tmp_path) as store:
        await store.append("job-a", events(3))
        handler = Handler(last=3)

        async def handle(event: RecordedEvent) -> None:
            if event.position == 2:
                if error is not None:
                    raise error
                await wait_for_something_that_is_cancelled()
            await handler(event)

        with anyio.fail_after(60), handler.scope:
            await consume(store, "ledger", handle, tries=2, pause_s=0.0)
        assert handler.handled == [1, 3]
        assert [letter.why for letter in await dead_letters(store, "ledger")] == [why]


async def test_a_task_that_is_cancelled_in_its_handler_ends(tmp_path: Path) -> None:
    async with opened("sqlite", tmp_path) as store:
        await store.append("job-a", events(1))
        begun = anyio.Event()

        async def handle(event: RecordedEvent) -> None:
            begun.set()
            await anyio.sleep_forever()

        with anyio.fail_after(60):
            task = asyncio.create_task(consume(store, "ledger", handle, pause_s=0.0))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert await dead_letters(store, "ledger") == []


async def test_a_foreign_event_among_the_dead_letters_holds_up_nobody() -> None:
    async with MemoryStore() as store:
        odd = [new(b"{}", type="Strange")]
        odd += [new(data, type="DeadLettered") for data in (b"{", b"[]", b'{"consumer":"\xff"}')]
        await store.append(stream_of("ledger"), odd)
        await store.append("job-a", events(3))
        handler = Handler(last=7, poison={6: ValueError("never")})
        await handler.run(store, tries=1)
        assert [letter.position for letter in await dead_letters(store, "ledger")] == [6]


@pytest.mark.parametrize("name", ["", "x" * 1024, "a\0b", "\ud800"])
async def test_a_consumer_whose_dead_letters_could_not_be_recorded_does_not_begin(name: str) -> None:
    async with MemoryStore() as store:
        await store.append("job-a", events(1))
        with anyio.fail_after(60), pytest.raises(InvalidArgument):
            await consume(store, name, Handler(last=9))


class ReadsBadlyAtFirst(MemoryStore):
    """Says of an event that it is damaged, so many times."""

    def __init__(self, position: int, times: int) -> None:
        super().__init__()
        self.position = position
        self.times = times

    async def subscribe(
        self, *, after_position: int = 0, category: str | None = None
    ) -> AsyncIterator[RecordedEvent]:
        async for event in super().subscribe(after_position=after_position, category=category):
            if event.position == self.position and self.times:
                self.times -= 1
                raise StoreCorrupt("It cannot be read.", remedy="")
            yield event


async def test_an_event_that_could_not_be_read_for_a_moment_is_no_dead_letter() -> None:
    async with ReadsBadlyAtFirst(2, 2) as store:
        await store.append("job-a", events(3))
        handler = Handler(last=3)
        await handler.run(store)
        assert handler.handled == [1, 2, 3]
        assert await dead_letters(store, "ledger") == []


async def test_an_event_that_cannot_be_read_again_and_again_is_one() -> None:
    async with ReadsBadlyAtFirst(2, 99) as store:
        await store.append("job-a", events(3))
        handler = Handler(last=3)
        await handler.run(store)
        assert handler.handled == [1, 3]
        [letter] = await dead_letters(store, "ledger")
        assert (letter.position, letter.tries) == (2, 3)
