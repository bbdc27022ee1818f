"""A clip that is measured in pieces, by however many processes, gives the very bits that measuring it whole gives."""

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from caf.errors import MediaError
from caf.media.spans import OtherFramesError, span_frames, timetable
from caf.ports import MeasureRequest
from caf.qc.measure import find
from caf.qc.metrics import METRICS, sharing
from caf.qc.metrics.collected import Collected
from caf.qc.metrics.findings import Finding
from caf.qc.metrics.helpers import Helper, end_helpers
from caf.qc.metrics.lanes import Ahead
from caf.qc.metrics.parts import Part, PartsRequest, collect_part, joined
from caf.qc.metrics.piece import GRID, Piece, step_for
from caf.qc.metrics.samples import Sample, same_pictures
from caf.qc.metrics.sharing import LEAST_PIECE, collect, pieces_of
from caf.worker import Worker
from caf.worker.errors import WorkerCrashedError
from tests.clips import camera_frames, shake_path, texture, write_clip
from tests.pose.test_shared import children_of, is_gone
from tests.qc.metric_clips import Image

EVERY = frozenset(METRICS)
SIZE = (128, 96)
FRAMES = 210
KINDS = ("shaken", "cut", "blank", "still", "fading", "plain")


def nothing(*_: object) -> None:
    pass


def frames_of(kind: str, count: int = FRAMES) -> list[Image]:
    """A moving clip, and what makes collectors lose what they follow."""
    walk = np.stack([np.linspace(-20, 20, count), 6 * np.sin(np.arange(count) / 9), np.zeros(count)], 1)
    path = walk + shake_path(count) if kind == "shaken" else walk
    frames = camera_frames(texture(220, 180), path, SIZE)
    if kind == "cut":
        frames[37:] = camera_frames(texture(220, 180, seed=5), path, SIZE)[37:]
        frames[101:] = frames[:109]
    if kind == "blank":
        frames[59:62] = [np.full_like(frames[0], 90)] * 3
        frames[119] = np.zeros_like(frames[0])
    if kind == "still":
        frames[70:130] = [frames[70]] * 60
    if kind == "fading":
        frames = [np.asarray(one * min(1.0, at / 150), np.uint8) for at, one in enumerate(frames)]
    if kind == "plain":
        frames = [np.full_like(one, at) for at, one in enumerate(frames)]
    return frames


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Write a clip whose key frames are so far apart, or give the one that there is."""
    folder = tmp_path_factory.mktemp("pieces")

    def write(kind: str, key_each: int = 30, suffix: str = "mp4") -> str:
        path = folder / f"{kind}-{key_each}.{suffix}"
        options = {"crf": "20", "preset": "veryfast", "g": str(key_each), "keyint_min": "1"}
        if not path.exists():
            write_clip(path, frames_of(kind), fps=25.0, options=options)
        return str(path)

    return write


def part_of(path: str, piece: Piece) -> Part:
    request = PartsRequest(video=path, table=timetable(path), metrics=tuple(EVERY), against=True, threads=1)
    return collect_part(request, piece, nothing, nothing)


def kept_helpers() -> list[int]:
    return children_of(os.getpid(), b"caf.qc.metrics.part")


@pytest.fixture(autouse=True)
def no_helper_is_kept() -> Iterator[None]:
    yield
    end_helpers()
    assert kept_helpers() == []


def bits(of: Any) -> Any:
    """Anything a collector gives, down to the bytes of its arrays."""
    if isinstance(of, np.ndarray):
        return (of.dtype.str, of.shape, of.tobytes())
    if is_dataclass(of):
        return tuple(bits(getattr(of, field.name)) for field in fields(of))
    if isinstance(of, list | tuple):
        return tuple(bits(one) for one in of)
    return repr(of)


def left_behind(collected: Collected) -> dict[str, str]:
    """A digest of everything that each collector gives."""
    assert collected.tracks is not None
    assert collected.still is not None
    path = collected.tracks.result()
    found = {
        name: bits(getattr(collected, name).result())
        for name in ("samples", "steps", "outliers", "crisp", "exposure")
    }
    found["path"] = bits(path)
    found["still"] = bits(collected.still.aligned(path))
    found["time_s"] = bits(collected.time_s)
    return {name: sha256(repr(value).encode()).hexdigest() for name, value in found.items()}


def told(findings: tuple[Finding, ...]) -> Any:
    return [
        (one.measurement, one.blamed, {name: series.tobytes() for name, series in one.series.items()})
        for one in findings
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_cut_anywhere_leave_behind_what_the_whole_does(clip: Callable[..., str], kind: str) -> None:
    path = clip(kind)
    whole = left_behind(collect(path, EVERY, 1, nothing, against=True))
    for seed in range(3):
        chance = random.Random(f"{kind} {seed}")
        cuts = sorted(chance.sample(range(GRID, FRAMES, GRID), chance.randint(1, 6)))
        ends = [*cuts, FRAMES]
        pieces = [Piece(start, stop, FRAMES) for start, stop in zip([0, *cuts], ends, strict=True)]
        parts = [part_of(path, piece) for piece in pieces]
        assert left_behind(joined(parts, pieces)) == whole, f"cut at {cuts}"


@pytest.mark.parametrize(("workers", "least"), [(2, 48), (3, 36), (5, 24)])
def test_processes_that_share_a_clip_leave_behind_what_one_does(
    clip: Callable[..., str], workers: int, least: int
) -> None:
    path = clip("shaken")
    assert len(pieces_of(timetable(path), workers, least)) > 2
    done: list[int] = []
    shared = collect(path, EVERY, workers, done.append, against=True, least_piece=least)
    assert left_behind(shared) == left_behind(collect(path, EVERY, 1, nothing, against=True))
    assert done == sorted(done)
    assert len(kept_helpers()) == workers - 1


def test_every_score_series_and_span_is_the_same_however_many_share(
    clip: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clip("cut")
    monkeypatch.setitem(collect.__kwdefaults__, "least_piece", 48)
    found = [
        find(MeasureRequest(metrics=tuple(METRICS), video=path, source=path, workers=workers), nothing)
        for workers in (1, 2)
    ]
    assert told(found[0].findings) == told(found[1].findings)
    assert found[0].time_s == found[1].time_s


def test_every_score_is_the_same_where_threads_share_a_clip(cat_clip: str) -> None:
    found = [
        find(
            MeasureRequest(
                metrics=tuple(METRICS),
                video=cat_clip,
                source=cat_clip,
                costume_required=True,
                workers=workers,
            ),
            nothing,
        )
        for workers in (1, 2)
    ]
    assert told(found[0].findings) == told(found[1].findings)
    assert not _threads_left()


def _threads_left() -> list[str]:
    return [one.name for one in threading.enumerate() if "_iterate" in one.name or "ThreadPool" in one.name]


def test_what_is_made_ahead_comes_in_order_and_what_was_raised_comes_in_its_place() -> None:
    def count() -> Iterator[int]:
        yield from range(40)
        raise ValueError("the fortieth")

    given: list[int] = []

    def take() -> None:
        with Ahead(count(), 3) as counted:
            given.extend(counted)

    with pytest.raises(ValueError, match="the fortieth"):
        take()
    assert given == list(range(40))
    assert not _threads_left()


def test_nothing_is_made_ahead_any_more_for_whom_gave_up() -> None:
    made: list[int] = []

    def count() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    with Ahead(count(), 3) as counted:
        assert next(iter(counted)) == 0
    assert len(made) < 10
    assert not _threads_left()


def test_a_clip_is_cut_where_it_can_be_decoded_from(clip: Callable[..., str]) -> None:
    table = timetable(clip("shaken"))
    assert table.frames == FRAMES
    assert table.keys == tuple(range(0, FRAMES, 30))
    pieces = pieces_of(table, 2, 48)
    assert [piece.start for piece in pieces][:2] == [0, 48]
    assert all(piece.start % GRID == 0 for piece in pieces)
    assert [one.stop for one in pieces] == [*(one.start for one in pieces[1:]), FRAMES]


def test_a_clip_with_one_key_frame_is_cut_for_more_than_two(clip: Callable[..., str]) -> None:
    path = clip("shaken", 1000)
    table = timetable(path)
    assert len(pieces_of(table, 2, 48)) == 1
    pieces = pieces_of(table, 3)
    assert len(pieces) == 2
    early, late = ((one.start, one.stop) for one in pieces)
    # Who has the later piece decodes the earlier one as well.
    assert early[1] - early[0] > late[1] - late[0]
    assert early[1] == late[0]
    assert early[1] % GRID == 0
    assert left_behind(collect(path, EVERY, 3, nothing, against=True)) == left_behind(
        collect(path, EVERY, 1, nothing)
    )


@pytest.mark.parametrize("suffix", ["avi", "ts"])
def test_a_clip_without_a_place_to_begin_at_is_not_cut(clip: Callable[..., str], suffix: str) -> None:
    path = clip("shaken", 30, suffix)
    assert len(pieces_of(timetable(path), 4, 24)) <= 1
    threads = collect(path, EVERY, 4, nothing, against=True, least_piece=24)
    assert left_behind(threads) == left_behind(collect(path, EVERY, 1, nothing, against=True))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_frames_from_the_middle_are_those_of_the_whole(clip: Callable[..., str], suffix: str) -> None:
    path = clip("shaken", 30, suffix)
    table = timetable(path)

    def seen(start: int, stop: int) -> list[tuple[float, bytes]]:
        return [
            (one.time_s, one.frame.to_ndarray().tobytes()) for one in span_frames(path, table, start, stop)
        ]

    whole = seen(0, FRAMES)
    for start, stop in ((1, 4), (29, 31), (60, 100), (199, FRAMES)):
        assert seen(start, stop) == whole[start:stop]


def test_other_frames_than_the_file_promised_are_not_taken(clip: Callable[..., str]) -> None:
    table = timetable(clip("shaken"))
    late = table._replace(times=tuple(time + 1 for time in table.times))
    with pytest.raises(OtherFramesError):
        list(span_frames(clip("shaken"), late, 60, 70))


def test_neighbours_that_saw_other_pictures_are_not_joined(clip: Callable[..., str]) -> None:
    pieces = [Piece(0, 96, FRAMES), Piece(96, FRAMES, FRAMES)]
    parts = [
        part_of(path, piece) for path, piece in zip((clip("shaken"), clip("fading")), pieces, strict=True)
    ]
    with pytest.raises(OtherFramesError):
        joined(parts, pieces)


def test_where_pieces_cannot_be_believed_the_whole_is_measured(
    clip: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def doubtful(*_: object) -> Collected:
        raise OtherFramesError

    monkeypatch.setattr(sharing, "joined", doubtful)
    path = clip("shaken")
    shared = collect(path, EVERY, 2, nothing, against=True, least_piece=48)
    assert left_behind(shared) == left_behind(collect(path, EVERY, 1, nothing, against=True))


def test_damage_is_told_as_of_the_whole_clip(clip: Callable[..., str], tmp_path: Path) -> None:
    content = bytearray(Path(clip("shaken", 30, "mkv")).read_bytes())
    content[len(content) // 2 : len(content) // 2 + 400] = bytes(400)
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(content)
    outcomes = []
    for workers in (1, 2):
        try:
            outcomes.append(str(left_behind(collect(str(broken), EVERY, workers, nothing, least_piece=48))))
        except MediaError as fault:
            outcomes.append(fault.message)
    assert outcomes[0] == outcomes[1]


def test_a_helper_that_is_killed_is_told_with_its_signal(clip: Callable[..., str]) -> None:
    killed: list[int] = []

    def kill(_: int) -> None:
        if not killed:
            killed.extend(kept_helpers())
            os.kill(killed[0], signal.SIGKILL)

    with pytest.raises(WorkerCrashedError, match="SIGKILL"):
        collect(clip("shaken"), EVERY, 2, kill, least_piece=48)
    assert all(is_gone(pid) for pid in killed)


def test_helpers_are_kept_for_the_next_clip_and_one_that_ended_meanwhile_is_replaced(
    clip: Callable[..., str],
) -> None:
    whole = left_behind(collect(clip("cut"), EVERY, 1, nothing))
    collect(clip("shaken"), EVERY, 2, nothing, least_piece=48)
    kept = kept_helpers()
    assert left_behind(collect(clip("cut"), EVERY, 2, nothing, least_piece=48)) == whole
    assert kept_helpers() == kept
    os.kill(kept[0], signal.SIGKILL)
    assert left_behind(collect(clip("cut"), EVERY, 2, nothing, least_piece=48)) == whole
    assert kept[0] not in kept_helpers()


def test_a_helper_that_ends_just_as_it_is_asked_is_replaced(
    clip: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(helper: Helper, request: bytes) -> None:
        if not killed:
            killed.extend(kept_helpers())
            helper.kill()
            helper.wait()
        begin(helper, request)

    collect(clip("shaken"), EVERY, 2, nothing, least_piece=48)
    begin, killed = Helper.begin, list[int]()
    monkeypatch.setattr(Helper, "begin", kill)
    shared = collect(clip("cut"), EVERY, 2, nothing, least_piece=48)
    assert len(killed) == 1
    assert left_behind(shared) == left_behind(collect(clip("cut"), EVERY, 1, nothing))


def test_samples_are_passed_on_in_order_while_the_clip_is_shared(clip: Callable[..., str]) -> None:
    early: list[Sample] = []
    shared = collect(clip("shaken"), EVERY, 3, nothing, early=early.append, least_piece=36)
    assert shared.samples is not None
    assert same_pictures(early, shared.samples.result())
    assert not same_pictures(early[1:], shared.samples.result())


async def test_a_child_that_is_killed_takes_its_helpers_along(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    frames = frames_of("shaken", 2 * LEAST_PIECE + 60)
    write_clip(path, frames, fps=25.0, options={"crf": "20", "preset": "veryfast", "g": "30"})
    killed: list[int] = []
    async with Worker() as worker:

        def progress(done: int, total: int | None) -> None:
            if not killed and worker.pid is not None:
                killed.extend(children_of(worker.pid, b"caf.qc.metrics.part"))
                os.kill(worker.pid, signal.SIGKILL)

        request = MeasureRequest(metrics=("cadence",), video=str(path), source=str(path), workers=2)
        with pytest.raises(WorkerCrashedError, match="SIGKILL"):
            await worker.call("measure", request, progress=progress, stall_s=60, deadline_s=240)
    assert len(killed) == 1
    with anyio.fail_after(60):
        while not all(is_gone(pid) for pid in killed):  # noqa: ASYNC110  the kernel rings no bell here
            await anyio.sleep(0.01)


def test_no_helper_is_left_when_the_caller_gives_up(clip: Callable[..., str]) -> None:
    left: list[int] = []

    def stop(_: int) -> None:
        left.extend(kept_helpers())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(clip("shaken"), EVERY, 3, stop, least_piece=36)
    assert len(left) == 2
    assert all(is_gone(pid) for pid in left)


def test_the_kept_frames_are_as_many_as_a_doubling_leaves() -> None:
    assert [step_for(frames, 2, 32) for frames in (0, 64, 65, 1800)] == [2, 2, 4, 64]
