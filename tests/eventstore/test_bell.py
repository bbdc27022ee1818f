"""Other processes' events arrive by a bell at once, and without one by looking."""

import os
import select
import socket
import stat
from pathlib import Path

import anyio
import pytest

from eventstore import SqliteStore, _watch
from eventstore._bell import Bell, Ringer
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
    monkeypatch.setattr(Ringer, "ring", lambda self: None)
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
