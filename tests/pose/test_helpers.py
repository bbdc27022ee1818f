"""The helpers of a pose task: heard, held back, let go on, and gone afterwards."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from caf.errors import CafError
from caf.pose.helpers import Helpers
from caf.pose.landmarks import Found
from caf.pose.protocol import SpanRequest
from caf.worker import WorkerStalledError
from tests.pose.conftest import MakeClip, Picture
from tests.pose.test_shared import is_gone

FRAMES = 6


@pytest.fixture
def request_(person: Picture, model: str, make_clip: MakeClip) -> SpanRequest:
    clip = make_clip("clip.mkv", ((person, index / 25) for index in range(FRAMES)))
    return SpanRequest(video=clip, model=model, start_s=2 / 25, most=1)


@contextmanager
def listening(to: SpanRequest) -> Iterator[tuple[Helpers, list[Found], list[int]]]:
    """One helper, the frames that it has found, and its number once it has ended."""
    found: list[Found] = []
    ended: list[int] = []
    with Helpers(
        [to],
        found=lambda _, frame: found.append(frame),
        ended=lambda number, _: ended.append(number),
        stall_s=120,
    ) as helpers:
        yield helpers, found, ended


def test_a_helper_tells_every_frame_from_its_place_to_the_end(request_: SpanRequest) -> None:
    with listening(request_) as (helpers, found, ended):
        (pid,) = helpers.pids
        while not ended:
            helpers.pump(1.0)
        assert helpers.numbers == []
    assert [round(frame.time_s * 25) for frame in found] == [2, 3, 4, 5]
    assert all(frame.poses.shape == (1, 33, 4) for frame in found)
    assert ended == [1]
    assert helpers.peak_bytes > 2**26
    assert is_gone(pid)


def test_a_helper_that_is_held_back_is_neither_heard_nor_thought_to_hang(request_: SpanRequest) -> None:
    heard: list[int] = []
    with Helpers(
        [request_],
        found=lambda number, _: heard.append(number),
        ended=lambda number, _: heard.append(number),
        stall_s=0,
    ) as helpers:
        (pid,) = helpers.pids
        helpers.hold(1, True)
        helpers.pump(0.1)
        assert heard == []
        helpers.hold(1, False)
        with pytest.raises(WorkerStalledError):
            helpers.pump()
    assert is_gone(pid)


def test_one_that_was_held_back_goes_on_where_it_was(request_: SpanRequest) -> None:
    with listening(request_) as (helpers, found, ended):
        while not found:
            helpers.pump(1.0)
        helpers.hold(1, True)
        before = len(found)
        assert not helpers.pump(0.1)
        assert len(found) == before
        helpers.hold(1, False)
        while not ended:
            helpers.pump(1.0)
    assert len(found) == FRAMES - 2


@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="another process's limits can be set on Linux only"
)
def test_a_helper_that_wants_more_memory_than_it_may_have_is_told_and_gone(request_: SpanRequest) -> None:
    with Helpers([request_], found=lambda *_: None, ended=lambda *_: None, stall_s=120) as helpers:
        (pid,) = helpers.pids
        resource.prlimit(pid, resource.RLIMIT_AS, (150 * 2**20, 150 * 2**20))
        with pytest.raises(CafError) as caught:
            _pump_for_ever(helpers)
    # Where the limit strikes is chance: Python tells it, native code may end the process over it.
    assert caught.value.kind in ("out_of_memory", "worker_crashed")
    assert is_gone(pid)


def test_helpers_are_gone_when_their_task_fails(request_: SpanRequest) -> None:
    pids: list[int] = []

    def fail() -> None:
        with Helpers([request_] * 2, found=lambda *_: None, ended=lambda *_: None, stall_s=120) as helpers:
            pids.extend(helpers.pids)
            raise RuntimeError(str(Path(request_.video)))

    with pytest.raises(RuntimeError):
        fail()
    assert len(pids) == 2
    assert all(is_gone(pid) for pid in pids)


def _pump_for_ever(helpers: Helpers) -> None:
    while True:
        helpers.pump(1.0)
