"""Finished streams go to a second file: it replays by itself, and with it beside the log nothing has changed."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from eventstore import (
    InvalidArgument,
    RecordedEvent,
    SqliteStore,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreReadOnly,
    Unreadable,
    export_lines,
    import_log,
)
from eventstore._archive import archive
from eventstore._lock import FileLock
from tests.crash.disk import memory_disk
from tests.eventstore.support import collect, events, leave_room, lose_page, new, raw, refused

FINISHED = [f"job-{n}" for n in range(8)]


async def fill(store: SqliteStore) -> None:
    """Twelve streams that take turns; their events name causes near, far and foreign."""
    last = new().event_id
    for turn in range(60):
        made = [
            new(b"%d " % turn * 300, correlation_id="t", causation_id=last, metadata=b"{}") for _ in range(2)
        ]
        last = made[-1].event_id
        await store.append(f"job-{turn % 12}", made)


async def archived(path: Path) -> list[RecordedEvent]:
    """A log with an archive; what it held before."""
    async with SqliteStore.open(path, synchronous="OFF") as store:
        await fill(store)
        before = await collect(store.read_all())
        report = await store.archive(FINISHED, "old.db")
        assert report.path == str(path.with_name("old.db"))
        assert (report.streams, report.events) == (8, 80)
        assert report.bytes_after < report.bytes_before
    return before


def number(kind: str, version: int) -> "type[bytes]":
    return bytes


async def test_with_its_archive_a_log_reads_as_before(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    before = await archived(path)
    async with SqliteStore.open(path) as store:
        assert await collect(store.read_all()) == before
        assert await collect(store.read_all(backward=True)) == before[::-1]
        assert await collect(store.read("job-3")) == [event for event in before if event.stream == "job-3"]
        assert await collect(store.read_all(correlation_id="t")) == before
        for verify in (False, True):
            found = [item async for batch in store.replay(number, verify=verify) for item in batch]
            assert found == [(event.data, event.position) for event in before]
        report = await store.verify()
        assert report.ok
        assert report.events == 120
        assert await store.check_file() == ()


async def test_the_archive_is_a_log_that_replays_and_verifies_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    before = [event for event in await archived(path) if event.stream in FINISHED]
    moved = tmp_path / "elsewhere.db"
    (tmp_path / "old.db").rename(moved)
    async with SqliteStore.open(moved, read_only=True) as store:
        log = await collect(store.read_all())
        assert (await store.verify()).ok
    assert [event.position for event in log] == list(range(1, 81))
    for one, other in zip(log, before, strict=True):
        for name in ("event_id", "stream", "version", "type", "data", "metadata", "recorded_at_ms"):
            assert getattr(one, name) == getattr(other, name)
        assert (one.correlation_id, one.causation_id) == (other.correlation_id, other.causation_id)


async def test_without_its_archive_a_log_says_what_is_missing_and_reads_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    before = await archived(path)
    (tmp_path / "old.db").rename(tmp_path / "away.db")
    async with SqliteStore.open(path) as store:
        found = [
            item async for batch in store.replay(number, columns=("position", "stream")) for item in batch
        ]
        for (event, position, stream), due in zip(found, before, strict=True):
            assert (position, stream) == (due.position, due.stream)
            if stream in FINISHED:
                assert isinstance(event, Unreadable)
                assert "old.db" in event.why
            else:
                assert event == due.data
        assert "old.db" in str(await refused(StoreCorrupt, collect(store.read("job-3"))))
        assert await collect(store.read("job-11")) == [event for event in before if event.stream == "job-11"]
        report = await store.verify()
        assert report.fault is not None
        assert "old.db" in report.fault.what


async def test_appending_goes_on_also_to_streams_that_were_archived(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path) as store:
        await fill(store)
        given = new(b"again")
        await store.append("job-0", [given])
        await store.archive(["job-0", "job-1"], "old.db")
        assert (await store.append("job-0", [given])).repeated
        assert (await store.append("job-0", events(1), expected_version=11)).last_version == 12
        assert [event.version for event in await collect(store.read("job-0"))] == list(range(1, 13))
        assert (await store.verify()).ok
    async with SqliteStore.open(path) as store:
        assert (await store.append("job-0", events(1))).last_version == 13
        assert (await store.verify()).ok


async def test_several_archives_lie_beside_one_log(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path) as store:
        await fill(store)
        before = await collect(store.read_all())
        await store.archive(["job-0", "job-5"], "a.db")
        await store.archive(["job-1"], "b.db")
        assert await collect(store.read_all()) == before
        assert (await store.verify()).ok


async def test_a_tampered_archive_shows_in_the_log_s_own_chain(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await archived(path)
    connection = raw(tmp_path / "old.db")
    connection.execute("DROP TRIGGER events_no_update")
    connection.execute("UPDATE events SET data = x'00' WHERE position = 3")
    connection.close()
    async with SqliteStore.open(path, read_only=True) as store:
        report = await store.verify()
        assert report.fault is not None
        assert report.fault.position == 3


async def test_backup_and_export_take_what_is_archived_along(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    before = await archived(path)
    (tmp_path / "backup").mkdir()
    async with SqliteStore.open(path) as store:
        assert (await store.backup(tmp_path / "backup" / "copy.db")).ok
        lines = [line async for line in export_lines(store)]
        whole = await store.verify()
    assert await import_log(lines, tmp_path / "imported.db") == whole
    async with SqliteStore.open(tmp_path / "backup" / "copy.db", read_only=True) as store:
        assert await collect(store.read_all()) == before


@pytest.mark.parametrize(
    ("streams", "name", "why"),
    [
        (["job-99"], "old.db", "no stream"),
        ([], "old.db", "No stream"),
        (["job-1"], "log.db", "no name"),
        (["job-1"], "../old.db", "no name"),
        (["job-1"], "", "no name"),
        (["job-1"], "..", "no name"),
        (["job-1"], "log.db-journal", "no name"),
        (["job-1"], "log.db-bells", "no name"),
        ("job-1", "old.db", "no list"),
        (["\ud800"], "old.db", "no valid text"),
        (["job-1"], "there.db", "already"),
    ],
)
async def test_what_cannot_be_archived_is_refused_and_nothing_is_changed(
    tmp_path: Path, streams: list[str], name: str, why: str
) -> None:
    path = tmp_path / "log.db"
    (tmp_path / "there.db").write_text("mine")
    async with SqliteStore.open(path) as store:
        await fill(store)
        before = await collect(store.read_all())
        assert why in str(await refused(InvalidArgument, store.archive(streams, name)))
        await store.archive(["job-2"], "first.db")
        assert "already" in str(
            await refused(InvalidArgument, store.archive(["job-2", "job-3"], "second.db"))
        )
        assert await collect(store.read_all()) == before
    assert (tmp_path / "there.db").read_text() == "mine"
    assert not (tmp_path / "second.db").exists()
    assert not (tmp_path / "old.db").exists()
    async with SqliteStore.open(path, read_only=True) as store:
        await refused(StoreReadOnly, store.archive(["job-3"], "third.db"))


async def test_an_archive_that_cannot_be_noted_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path, busy_s=0.05) as store:
        await fill(store)
        blocker = raw(path)
        blocker.execute("BEGIN IMMEDIATE")
        await refused(StoreBusy, store.archive(["job-2"], "old.db"))
        blocker.execute("ROLLBACK")
        blocker.close()
        assert not (tmp_path / "old.db").exists()
        await store.archive(["job-2"], "old.db")


async def test_the_name_of_an_archive_that_was_moved_away_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await archived(path)
    (tmp_path / "old.db").rename(tmp_path / "cold.db")
    async with SqliteStore.open(path) as store:
        assert "already" in str(await refused(InvalidArgument, store.archive(["job-9"], "old.db")))


async def test_streams_that_somebody_archives_meanwhile_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.db"

    class Streams(list[str]):
        def __iter__(self) -> Iterator[str]:
            yield from super().__iter__()
            archive(path, ["job-1"], "first.db", 10.0)

    async with SqliteStore.open(path) as store:
        await fill(store)
        before = await collect(store.read_all())
        await refused(InvalidArgument, store.archive(Streams(["job-1", "job-2"]), "second.db"))
        assert not (tmp_path / "second.db").exists()
        assert await store.archived() == {"job-1"}
        assert await collect(store.read_all()) == before


async def test_a_disk_with_no_room_for_a_whole_archive_keeps_the_log_as_it_is(tmp_path: Path) -> None:
    """There is room for what SQLite writes first, beside the archive, and not for the archive itself as well."""
    with memory_disk(tmp_path / "disk", 8) as disk:
        async with SqliteStore.open(disk / "log.db") as store:
            for _ in range(10):
                await store.append("job-1", [new(bytes(100_000))])
        leave_room(disk, 1_500_000)
        async with SqliteStore.open(disk / "log.db") as store:
            await refused(StoreFull, store.archive(["job-1"], "old.db"))
            assert {file.name for file in disk.glob("*old*")} == set()
            assert (await store.verify()).events == 10
            (disk / "filler").unlink()
            await store.archive(["job-1"], "old.db")
            assert (await store.verify()).events == 10


async def test_a_log_that_cannot_be_made_smaller_keeps_its_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """VACUUM needs room for the whole log once more; by then the archive is the only place of the data."""
    path = tmp_path / "log.db"

    class NoRoom(sqlite3.Connection):
        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
            if sql == "VACUUM":
                raise sqlite3.OperationalError("database or disk is full")
            return super().execute(sql, *values)

    connect = sqlite3.connect
    async with SqliteStore.open(path) as store:
        await fill(store)
        before = await collect(store.read_all())
        monkeypatch.setattr(
            sqlite3, "connect", lambda *given, **more: connect(*given, factory=NoRoom, **more)
        )
        report = await store.archive(FINISHED, "old.db")
        assert report.events == 80
    async with SqliteStore.open(path) as store:
        assert await collect(store.read_all()) == before
        assert (await store.verify()).ok


async def test_a_damaged_archive_is_told_event_by_event(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    before = await archived(path)
    lose_page(tmp_path / "old.db", before[0].data)
    async with SqliteStore.open(path, read_only=True) as store:
        found = [item async for batch in store.replay(number) for item in batch]
        assert [position for _, position in found] == list(range(1, 121))
        assert any(isinstance(event, Unreadable) for event, _ in found)
        rest = [
            (event, due.data)
            for (event, _), due in zip(found, before, strict=True)
            if due.stream not in FINISHED
        ]
        assert all(event == due for event, due in rest)


async def test_a_backup_beside_another_log_s_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await archived(path)
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "old.db").write_bytes(b"the archive of another log")
    async with SqliteStore.open(path) as store:
        await refused(InvalidArgument, store.backup(tmp_path / "backup" / "copy.db"))
        assert not (tmp_path / "backup" / "copy.db").exists()
        assert (await store.backup(tmp_path / "copy.db")).ok


async def test_others_append_while_streams_are_archived(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "log.db", synchronous="OFF") as store:
        await fill(store)
        done = anyio.Event()

        async def work() -> None:
            while not done.is_set():
                await store.append("busy", events(3))

        async with anyio.create_task_group() as group:
            group.start_soon(work)
            for number in range(4):
                await store.archive([f"job-{number}"], f"a{number}.db")
            done.set()
        assert (await store.verify()).ok
        assert [event.position for event in await collect(store.read_all())] == list(
            range(1, await store.head() + 1)
        )


class StillWaitingError(Exception):
    """Of who has asked for the lock again and again."""


async def test_who_appends_while_the_log_is_made_smaller_waits_as_long_as_that_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.db"
    asked: list[float] = []

    def wait(pause_s: float) -> None:
        asked.append(pause_s)
        if len(asked) > 5:
            raise StillWaitingError

    def shrink(connection: sqlite3.Connection) -> None:
        with contextlib.closing(FileLock(path, 0.0)) as other, pytest.raises(StillWaitingError):
            other.acquire()
        monkeypatch.undo()

    async with SqliteStore.open(path, synchronous="OFF") as store:
        await fill(store)
        monkeypatch.setattr("eventstore._archive._shrink", shrink)
        monkeypatch.setattr("eventstore._lock.time.sleep", wait)
        await store.archive(FINISHED, "old.db")
    assert len(asked) == 6
    with (
        contextlib.closing(FileLock(path, 0.0)) as one,
        contextlib.closing(FileLock(path, 0.0)) as other,
        one,
        pytest.raises(StoreBusy),
    ):
        other.acquire()  # whoever hangs is told of


async def test_nobody_but_a_store_lets_go_of_data(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    await archived(path)
    connection = raw(path)
    for statement in (
        "INSERT INTO archived VALUES (12, 1, 99)",
        "INSERT OR REPLACE INTO archived VALUES (1, 1, 99)",
        "UPDATE archived SET last_version = 99",
        "DELETE FROM archived",
        "UPDATE archives SET file = 'other.db'",
        "DELETE FROM archives",
        "INSERT OR REPLACE INTO archives VALUES (1, 'other.db')",
        "UPDATE events SET data = NULL WHERE position = 24",
        "UPDATE events SET data = x'00' WHERE position = 1",
        "UPDATE events SET data = NULL, version = 9 WHERE position = 1",
    ):
        with pytest.raises(sqlite3.Error):
            connection.execute(statement)
    connection.close()
    async with SqliteStore.open(path, read_only=True) as store:
        assert (await store.verify()).ok


async def test_a_log_that_is_opened_by_a_link_keeps_its_archives_and_its_lock_beside_its_file(
    tmp_path: Path,
) -> None:
    (tmp_path / "links").mkdir()
    path, link = tmp_path / "log.db", tmp_path / "links" / "other.db"
    link.symlink_to(path)
    async with SqliteStore.open(link) as store:
        await fill(store)
        before = await collect(store.read_all())
        await store.archive(["job-2"], "old.db")
        assert await collect(store.read_all()) == before
        assert [file.name for file in link.parent.iterdir()] == ["other.db"]
    async with SqliteStore.open(path) as store:
        assert (await store.verify()).ok


@pytest.mark.parametrize("name", ["log", "old.db", "old.db-wal"])
async def test_a_backup_tells_a_copy_from_the_archives_that_it_takes_along(tmp_path: Path, name: str) -> None:
    (tmp_path / "copies").mkdir()
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await fill(store)
        before = await collect(store.read_all())
        await store.archive(["job-2"], "log" if name == "log" else "old.db")
        target = tmp_path / "copies" / name
        error = await refused(InvalidArgument, store.backup(target))
        assert "cannot be" in str(error)
        assert not target.exists()
        target = tmp_path / "copies" / "copy.db"
        assert (await store.backup(target)).ok
    async with SqliteStore.open(target, read_only=True) as store:
        assert await collect(store.read_all()) == before
