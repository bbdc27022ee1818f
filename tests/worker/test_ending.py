"""No child outlives its caller or its context, however these end."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from caf.worker.errors import WorkerError
from caf.worker.host import Worker
from caf.worker.pool import WorkerPool
from tests.worker.conftest import TASKS, Witness
from tests.worker.tasks_for_tests import Facts, Order

LONG_S = 60.0
ROOT = Path(__file__).parents[2]

CALLER = """
import anyio, sys
from caf.worker.host import Worker
from tests.worker.tasks_for_tests import Order

async def main() -> None:
    async with Worker(tasks="tests.worker.tasks_for_tests") as worker:
        await worker.call(
            sys.argv[1], Order(witness=sys.argv[2]), progress=lambda *_: None, stall_s=600, deadline_s=600
        )

anyio.run(main)
"""


def ignore(done: int, total: int | None) -> None:
    pass


def start_caller(task: str, witness: Witness) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-c", CALLER, task, witness.path],
        cwd=ROOT,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    "task",
    [
        "wait_for_ever",
        pytest.param(
            "hang_in_native_code",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux can end a hanging child"),
        ),
    ],
)
def test_a_child_dies_with_a_caller_that_is_killed(task: str, witness: Witness) -> None:
    caller = start_caller(task, witness)
    try:
        witness.read_pid()
    finally:
        caller.kill()
        caller.wait()
    assert witness.sees_the_end()


@pytest.mark.parametrize("task", ["wait_for_ever", "hang_in_native_code"])
def test_ctrl_c_in_the_caller_ends_the_child(task: str, witness: Witness) -> None:
    caller = start_caller(task, witness)
    try:
        witness.read_pid()
        os.killpg(caller.pid, signal.SIGINT)
        assert caller.wait(30) != 0
    finally:
        caller.kill()
        caller.wait()
    assert witness.sees_the_end()


async def test_a_cancelled_call_ends_its_child_before_it_returns(worker: Worker, witness: Witness) -> None:
    with anyio.CancelScope() as scope:
        await worker.call(
            "wait_for_ever",
            Order(witness=witness.path),
            progress=lambda *_: scope.cancel(),
            stall_s=LONG_S,
            deadline_s=LONG_S,
        )
    pid = witness.read_pid()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert worker.pid is None


async def test_a_stopped_child_is_ended_by_a_cancelled_call_too(worker: Worker, witness: Witness) -> None:
    with anyio.CancelScope() as scope:

        def stop_and_cancel(done: int, total: int | None) -> None:
            os.kill(witness.read_pid(), signal.SIGSTOP)
            scope.cancel()

        await worker.call(
            "wait_for_ever",
            Order(witness=witness.path),
            progress=stop_and_cancel,
            stall_s=LONG_S,
            deadline_s=LONG_S,
        )
    assert witness.sees_the_end()


async def test_leaving_the_context_leaves_no_process() -> None:
    async with Worker(tasks=TASKS) as worker:
        facts: Facts = await worker.call("echo", Order(), progress=ignore, stall_s=LONG_S, deadline_s=LONG_S)
        os.kill(facts.pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(facts.pid, 0)
    with pytest.raises(anyio.ClosedResourceError):
        await worker.call("echo", Order(), progress=ignore, stall_s=LONG_S, deadline_s=LONG_S)


async def test_closing_a_worker_fails_the_call_that_is_under_way(witness: Witness) -> None:
    worker = Worker(tasks=TASKS)
    started = anyio.Event()
    failed = False

    async def call() -> None:
        nonlocal failed
        with pytest.raises(WorkerError):
            await worker.call(
                "wait_for_ever",
                Order(witness=witness.path),
                progress=lambda *_: started.set(),
                stall_s=LONG_S,
                deadline_s=LONG_S,
            )
        failed = True

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await started.wait()
        await worker.aclose()
    assert failed
    witness.read_pid()
    assert witness.sees_the_end()


async def test_a_pool_runs_as_many_calls_at_once_as_it_has_children(tmp_path: Path) -> None:
    async with WorkerPool(2, tasks=TASKS) as pool, anyio.create_task_group() as tasks:
        witnesses = [Witness(tmp_path / name) for name in ("one", "two")]
        met = anyio.Event()

        def both_are_here(done: int, total: int | None) -> None:
            if len(pool.pids) == 2:
                met.set()

        async def call(witness: Witness) -> None:
            await pool.call(
                "wait_for_ever",
                Order(witness=witness.path),
                progress=both_are_here,
                stall_s=LONG_S,
                deadline_s=LONG_S,
            )

        for witness in witnesses:
            tasks.start_soon(call, witness)
        await met.wait()
        pids = set(await asyncio.gather(*(asyncio.to_thread(w.read_pid) for w in witnesses)))
        assert pids == set(pool.pids)
        tasks.cancel_scope.cancel()
    for witness in witnesses:
        assert witness.sees_the_end()
        witness.close()


async def test_a_pool_prefers_a_warm_child() -> None:
    async with WorkerPool(2, tasks=TASKS) as pool:
        pids = {
            (await pool.call("echo", Order(), progress=ignore, stall_s=LONG_S, deadline_s=LONG_S)).pid
            for _ in range(3)
        }
        assert pids == set(pool.pids)
        assert len(pids) == 1


async def test_a_cancelled_pool_leaves_no_process() -> None:
    with anyio.CancelScope() as scope:
        async with WorkerPool(2, tasks=TASKS) as pool:
            facts: Facts = await pool.call(
                "echo", Order(), progress=ignore, stall_s=LONG_S, deadline_s=LONG_S
            )
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    with pytest.raises(ProcessLookupError):
        os.kill(facts.pid, 0)
