"""The file: who may open it and how, and what is said when it cannot be used."""

import contextlib
import errno
import fcntl
import math
import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from eventstore import (
    EventStoreError,
    InvalidArgument,
    RecordedEvent,
    SqliteStore,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreIncompatible,
    StoreNotFound,
    StoreReadOnly,
)
from eventstore._reader import Reader
from tests.eventstore.support import collect, events, mark, new, raw, refused

ROOT = Path(__file__).parents[2]


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


async def opened(path: Path, **options: Any) -> None:
    async with SqliteStore.open(path, **{"busy_s": 0.05, **options}):
        pass


async def test_only_its_owner_may_read_a_new_log(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-a", events(1))
        for name in names(tmp_path):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name
        assert names(tmp_path) == {
            "log.db",
            "log.db-lock",
            "log.db-shm",
            "log.db-wal",
        }


async def test_a_closed_log_is_one_file_and_its_lock(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-a", events(1))
        await collect(store.read_all())
        assert len(await collect(store.subscribe(), 1)) == 1
    assert names(tmp_path) == {"log.db", "log.db-lock"}


async def test_a_store_can_be_awaited_as_well_as_entered(tmp_path: Path) -> None:
    async with await SqliteStore.open(tmp_path / "log.db") as store:
        assert await store.head() == 0


async def test_a_strange_path_is_only_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a?mode=memory&b#c%20 'é\n.db"
    async with SqliteStore.open(path) as store:
        await store.append("job-a", events(1))
    assert path.exists()
    async with SqliteStore.open(path, read_only=True) as store:
        assert await store.head() == 1


async def test_a_reader_sees_what_a_writer_appends_meanwhile_and_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with anyio.fail_after(60):
        async with (
            SqliteStore.open(path) as writer,
            SqliteStore.open(path, read_only=True) as reader,
        ):
            following = reader.subscribe()
            for number in range(1, 6):
                await writer.append("job-a", events(1), checkpoint=mark("qc", number))
                assert (await anext(following)).position == number
                assert await reader.head() == await reader.version("job-a") == number
                assert await reader.checkpoint("qc") == number
            error = await refused(StoreReadOnly, reader.append("job-a", events(1)))
            assert "read_only" in str(error)
            await refused(StoreReadOnly, reader.save_checkpoint(mark("qc", 1)))
            assert (await reader.verify()).events == 5


async def test_reading_creates_no_log(tmp_path: Path) -> None:
    await refused(StoreNotFound, opened(tmp_path / "log.db", read_only=True))
    assert names(tmp_path) == set()
    (tmp_path / "empty.db").touch()
    await refused(StoreNotFound, opened(tmp_path / "empty.db", read_only=True))
    assert (tmp_path / "empty.db").stat().st_size == 0


async def test_an_empty_file_becomes_a_log(tmp_path: Path) -> None:
    (tmp_path / "log.db").touch()
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-a", events(1))
        assert await store.head() == 1


async def test_a_file_that_is_no_log_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_bytes(b"this is no database at all. " * 200)
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE cats (name TEXT)")
    connection.close()
    with sqlite3.connect(tmp_path / "versioned.db") as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    for path in (tmp_path / name for name in names(tmp_path)):
        before = path.read_bytes()
        for read_only in (True, False):
            error = await refused(StoreIncompatible, opened(path, read_only=read_only))
            assert str(path) in str(error)
        assert path.read_bytes() == before


async def test_a_log_of_a_newer_version_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path) as store:
        await store.append("job-a", events(1))
    connection = raw(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    for read_only in (True, False):
        error = await refused(StoreIncompatible, opened(path, read_only=read_only))
        assert "newer" in str(error)


async def test_a_folder_that_is_missing_or_a_path_that_is_a_folder_is_said(tmp_path: Path) -> None:
    assert "No such file" in str(await refused(StoreReadOnly, opened(tmp_path / "no" / "log.db")))
    (tmp_path / "folder").mkdir()
    for read_only in (True, False):
        error = await refused(EventStoreError, opened(tmp_path / "folder", read_only=read_only))
        assert str(tmp_path / "folder") in str(error)


async def test_what_is_no_file_is_no_log_and_gets_none_beside_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read_only in (True, False):
        await refused(StoreIncompatible, opened(tmp_path / "pipe", read_only=read_only))
        await refused(StoreIncompatible, opened(Path("/dev/null"), read_only=read_only))
    assert names(tmp_path) == {"pipe"}
    assert "null-lock" not in names(Path("/dev"))


@pytest.mark.parametrize(
    "options",
    [{"synchronous": "EXTRA"}, {"synchronous": None}, {"busy_s": -1}, {"busy_s": "1"}, {"busy_s": math.nan}],
)
async def test_an_option_that_means_nothing_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    await refused(InvalidArgument, opened(tmp_path / "log.db", **options))
    assert names(tmp_path) == set()


async def test_a_path_that_is_no_unicode_is_only_a_path(tmp_path: Path) -> None:
    path = tmp_path / "\udcff.db"
    async with SqliteStore.open(path) as store:
        await store.append("job-a", events(1))
        await store.backup(tmp_path / "\udcfe.db")
    async with SqliteStore.open(tmp_path / "\udcfe.db", read_only=True) as store:
        assert await store.head() == 1


async def test_a_damaged_file_is_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path) as store:
        await store.append("job-a", [new(b"y" * 1000) for _ in range(300)])
    whole = bytearray(path.read_bytes())
    whole[8192 * 20 :] = bytes(len(whole) - 8192 * 20)
    path.write_bytes(whole)
    async with SqliteStore.open(path, read_only=True) as store:
        await refused(StoreCorrupt, collect(store.read_all()))


async def test_a_foreign_transaction_makes_an_append_wait_and_then_say_so(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path, busy_s=0.05) as store:
        await store.append("job-a", events(1))
        shell = raw(path)
        shell.execute("BEGIN IMMEDIATE")
        error = await refused(StoreBusy, store.append("job-a", events(1)))
        assert "locked" in str(error)
        assert await store.head() == 1
        shell.execute("ROLLBACK")
        shell.close()
        assert (await store.append("job-a", events(1))).last_position == 2


async def test_a_process_that_hangs_while_it_writes_makes_others_say_so(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path, busy_s=0.05) as store:
        with (tmp_path / "log.db-lock").open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            await refused(StoreBusy, store.append("job-a", events(1)))
            await refused(StoreBusy, opened(path))
        assert (await store.append("job-a", events(1))).last_position == 1


async def test_a_full_disk_is_said_and_the_store_goes_on_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path) as store:
        await store.append("job-a", events(5))
        size = path.with_name("log.db-wal").stat().st_size
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10_000, hard))
        try:
            error = await refused(StoreFull, store.append("job-a", [new(b"z" * 100_000)]))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        assert "nothing was recorded" in str(error)
        assert await store.head() == 5
        assert (await store.append("job-a", events(1))).last_position == 6
        assert (await store.verify()).ok


async def test_a_clock_that_fails_fails_the_append_and_not_the_store(tmp_path: Path) -> None:
    broken = True

    def clock() -> int:
        if broken:
            raise OSError(errno.EIO, "no time")
        return 1

    async with SqliteStore.open(tmp_path / "log.db", clock_ms=clock) as store:
        await refused(EventStoreError, store.append("job-a", events(1)))
        broken = False
        await store.append("job-a", events(1))
        assert [e.recorded_at_ms for e in await collect(store.read_all())] == [1]


async def test_a_bad_argument_never_reaches_the_file(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "log.db", read_only=False) as store:
        await refused(InvalidArgument, store.append("", events(1)))


@contextlib.contextmanager
def write_protected(folder: Path) -> Iterator[None]:
    """`folder` as somebody sees it who may only read; root first becomes nobody, since it may all."""
    root = os.geteuid() == 0
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o755)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="eventstore-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


async def test_a_closed_log_in_a_write_protected_folder_can_be_read(open_folder: Path) -> None:
    path = open_folder / "log.db"
    async with SqliteStore.open(path) as store:
        await store.append("job-a", events(3))
    with write_protected(open_folder):
        async with SqliteStore.open(path, read_only=True) as store:
            assert await store.head() == 3
            assert (await store.verify()).ok
            assert len(await collect(store.subscribe(), 3)) == 3
        await refused(StoreReadOnly, opened(path))
        assert names(open_folder) == {"log.db", "log.db-lock"}


async def test_a_log_in_a_write_protected_folder_can_be_followed(
    open_folder: Path,
) -> None:
    path = open_folder / "log.db"
    async with SqliteStore.open(path) as writer:
        await writer.append("job-a", events(3))
        with anyio.fail_after(60), write_protected(open_folder):
            async with SqliteStore.open(path, read_only=True) as reader:
                following = reader.subscribe()
                assert [(await anext(following)).position for _ in range(3)] == [1, 2, 3]
                await writer.append("job-a", events(1))
                assert (await anext(following)).position == 4


async def read_while_protected(path: Path) -> tuple[SqliteStore, AsyncIterator[RecordedEvent]]:
    """A reader that has followed a closed log of two events to its end while the folder was protected."""
    async with SqliteStore.open(path) as writer:
        await writer.append("job-a", events(2))
    with write_protected(path.parent):
        reader = await SqliteStore.open(path, read_only=True)
        following = reader.subscribe()
        assert [(await anext(following)).position for _ in range(2)] == [1, 2]
    return reader, following


async def test_a_reader_of_a_closed_write_protected_log_notices_a_writer(open_folder: Path) -> None:
    path = open_folder / "log.db"
    with anyio.fail_after(60):
        reader, following = await read_while_protected(path)
        path.chmod(0o644)
        async with reader, SqliteStore.open(path) as writer:
            await writer.append("job-a", events(1))
            assert (await anext(following)).position == 3


WRITE = """
import asyncio, sys, uuid
from eventstore import NewEvent, SqliteStore

async def main():
    async with SqliteStore.open(sys.argv[1]) as store:
        await store.append("job-a", [NewEvent(event_id=str(uuid.uuid4()), type="T", data=b"")])

asyncio.run(main())
"""


async def test_a_reader_of_a_closed_write_protected_log_notices_a_writer_that_has_gone(
    open_folder: Path,
) -> None:
    path = open_folder / "log.db"
    with anyio.fail_after(60):
        reader, following = await read_while_protected(path)
        path.chmod(0o644)
        write = [sys.executable, "-c", WRITE, path]
        # The reader looks before it, and once the writer has closed the log.
        subprocess.run(write, check=True, cwd=ROOT)  # noqa: ASYNC221 - the loop shall stand still
        async with reader:
            assert (await anext(following)).position == 3


async def test_a_backup_that_a_writer_came_into_is_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-a", events(3))
        answers = iter([False, True])
        monkeypatch.setattr(Reader, "still_good", lambda reader: next(answers))
        assert (await store.backup(tmp_path / "copy.db")).events == 3
