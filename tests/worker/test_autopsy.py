"""What is said of a dead child."""

import signal

import pytest

from caf.worker.autopsy import cause_of_death, last_words
from caf.worker.errors import OutOfMemoryError, WorkerCrashedError, WorkerError

GIB = 2**30


def death(returncode: int, words: str = "", *, peak: int = 0, oom: bool = False) -> WorkerError:
    return cause_of_death(
        "pose", returncode, words, limit_bytes=GIB, peak_bytes=peak, system_killed_for_memory=oom
    )


def test_a_signal_is_named() -> None:
    error = death(-signal.SIGSEGV)
    assert isinstance(error, WorkerCrashedError)
    assert error.message == "The child process for the task 'pose' ended with SIGSEGV instead of an answer."


def test_a_signal_without_a_name_is_numbered() -> None:
    error = death(-250)
    assert isinstance(error, WorkerCrashedError)
    assert error.cause == "signal 250"


@pytest.mark.parametrize("words", ["what():  std::bad_alloc", "MemoryError", "mmap: Cannot allocate memory"])
def test_an_abort_for_want_of_memory_is_out_of_memory(words: str) -> None:
    assert isinstance(death(-signal.SIGABRT, words), OutOfMemoryError)


def test_a_kill_near_the_limit_is_out_of_memory() -> None:
    assert isinstance(death(-signal.SIGKILL, peak=GIB - 1), OutOfMemoryError)
    assert isinstance(death(-signal.SIGKILL, peak=GIB // 2), WorkerCrashedError)


def test_a_kill_by_a_system_without_memory_may_pass() -> None:
    error = death(-signal.SIGKILL, oom=True)
    assert isinstance(error, OutOfMemoryError)
    assert error.transient
    assert "this machine" in error.message


def test_the_last_words_are_those_before_the_interpreters_own_report() -> None:
    printed = b"I0000 start\nF0000 graph \xff broken\n\nFatal Python error: Aborted\n\nThread 0x1\n  File x\n"
    assert last_words(printed) == "F0000 graph � broken"


def test_without_other_words_the_interpreters_are_taken() -> None:
    assert last_words(b"Fatal Python error: Segmentation fault\n\nThread\n") == (
        "Fatal Python error: Segmentation fault"
    )
    assert last_words(b"\n \n") == ""
