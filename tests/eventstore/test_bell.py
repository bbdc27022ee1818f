"""Other processes' events arrive by a bell at once, and without one by looking."""

import os
import resource
import select
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from eventstore import RecordedEvent, SqliteStore, _bell, _watch
from eventstore._bell import Bell, Ringer
from eventstore._reader import Reader
from tests.eventstore.support import collect, events, new

NEVER_S = 86_400.0
SHORT_PATHS = Path("/proc/self/fd").is_dir()


def names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir()]


async def follow_and_append(path: Path, count: int) -> None:
    """One store follows what another appends."""
    with anyio.fail_after(60):
        async with SqliteStore.open(path) as one, SqliteStore.open(path) as two:
            following = one.subscribe()
            for number in range(1, count + 1):
                await two.append("job-a", [new()])
                assert (await anext(following)).position == number


async def test_a_bell_alone_brings_every_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watch, "_LOOK_WITH_BELL_S", NEVER_S)
    await follow_and_append(tmp_path / "log.db", 50)


async def test_a_bell_works_at_the_end_of_a_long_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not SHORT_PATHS:
        pytest.skip("this system has no short path to a socket in a deep folder")
    monkeypatch.setattr(_watch, "_LOOK_WITH_BELL_S", NEVER_S)
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    await follow_and_append(deep / "log.db", 5)


async def test_without_a_bell_looking_brings_every_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_bell(path: Path) -> Bell:
        raise OSError("no sockets here")

    monkeypatch.setattr(_watch, "Bell", no_bell)
    await follow_and_append(tmp_path / "log.db", 20)


async def test_a_lost_ring_is_made_good_by_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ringer, "ring", lambda self, recorded=None: None)
    await follow_and_append(tmp_path / "log.db", 5)


async def test_bells_are_private_and_go_with_the_last_subscription(tmp_path: Path) -> None:
    folder = tmp_path / "log.db-bells"
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-a", events(1))
        assert not folder.exists()
        one, two = store.subscribe(), store.subscribe()
        assert (await anext(one)).position == (await anext(two)).position == 1
        assert len(names(folder)) == 1
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        await one.aclose()  # type: ignore[attr-defined]
        assert folder.exists()
        await two.aclose()  # type: ignore[attr-defined]
        assert not folder.exists()
        three = store.subscribe()
        await anext(three)
        assert folder.exists()
    assert not folder.exists()


async def test_the_bell_of_a_killed_process_is_taken_down(tmp_path: Path) -> None:
    folder = tmp_path / "log.db-bells"
    folder.mkdir()
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    here = os.open(folder, os.O_RDONLY)
    dead.bind(f"/proc/self/fd/{here}/dead" if SHORT_PATHS else str(folder / "dead"))
    dead.close()
    os.close(here)
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-a", events(1))
        assert names(folder) == []


async def test_rubbish_among_the_bells_disturbs_nobody(tmp_path: Path) -> None:
    (tmp_path / "log.db-bells").mkdir()
    (tmp_path / "log.db-bells" / "notes.txt").write_text("hello")
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-a", events(2))
        assert len(await collect(store.subscribe(), 2)) == 2
    assert (tmp_path / "log.db-bells" / "notes.txt").read_text() == "hello"


@pytest.mark.parametrize("ring", [b"", b"!", b"\xc1", b"\xa1\xff", b"\x91" * 3000])
def test_a_ring_that_is_none_only_says_to_look(tmp_path: Path, ring: bytes) -> None:
    bell = Bell(tmp_path / "log.db")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(ring, str(tmp_path / "log.db-bells" / bell.name))
    assert bell.answer() is None
    bell.close()


async def test_a_bell_that_nobody_answers_fills_up_without_harm(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "log.db")
    async with SqliteStore.open(tmp_path / "log.db", synchronous="OFF") as store:
        for _ in range(600):
            await store.append("job-a", events(1))
        assert await store.head() == 600
    rings = 0
    while select.select([bell.socket], [], [], 0)[0]:
        bell.answer()
        rings += 1
    assert 0 < rings < 600, "it filled up, and each answer takes one ring"
    bell.close()
    assert not (tmp_path / "log.db-bells").exists()


def test_a_process_out_of_descriptors_loses_none_to_its_bells(tmp_path: Path) -> None:
    def taken() -> int:
        return len([*Path("/dev/fd").iterdir()])

    bell, ringer = Bell(tmp_path / "log.db"), Ringer(tmp_path / "log.db")
    before, limits = taken(), resource.getrlimit(resource.RLIMIT_NOFILE)
    one = os.open("/", os.O_RDONLY)
    os.close(one)
    resource.setrlimit(resource.RLIMIT_NOFILE, (one + 1, limits[1]))
    try:
        ringer.ring()
        with pytest.raises(OSError, match="open files"):
            Bell(tmp_path / "log.db")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert taken() == before
    ringer.close()
    bell.close()


async def test_what_a_ring_brings_need_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_watch, "_LOOK_WITH_BELL_S", NEVER_S)
    monkeypatch.setattr(_watch, "_KNOWN_S", 0.0)
    monkeypatch.setattr(_bell, "_LOOK_S", 0.0)
    path = tmp_path / "log.db"
    with anyio.fail_after(60):
        async with SqliteStore.open(path) as one, SqliteStore.open(path) as two:
            following = one.subscribe()
            await two.append("job-a", events(2))
            seen = [await anext(following) for _ in range(2)]
            reads = count_reads(one, monkeypatch)
            for _ in range(37):
                await two.append("job-a", [new()])
                seen.append(await anext(following))
            # Once because a first look had told that there was something.
            assert reads[0] <= 1
            assert seen == await collect(two.read_all())


def count_reads(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often the store reads its file from now on, as the one item of a list."""
    counted, run = [0], store._readers.run

    def counting(work: Callable[[Reader], object]) -> object:
        counted[0] += 1
        return run(work)

    monkeypatch.setattr(store._readers, "run", counting)
    return counted


async def test_a_lost_ring_between_two_that_come_loses_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_watch, "_LOOK_WITH_BELL_S", NEVER_S)
    path, ring = tmp_path / "log.db", Ringer.ring
    lost = {3, 4, 8}
    number = 0

    def sometimes(self: Ringer, recorded: Callable[[], list[RecordedEvent]] | None = None) -> None:
        if number not in lost:
            ring(self, recorded)

    monkeypatch.setattr(Ringer, "ring", sometimes)
    with anyio.fail_after(60):
        async with SqliteStore.open(path) as one, SqliteStore.open(path) as two:
            following, positions = one.subscribe(), list[int]()
            for number in range(1, 10):
                await two.append("job-a", [new()])
                if number not in lost:
                    while not positions or positions[-1] < number:
                        positions.append((await anext(following)).position)
            assert positions == [*range(1, 10)]


async def test_a_ring_that_is_no_ring_makes_nobody_believe_anything(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with anyio.fail_after(60):
        async with SqliteStore.open(path) as one, SqliteStore.open(path) as two:
            following = one.subscribe()
            await two.append("job-a", [new()])
            first = await anext(following)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
                folder = tmp_path / "log.db-bells"
                for told in (b"", b"!", b"\xc1", b"\x90", b"\x91\xc0", b"x" * 40_000):
                    other.sendto(told, str(folder / names(folder)[0]))
            await two.append("job-a", [new()])
            assert [first, await anext(following)] == await collect(two.read_all())


async def test_many_that_ring_at_once_are_heard_in_the_order_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with anyio.fail_after(60):
        async with (
            SqliteStore.open(path) as one,
            SqliteStore.open(path) as two,
            SqliteStore.open(path) as three,
            anyio.create_task_group() as group,
        ):

            async def write(store: SqliteStore, stream: str) -> None:
                for _ in range(60):
                    await store.append(stream, [new()])

            following = one.subscribe()
            for store, stream in ((one, "job-a"), (two, "job-b"), (three, "job-c")):
                group.start_soon(write, store, stream)
            seen = [await anext(following) for _ in range(180)]
            assert seen == await collect(one.read_all())
