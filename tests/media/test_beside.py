"""What is made ahead and done behind comes in order, with its faults, and stops when nobody wants it."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from caf.media.beside import Behind, ahead
from caf.media.write import ClipWriter
from tests.clips import texture


class BrokenError(Exception):
    """What a test makes go wrong."""


def numbers(count: int, made: list[int], *, fault: bool = False) -> Iterator[int]:
    try:
        for number in range(count):
            made.append(number)
            yield number
        if fault:
            raise BrokenError
    finally:
        made.append(-1)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 50])
def test_items_made_ahead_come_in_their_order(count: int) -> None:
    assert list(ahead(numbers(count, []))) == list(range(count))


def test_a_fault_comes_after_the_items_before_it() -> None:
    coming = ahead(numbers(4, [], fault=True))
    assert [next(coming) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(BrokenError):
        next(coming)


def test_who_stops_early_leaves_the_source_closed_and_little_made() -> None:
    made: list[int] = []
    coming = ahead(numbers(100, made))
    next(coming)
    coming.close()  # type: ignore[attr-defined]
    assert made[-1] == -1
    assert len(made) < 6


def test_things_are_done_in_their_order_in_another_thread() -> None:
    done: list[tuple[int, bool]] = []
    here = threading.get_ident()
    behind = Behind()
    for number in range(20):
        behind.add(lambda number=number: done.append((number, threading.get_ident() == here)))  # type: ignore[misc]
    behind.finish()
    assert done == [(number, False) for number in range(20)]


def test_after_a_fault_nothing_more_is_done_and_the_fault_is_told() -> None:
    done: list[int] = []

    def fail() -> None:
        raise BrokenError

    behind = Behind()
    behind.add(fail)
    behind.add(lambda: done.append(1))
    with pytest.raises(BrokenError):
        behind.finish()
    assert done == []


def test_a_writer_that_breaks_off_leaves_neither_file_nor_thread_behind(tmp_path: Path) -> None:
    before = set(threading.enumerate())

    def write(frames: int, *, broken: bool) -> None:
        with ClipWriter(tmp_path / f"{frames}.mp4", width=32, height=32, fps=30.0) as writer:
            for index in range(frames):
                writer.write(texture(32, 32, seed=index), index / 30)
            if broken:
                raise BrokenError

    write(12, broken=False)
    with pytest.raises(BrokenError):
        write(7, broken=True)
    assert set(threading.enumerate()) <= before
    assert [path.name for path in tmp_path.iterdir()] == ["12.mp4"]
