"""A worker's calls: what comes back, from a child that answers and from one that does not."""

import errno
import os
import signal
import sys
from pathlib import Path

import anyio
import pytest

from caf.errors import CafError, InputError, MediaError, TryAgainError
from caf.worker.conversation import _decoded
from caf.worker.errors import (
    DeadlineExceededError,
    OutOfMemoryError,
    WorkerCrashedError,
    WorkerStalledError,
)
from caf.worker.host import Worker
from caf.worker.protocol import LINE_LIMIT_BYTES
from tests.worker.conftest import TASKS, Witness
from tests.worker.tasks_for_tests import Facts, Order

LONG_S = 60.0


def ignore(done: int, total: int | None) -> None:
    pass


async def call(worker: Worker, task: str, order: Order | None = None, log: Path | None = None) -> Facts:
    facts: Facts = await worker.call(
        task, order or Order(), progress=ignore, stall_s=LONG_S, deadline_s=LONG_S, log=log
    )
    return facts


async def test_a_task_runs_in_another_process_and_its_result_comes_back_typed(worker: Worker) -> None:
    facts = await call(worker, "echo", Order(text="Käse 猫", number=3))
    assert facts == Facts(pid=facts.pid, text="Käse 猫", number=3)
    assert facts.pid == worker.pid != os.getpid()
    assert worker.peak_bytes > 2**20


async def test_a_warm_child_is_asked_again(worker: Worker) -> None:
    assert (await call(worker, "echo")).pid == (await call(worker, "echo")).pid


async def test_progress_arrives_and_the_last_of_it_always(worker: Worker) -> None:
    seen: list[tuple[int, int | None]] = []
    await worker.call(
        "echo",
        Order(number=1000),
        progress=lambda done, total: seen.append((done, total)),
        stall_s=LONG_S,
        deadline_s=LONG_S,
    )
    assert seen[0] == (0, 1000)
    assert seen[-1] == (1000, 1000)
    assert seen == sorted(seen)
    assert len(seen) < 500


async def test_calls_made_at_the_same_time_wait_for_each_other(worker: Worker) -> None:
    pids: set[int] = set()
    running = 0

    async def one(number: int) -> None:
        def watch(done: int, total: int | None) -> None:
            nonlocal running
            running = number if done == 0 else running
            assert running == number

        facts = await worker.call(
            "echo", Order(number=number), progress=watch, stall_s=LONG_S, deadline_s=LONG_S
        )
        assert facts.number == number
        pids.add(facts.pid)

    async with anyio.create_task_group() as tasks:
        for number in (20, 30, 40):
            tasks.start_soon(one, number)
    assert len(pids) == 1


async def test_an_error_of_the_task_arrives_as_its_own_class_with_every_word(worker: Worker) -> None:
    with pytest.raises(MediaError) as caught:
        await call(worker, "refuse", Order(text="Die Datei „Kätzchen 猫.mp4“ ist kaputt."))
    error = caught.value
    assert error.message == "Die Datei „Kätzchen 猫.mp4“ ist kaputt."
    assert error.remedy == "Nimm ein anderes Video."
    assert (error.kind, error.transient, error.exit_code) == ("codec_unknown", True, 65)


async def test_a_child_that_reported_an_error_serves_on(worker: Worker) -> None:
    before = await call(worker, "echo")
    with pytest.raises(MediaError):
        await call(worker, "refuse")
    assert (await call(worker, "echo")).pid == before.pid


async def test_a_defect_in_the_task_is_named_and_its_traceback_is_in_the_log(
    worker: Worker, tmp_path: Path
) -> None:
    with pytest.raises(CafError, match="ValueError: naïve") as caught:
        await call(worker, "fail", Order(text="naïve"), tmp_path / "log")
    assert caught.value.kind == "task_failed"
    assert "in fail" in (tmp_path / "log").read_text(encoding="utf-8")


async def test_a_full_disk_in_the_child_asks_to_try_again(worker: Worker) -> None:
    with pytest.raises(TryAgainError, match=r"disk is full.*final\.mp4"):
        await call(worker, "fill_the_disk")


async def test_a_result_of_another_type_than_promised_is_a_named_defect(worker: Worker) -> None:
    with pytest.raises(CafError, match="something else than it promises") as caught:
        await call(worker, "break_the_promise")
    assert caught.value.kind == "task_failed"


async def test_an_answer_that_is_too_long_is_told_as_such_and_the_child_serves_on(worker: Worker) -> None:
    with pytest.raises(CafError, match=r"answered with 6\d MiB; at most 6\d") as caught:
        await call(worker, "tell_at_length", Order(number=LINE_LIMIT_BYTES))
    assert (caught.value.kind, caught.value.transient) == ("task_failed", False)
    with pytest.raises(CafError, match="ValueError: too long") as caught:
        await call(worker, "tell_at_length", Order(text="too long ", number=LINE_LIMIT_BYTES // 8))
    assert len(caught.value.message) < 20_000
    assert worker.starts == 1
    facts = await call(worker, "tell_at_length", Order(number=LINE_LIMIT_BYTES - 10_000))
    assert len(facts.text) == LINE_LIMIT_BYTES - 10_000


async def test_a_stopped_child_that_does_not_even_take_a_request_is_stalled(worker: Worker) -> None:
    os.kill((await call(worker, "echo")).pid, signal.SIGSTOP)
    request = Order(text="x" * 4 * 2**20)
    with pytest.raises(WorkerStalledError):
        await worker.call("echo", request, progress=ignore, stall_s=0.2, deadline_s=LONG_S)


async def test_a_library_that_is_missing_in_the_child_is_named(worker: Worker) -> None:
    with pytest.raises(CafError, match="no_such_library"):
        await call(worker, "missing")


async def test_a_name_that_is_not_valid_text_is_refused_before_the_child_is_asked(worker: Worker) -> None:
    with pytest.raises(InputError, match="not valid text"):
        await call(worker, "echo", Order(text="clip\udcff.mp4"))
    assert worker.pid is None


async def test_noise_on_stdout_goes_to_the_log_and_never_into_the_answer(
    worker: Worker, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    facts = await call(worker, "make_noise", log=log)
    assert facts.number == 0, "the task could read the protocol from stdin"
    printed = log.read_bytes()
    for line in (b'{"result": "a lie"}', b"\xff\xfe not JSON", b"from C", b"from stderr"):
        assert line in printed
    assert capfd.readouterr() == ("", "")


async def test_each_call_has_its_own_log(worker: Worker, tmp_path: Path) -> None:
    for name in ("first", "second"):
        await call(worker, "make_noise", log=tmp_path / name)
    await call(worker, "make_noise")
    assert [(tmp_path / n).read_bytes().count(b"from stderr") for n in ("first", "second")] == [1, 1]


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
async def test_a_child_that_dies_by_a_signal_is_reported_with_its_name_and_replaced(
    worker: Worker, number: signal.Signals
) -> None:
    first = await call(worker, "echo")
    with pytest.raises(WorkerCrashedError) as caught:
        await call(worker, "die", Order(number=number, text="earlier\nRET_CHECK failure (größer)\n"))
    assert caught.value.cause == number.name
    assert caught.value.last_words == "RET_CHECK failure (größer)"
    assert (caught.value.kind, caught.value.transient) == ("worker_crashed", True)
    assert (await call(worker, "echo")).pid != first.pid


async def test_the_last_words_are_found_in_the_log_of_the_call(worker: Worker, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("words of another call\n", encoding="utf-8")
    with pytest.raises(WorkerCrashedError, match='"F0000 graph is broken"'):
        await call(worker, "die", Order(number=signal.SIGABRT, text="F0000 graph is broken\n"), log)
    with pytest.raises(WorkerCrashedError) as caught:
        await call(worker, "leave", Order(number=3), log)
    assert (caught.value.cause, caught.value.last_words) == ("exit 3", "")


@pytest.mark.parametrize("line", [b"", b"{", b'{"phase":"\xff"}', b'{"progress":1}'])
def test_a_line_that_cannot_be_read_is_a_crash_of_the_child(line: bytes) -> None:
    with pytest.raises(WorkerCrashedError) as caught:
        _decoded("measure", line)
    assert caught.value.cause == "an unreadable line"


async def test_a_child_that_cannot_even_start_is_reported_with_its_last_words(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\necho 'libpython3.so: not found' >&2\nexit 127\n", encoding="ascii")
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    with pytest.raises(WorkerCrashedError, match=r"libpython3\.so: not found") as caught:
        await call(worker, "echo")
    assert caught.value.cause == "exit 127"


async def test_an_interpreter_that_is_gone_is_a_sentence(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))
    with pytest.raises(TryAgainError, match="could not be started: No such file") as caught:
        await call(worker, "echo")
    assert caught.value.kind == "worker_not_started"


async def test_an_error_about_a_name_that_is_not_valid_text_still_arrives(worker: Worker) -> None:
    with pytest.raises(CafError, match=r"clip\\udcff\.mp4"):
        await call(worker, "fail", Order(number=1))


async def test_a_warm_child_that_died_while_idle_is_replaced_unseen(worker: Worker) -> None:
    first = await call(worker, "echo")
    os.kill(first.pid, signal.SIGKILL)
    assert (await call(worker, "echo", Order(text="again"))).text == "again"
    assert worker.pid != first.pid


async def test_a_stopped_child_is_a_stalled_child_and_is_gone_and_replaced(
    worker: Worker, witness: Witness
) -> None:
    def stop(done: int, total: int | None) -> None:
        os.kill(witness.read_pid(), signal.SIGSTOP)

    await call(worker, "echo")
    with pytest.raises(WorkerStalledError, match="no progress for 1 s"):
        await worker.call(
            "wait_for_ever", Order(witness=witness.path), progress=stop, stall_s=1.0, deadline_s=LONG_S
        )
    assert witness.sees_the_end()
    assert (await call(worker, "echo", Order(number=7))).number == 7


async def test_progress_without_an_end_runs_into_the_deadline(worker: Worker) -> None:
    await call(worker, "echo")
    with pytest.raises(DeadlineExceededError, match=r"within 0\.3 s") as caught:
        await worker.call("work_for_ever", Order(), progress=ignore, stall_s=LONG_S, deadline_s=0.3)
    assert caught.value.kind == "deadline_exceeded"


async def test_more_memory_than_allowed_is_a_typed_failure_and_the_child_is_replaced() -> None:
    limit = 400 * 2**20
    async with Worker(tasks=TASKS, memory_bytes=limit) as worker:
        limits = await call(worker, "tell_limits")
        assert limits.number == limit
        with pytest.raises(OutOfMemoryError, match="limit of 400 MiB") as caught:
            await call(worker, "eat_memory")
        assert (caught.value.kind, caught.value.transient) == ("out_of_memory", False)
        assert (await call(worker, "echo")).pid != limits.pid


@pytest.mark.parametrize("number", [0, errno.EAGAIN, errno.ENOMEM])
async def test_no_room_for_another_thread_is_out_of_memory(number: int) -> None:
    async with Worker(tasks=TASKS, memory_bytes=400 * 2**20) as worker:
        with pytest.raises(OutOfMemoryError, match="limit of 400 MiB"):
            await call(worker, "lack_threads", Order(number=number))


async def test_a_fat_child_that_is_killed_is_out_of_memory() -> None:
    async with Worker(tasks=TASKS, memory_bytes=200 * 2**20) as worker:
        with pytest.raises(OutOfMemoryError):
            await call(worker, "be_killed_when_fat", Order(number=150 * 2**20))


async def test_the_child_writes_no_core_and_leaves_ctrl_c_to_its_caller(worker: Worker) -> None:
    assert (await call(worker, "tell_limits")).text == "core 0, ignored=True, own_session=True"


async def test_an_error_in_the_progress_callback_ends_the_child(worker: Worker, witness: Witness) -> None:
    def refuse(done: int, total: int | None) -> None:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await worker.call(
            "wait_for_ever", Order(witness=witness.path), progress=refuse, stall_s=LONG_S, deadline_s=LONG_S
        )
    witness.read_pid()
    assert witness.sees_the_end()
