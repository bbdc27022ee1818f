"""A store that is used as none should be says so, and nobody waits for ever."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from eventstore import EventStoreError, InvalidArgument, MemoryLog, SqliteStore, WrongLoop
from tests.eventstore.support import collect, events, mark, refused

ROOT = Path(__file__).parents[2]
GUARD_S = 60.0


async def used_elsewhere(store: SqliteStore) -> None:
    for work in (
        lambda: store.append("job-a", events(1)),
        lambda: store.save_checkpoint(mark("qc", 1)),
        lambda: store.head(),
        lambda: collect(store.read("job-a")),
        lambda: collect(store.read_all()),
        lambda: collect(store.subscribe(), 1),
        lambda: store.verify(),
        lambda: store.aclose(),
    ):
        await refused(WrongLoop, work())


async def test_a_store_is_used_in_no_other_loop_than_its_own(tmp_path: Path) -> None:
    with anyio.fail_after(GUARD_S):
        async with SqliteStore.open(tmp_path / "log.db") as store:
            await store.append("job-a", events(1))
            failed: list[BaseException] = []

            def run() -> None:
                try:
                    anyio.run(used_elsewhere, store)
                except BaseException as error:  # noqa: BLE001 - for the test to show
                    failed.append(error)

            thread = threading.Thread(target=run)
            thread.start()
            await anyio.to_thread.run_sync(thread.join)
            assert failed == []
            assert (await store.append("job-a", events(1))).last_position == 2
            assert (await store.verify()).ok


# In a process of its own: pytest's has threads. The child is still in the coroutine of its parent's loop.
FORK = """
import os, sys, anyio
from eventstore import SqliteStore
from tests.eventstore.support import events
from tests.eventstore.test_wrong_use import used_elsewhere

async def main(path):
    async with SqliteStore.open(path) as store:
        await store.append("job-a", events(1))
        child = os.fork()
        if not child:
            code = 1
            try:
                await used_elsewhere(store)
                code = 0
            finally:
                os._exit(code)
        _, status = await anyio.to_thread.run_sync(os.waitpid, child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert (await store.append("job-a", events(1))).last_position == 2
        assert (await store.verify()).ok

anyio.run(main, sys.argv[1])
"""


def test_a_store_is_not_used_in_a_child_that_was_forked(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORK, str(tmp_path / "log.db")]
    done = subprocess.run(command, cwd=ROOT, timeout=GUARD_S, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def wrong_clocks() -> list[Callable[[], int]]:
    def raises() -> int:
        raise OSError("no clock")

    values: tuple[object, ...] = (1.0, 1000.5, True, None, "1", 2**63, 1_700_000_000_000_000)
    return [raises, *((lambda value=value: value) for value in values)]


@pytest.mark.parametrize("wrong", wrong_clocks())
async def test_a_clock_that_fails_refuses_the_append_and_no_other(
    tmp_path: Path, wrong: Callable[[], int]
) -> None:
    clock: list[Callable[[], int]] = [lambda: 1000]
    with anyio.fail_after(GUARD_S):
        async with SqliteStore.open(tmp_path / "log.db", clock_ms=lambda: clock[0]()) as store:
            for turn in range(1, 6):
                await store.append("job-a", events(1))
                clock[0] = wrong
                for _ in range(3):
                    await refused(EventStoreError, store.append("job-a", events(1)))
                async with anyio.create_task_group() as tasks:
                    for number in range(40):
                        tasks.start_soon(refused, EventStoreError, store.append(f"job-{number}", events(1)))
                clock[0] = lambda: 2000
                assert await store.version("job-a") == turn
            assert (await store.append("job-a", events(1))).last_position == 6
            assert (await store.verify()).ok


def test_a_log_in_memory_takes_no_time_from_a_clock_that_fails() -> None:
    log = MemoryLog(clock_ms=lambda: 2**63)
    with pytest.raises(InvalidArgument, match="clock"):
        log.append("job-a", events(1), checkpoint=mark("qc", 1))
    assert (log.head(), log.checkpoint("qc")) == (0, 0)
