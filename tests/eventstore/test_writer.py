"""The queue before the disk: bounded, in order, and safe to give up on."""

import threading
from collections.abc import Sequence
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from eventstore import Appended, SqliteStore, _writer
from eventstore._ledger import Ledger
from eventstore._plan import Answer, Request
from tests.eventstore.support import collect, events, new


async def test_more_appends_than_may_wait_are_all_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_writer, "_WAITING", 8)
    answers: list[Appended] = []
    async with SqliteStore.open(tmp_path / "log.db", synchronous="OFF") as store:

        async def write(number: int) -> None:
            answers.append(await store.append(f"job-{number}", events(2)))

        async with anyio.create_task_group() as tasks:
            for number in range(300):
                tasks.start_soon(write, number)
        assert await store.head() == 600
        assert {answer.stream for answer in answers} == {f"job-{number}" for number in range(300)}


async def test_appends_that_wait_for_room_can_be_cancelled_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_writer, "_WAITING", 4)
    async with SqliteStore.open(tmp_path / "log.db", synchronous="OFF") as store:

        async def write(number: int) -> None:
            await store.append(f"job-{number}", events(2))

        for turns in range(6):
            async with anyio.create_task_group() as tasks:
                for number in range(50):
                    tasks.start_soon(write, number)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            await store.append("after", events(1))
        log = await collect(store.read_all())
        assert [event.position for event in log] == list(range(1, len(log) + 1))
        assert sum(event.stream == "after" for event in log) == 6
        assert (await store.verify()).ok


async def test_only_small_batches_are_written_on_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_loop: list[int] = []
    apply = Ledger.apply

    def noted(self: Ledger, batch: Sequence[Request], *, wait: bool) -> Sequence[Answer]:
        if threading.current_thread() is threading.main_thread():
            on_the_loop.append(sum(len(request.events) for request in batch))
        return apply(self, batch, wait=wait)

    monkeypatch.setattr(Ledger, "apply", noted)
    async with SqliteStore.open(tmp_path / "log.db", synchronous="OFF") as store:

        async def write(number: int, count: int) -> None:
            await store.append(f"job-{number}", events(count))

        async with anyio.create_task_group() as tasks:
            for number, count in enumerate((700, 1, 100, 100, 100, 700, 700, 1)):
                tasks.start_soon(write, number, count)
        assert await store.head() == 2402
    assert on_the_loop == [201, 100, 1]


async def test_nothing_is_written_on_a_loop_that_no_disk_may_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrote: set[bool] = set()

    def noted(name: str) -> None:
        method = getattr(Ledger, name)

        def on_the_way(self: Ledger, *args: object) -> object:
            wrote.add(threading.current_thread() is threading.main_thread())
            return method(self, *args)

        monkeypatch.setattr(Ledger, name, on_the_way)

    for name in ("write", "commit"):
        noted(name)
    for synchronous in ("FULL", "OFF"):
        path = tmp_path / f"{synchronous}.db"
        async with SqliteStore.open(path, synchronous=synchronous, in_thread=True) as store:
            for _ in range(5):
                await store.append("lone", events(1))
            await store.append("many", events(200))
            async with anyio.create_task_group() as tasks:
                for number in range(40):
                    tasks.start_soon(store.append, f"job-{number}", events(3))
            assert await store.head() == 325
    assert wrote == {False}


async def test_an_append_too_large_for_the_loop_keeps_its_place(tmp_path: Path) -> None:
    order: list[str] = []
    async with SqliteStore.open(tmp_path / "log.db", synchronous="OFF") as store:

        async def write(name: str, count: int) -> None:
            await store.append(name, [new(b"x" * 100) for _ in range(count)])
            order.append(name)

        async with anyio.create_task_group() as tasks:
            for number in range(6):
                tasks.start_soon(write, f"small-{number}", 3)
                tasks.start_soon(write, f"large-{number}", 700)
        firsts: dict[str, int] = {}
        for event in await collect(store.read_all()):
            firsts.setdefault(event.stream, event.position)
        assert order == sorted(firsts, key=lambda name: firsts[name])
        assert order == [f"{size}-{number}" for number in range(6) for size in ("small", "large")]
