"""A clip that several processes share: the same landmarks, and no process left, whoever dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio
import av
import cv2
import msgspec
import numpy as np
import pytest

from caf.errors import MediaError, UnavailableError
from caf.ports import PARTIAL_LANDMARKS, PoseRequest, Progress
from caf.pose.detect import decoders_for, detect, starts_of
from caf.pose.landmarks import Landmarks, load_landmarks
from caf.worker import Worker, WorkerCrashedError
from tests.pose.conftest import MakeClip, Picture
from tests.support.jobs import MEDIA

FRAMES: Final = 190
AWAY: Final = range(112, 116)
"""Nobody is to be seen in these, some frames after the second process has begun."""

PATIENCE_S: Final = 60


def ignore(done: int, total: int | None) -> None:
    pass


@pytest.fixture
def clip(person: Picture, make_clip: MakeClip) -> str:
    """A person who sways, and is away for a moment."""

    def frame(index: int) -> Picture:
        shift = np.array([[1, 0, 30 * np.sin(index / 9)], [0, 1, 10 * np.sin(index / 14)]], np.float32)
        moved = cv2.warpAffine(person, shift, (256, 256), borderMode=cv2.BORDER_REPLICATE)
        return np.full_like(person, 127) if index in AWAY else np.asarray(moved, np.uint8)

    return make_clip("swaying.mkv", ((frame(index), index / 25) for index in range(FRAMES)))


def request_for(clip: str, model: str, out: Path, workers: int, stall_s: float = 60.0) -> PoseRequest:
    out.mkdir(exist_ok=True)
    return PoseRequest(video=clip, model=model, out_dir=str(out), workers=workers, stall_s=stall_s)


def children_of(pid: int, command: bytes = b"") -> list[int]:
    """A process's children whose command line has that in it."""
    found = []
    for place in Path("/proc").iterdir():
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and command in (place / "cmdline").read_bytes():
                found.append(int(place.name))
        except (OSError, ValueError, IndexError):
            continue
    return found


def helpers_of(pid: int) -> list[int]:
    return children_of(pid, b"caf.pose.span")


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def at_first(act: Callable[[int], None]) -> Progress:
    """Does it to the one helper when the first frame is done."""
    done: list[int] = []

    def progress(_: int, total: int | None) -> None:
        if not done:
            done.extend(helpers_of(os.getpid()))
            assert len(done) == 1
            act(done[0])

    return progress


def test_two_processes_find_what_one_finds(clip: str, model: str, tmp_path: Path) -> None:
    results = [detect(request_for(clip, model, tmp_path / str(n), n), ignore) for n in (1, 2)]
    one, two = (load_landmarks(Path(result.landmarks)) for result in results)
    np.testing.assert_array_equal(one.detected, two.detected)
    np.testing.assert_allclose(one.points[..., :2], two.points[..., :2], atol=1e-3 * 256)
    np.testing.assert_allclose(one.points[..., 3], two.points[..., 3], atol=1e-3)
    assert isinstance(two, Landmarks)
    assert [result.workers for result in results] == [1, 2]
    assert results[0].frames_computed == FRAMES
    assert FRAMES < results[1].frames_computed < FRAMES + FRAMES // 4, "little was done twice"
    assert results[1].worker_peak_bytes > 2**26
    assert two.detected.sum() > 0.8 * FRAMES
    assert not (tmp_path / "2" / PARTIAL_LANDMARKS).exists()
    assert helpers_of(os.getpid()) == []


def test_a_helper_that_is_killed_is_told_with_its_signal(clip: str, model: str, tmp_path: Path) -> None:
    with pytest.raises(WorkerCrashedError, match="SIGKILL") as caught:
        detect(
            request_for(clip, model, tmp_path / "out", 2), at_first(lambda pid: os.kill(pid, signal.SIGKILL))
        )
    assert caught.value.transient
    assert helpers_of(os.getpid()) == []


def test_a_helper_that_hangs_is_told_and_ended(clip: str, model: str, tmp_path: Path) -> None:
    stopped: list[int] = []

    def stop(pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        stopped.append(pid)

    with pytest.raises(UnavailableError, match="made no progress for 1 s") as caught:
        detect(request_for(clip, model, tmp_path / "out", 2, stall_s=1), at_first(stop))
    assert caught.value.kind == "worker_stalled"
    assert all(is_gone(pid) for pid in stopped)


def test_a_model_that_is_none_is_told_once_however_many_need_it(clip: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be loaded") as caught:
        detect(request_for(clip, str(tmp_path / "gone.task"), tmp_path / "out", 2), ignore)
    assert caught.value.kind == "model_unavailable"
    assert helpers_of(os.getpid()) == []


@pytest.mark.parametrize(
    "first", [20, 96, 150], ids=["in the first part", "at the seam", "in the second part"]
)
def test_damage_is_told_wherever_it_is(clip: str, model: str, tmp_path: Path, first: int) -> None:
    data = bytearray(Path(clip).read_bytes())
    with av.open(clip) as container:
        spots = [
            (packet.pos, packet.size) for packet in container.demux(video=0) if packet.size and packet.pos
        ]
    for pos, size in spots[first : first + 6]:
        start = data.index(bytes(data[pos + size // 2 : pos + size]), pos)
        data[start : pos + size] = b"\xff" * (pos + size - start)
    hurt = tmp_path / "hurt.mkv"
    hurt.write_bytes(data)
    told = []
    for workers in (1, 2):
        with pytest.raises(MediaError) as caught:
            detect(request_for(str(hurt), model, tmp_path / str(workers), workers), ignore)
        told.append(caught.value.kind)
    assert told == ["media_damaged"] * 2


def test_a_file_in_which_seeking_fails_is_followed_from_its_start(
    clip: str, model: str, tmp_path: Path
) -> None:
    stream = tmp_path / "one-group.ts"
    with av.open(clip) as source, av.open(str(stream), "w") as target:
        copy = target.add_stream("libx264", rate=25, options={"g": "500", "preset": "ultrafast"})
        copy.width, copy.height, copy.pix_fmt = 256, 256, "yuv420p"
        for frame in source.decode(video=0):
            target.mux(copy.encode(frame))
        target.mux(copy.encode(None))
    result = detect(request_for(str(stream), model, tmp_path / "out", 2), ignore)
    assert result.frames == FRAMES
    assert result.workers == 2


@pytest.mark.parametrize(
    ("frames", "workers", "count"), [(179, 2, 1), (180, 2, 2), (900, 4, 4), (400, 16, 4), (0, 4, 1)]
)
def test_a_clip_is_shared_by_as_many_as_it_is_long_enough_for(frames: int, workers: int, count: int) -> None:
    starts_s = starts_of(msgspec.structs.replace(MEDIA, frames=frames, fps=25.0), workers)
    assert len(starts_s) == count
    assert starts_s == [pytest.approx(number * frames / count / 25) for number in range(count)]


def test_a_picture_is_not_shared() -> None:
    assert starts_of(msgspec.structs.replace(MEDIA, frames=900, fps=0.0), 4) == [0.0]


def test_the_decoders_of_all_processes_do_not_outnumber_the_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("caf.pose.workers.processors", lambda: 16)
    assert [decoders_for(workers) for workers in (1, 2, 4, 8, 16, 32)] == [4, 4, 4, 2, 1, 1]


async def test_a_child_that_is_killed_takes_its_helpers_along_and_leaves_what_it_had(
    clip: str, model: str, tmp_path: Path
) -> None:
    killed: list[int] = []
    out = tmp_path / "out"
    async with Worker() as worker:

        def progress(done: int, total: int | None) -> None:
            if not killed and (out / PARTIAL_LANDMARKS).exists():
                assert worker.pid is not None
                killed.extend(helpers_of(worker.pid))
                os.kill(worker.pid, signal.SIGKILL)

        request = request_for(clip, model, out, 2)
        with pytest.raises(WorkerCrashedError, match="SIGKILL"):
            await worker.call(
                "pose", request, progress=progress, stall_s=PATIENCE_S, deadline_s=240, log=tmp_path / "log"
            )
    with anyio.fail_after(PATIENCE_S):
        while not all(is_gone(pid) for pid in killed):  # noqa: ASYNC110  the kernel rings no bell here
            await anyio.sleep(0.01)
    partial = load_landmarks(out / PARTIAL_LANDMARKS)
    assert not partial.complete
    assert 0 < len(partial.detected) < FRAMES
    assert not (out / "landmarks.npz").exists()


def test_a_caller_that_is_killed_leaves_neither_child_nor_helper(
    clip: str, model: str, tmp_path: Path
) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "caf.cli", "pose", clip, "--workers", "2", "--out", str(tmp_path / "found")],
        env={**os.environ, "CAF_WORKSPACE": str(tmp_path / "workspace"), "CAF_MODEL_PATH": model},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    kin: list[int] = []
    until = time.monotonic() + PATIENCE_S
    while not kin:
        assert running.poll() is None
        assert time.monotonic() < until
        kin = [pid for child in children_of(running.pid) for pid in (*helpers_of(child), child)][:2]
        kin = kin if len(kin) == 2 else []
    running.kill()
    running.wait()
    while not all(is_gone(pid) for pid in kin):
        assert time.monotonic() < until


async def test_the_noise_of_helpers_goes_to_the_log(
    clip: str, model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    async with Worker() as worker:
        result = await worker.call(
            "pose",
            request_for(clip, model, tmp_path / "out", 2),
            progress=ignore,
            stall_s=PATIENCE_S,
            deadline_s=240,
            log=log,
        )
    assert result.workers == 2
    assert log.read_text(encoding="utf-8").count("Created TensorFlow Lite XNNPACK delegate") == 2
    assert capfd.readouterr() == ("", "")
