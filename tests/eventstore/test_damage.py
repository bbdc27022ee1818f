"""What can no longer be read in a damaged log is told with its position, and keeps nobody from the rest."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from eventstore import SqliteStore, StoreCorrupt, Unreadable
from eventstore import _reader as reader_module
from eventstore._scan import Scan, new_scan
from eventstore._schema import PAGE_BYTES
from tests.eventstore.support import collect, events, lose_page, new, raw, refused

COUNT = 400


async def damaged(path: Path) -> list[int]:
    """A log of which one page of events was lost; their positions."""
    async with SqliteStore.open(path) as store:
        for first in range(0, COUNT, 20):
            await store.append("job-a", [new(b"%d " % n * 200) for n in range(first, first + 20)])
    page = lose_page(path, b"200 200 200")
    return [n + 1 for n in range(COUNT) if b"%d " % n * 200 in page]


async def test_a_replay_tells_every_lost_event_and_yields_all_others(tmp_path: Path) -> None:
    lost = await damaged(tmp_path / "log.db")
    assert 1 < len(lost) < 30
    async with SqliteStore.open(tmp_path / "log.db", read_only=True) as store:
        found = [
            item
            async for batch in store.replay(lambda kind, version: bytes, columns=("position", "stream"))
            for item in batch
        ]
        jobs = [
            item
            async for batch in store.replay(lambda kind, version: bytes, category="job")
            for item in batch
        ]
    assert [position for _, position, _ in found] == list(range(1, COUNT + 1))
    for event, position, stream in found:
        if position in lost:
            assert isinstance(event, Unreadable)
            assert event.position == position
            assert event.why
        else:
            assert event == b"%d " % (position - 1) * 200
            assert stream == "job-a"
    assert [position for event, position in jobs if not isinstance(event, Unreadable)] == [
        position for position in range(1, COUNT + 1) if position not in lost
    ]


async def test_reading_yields_all_before_the_damage_and_goes_on_behind_it(tmp_path: Path) -> None:
    lost = await damaged(tmp_path / "log.db")
    seen: list[int] = []
    async with SqliteStore.open(tmp_path / "log.db", read_only=True) as store:

        async def read() -> None:
            async for event in store.read_all():
                seen.append(event.position)

        error = await refused(StoreCorrupt, read())
        assert f"Position {lost[0]} cannot be read" in str(error)
        assert seen == list(range(1, lost[0]))
        rest = await collect(store.read_all(after_position=lost[-1]))
        assert [event.position for event in rest] == list(range(lost[-1] + 1, COUNT + 1))
        report = await store.verify()
        assert report.fault is not None
        assert report.fault.position == lost[0]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET type_key = 77 WHERE position = 3",
        "UPDATE events SET stream_key = 77 WHERE position = 3",
    ],
)
async def test_a_row_that_no_store_wrote_is_told_with_its_position(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path) as store:
        await store.append("job-a", events(5))
    connection = raw(path)
    connection.execute("DROP TRIGGER events_no_update")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute(statement)
    connection.close()
    async with SqliteStore.open(path, read_only=True) as store:
        error = await refused(StoreCorrupt, collect(store.read_all()))
        assert "Position 3" in str(error)
        assert [event.position for event in await collect(store.read_all(after_position=3))] == [4, 5]
        found = [event async for batch in store.replay(lambda kind, version: int) for event in batch.events()]
    assert [found[index] for index in (0, 1, 3, 4)] == [0, 1, 3, 4]
    assert isinstance(found[2], Unreadable) or "stream_key" in statement


@pytest.mark.parametrize("make", [new_scan, Scan])
@pytest.mark.parametrize("half", range(1024, PAGE_BYTES, 1024))
async def test_nothing_is_left_out_where_half_a_page_was_lost_and_half_of_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any, half: int
) -> None:
    monkeypatch.setattr(reader_module, "new_scan", make)
    path = tmp_path / "log.db"
    async with SqliteStore.open(path, synchronous="OFF") as store:
        await store.append("job-a", [new(b"<%d>" % n + b"x" * 500) for n in range(1, 201)])
    whole = bytearray(path.read_bytes())
    start = whole.index(b"<100>") // PAGE_BYTES * PAGE_BYTES + half
    whole[start : start + PAGE_BYTES] = bytes(PAGE_BYTES)
    path.write_bytes(whole)
    async with SqliteStore.open(path, read_only=True) as store:
        found = [item async for batch in store.replay(lambda kind, version: bytes) for item in batch]
    assert [position for _, position in found] == list(range(1, 201))
    for event, position in found:
        assert isinstance(event, Unreadable) or event.startswith((b"<%d>" % position, b"\0"))


def displace(path: Path, *moved: tuple[int, int]) -> None:
    """Have rows of `<position>` say that they are another position."""
    whole = bytearray(path.read_bytes())
    for position, said in moved:
        data = whole.index(b"<%d>" % position)
        # SQLite's integer of variable length, of two bytes here, and how the row behind it begins.
        at = whole.rindex(bytes([0x80 | position >> 7, position & 127, 12, 0]), data - 110, data)
        whole[at : at + 2] = bytes([0x80 | said >> 7, said & 127])
    path.write_bytes(whole)


async def numbered(path: Path) -> None:
    async with SqliteStore.open(path, synchronous="OFF") as store:
        await store.append("job-a", [new(b"<%d>" % n) for n in range(1, 1101)])


@pytest.mark.parametrize("said", [0, 3, 1_050, 9_000])
async def test_a_row_that_says_it_is_another_position_leads_no_replay_astray(
    tmp_path: Path, said: int
) -> None:
    await numbered(tmp_path / "log.db")
    displace(tmp_path / "log.db", (500, said), (1024, said))
    found: list[Any] = []
    async with SqliteStore.open(tmp_path / "log.db", read_only=True) as store:
        async for batch in store.replay(lambda kind, version: bytes, columns=("position", "stream")):
            found += batch
            assert len(found) <= 1100
    assert [position for _, position, _ in found] == list(range(1, 1101))
    for event, position, stream in found:
        if position in (500, 1024):
            assert isinstance(event, Unreadable)
            assert event.position == position
        else:
            assert (event, stream) == (b"<%d>" % position, "job-a")


@pytest.mark.parametrize("said", [0, 3, 1_050, 9_000])
async def test_a_row_that_says_it_is_another_position_is_told_where_it_should_be(
    tmp_path: Path, said: int
) -> None:
    await numbered(tmp_path / "log.db")
    displace(tmp_path / "log.db", (256, said), (500, said))
    seen: list[int] = []

    async def read(after: int) -> None:
        async for event in store.read_all(after_position=after):
            seen.append(event.position)
            assert len(seen) <= 1100

    async with SqliteStore.open(tmp_path / "log.db", read_only=True) as store:
        for after, lost in ((0, 256), (256, 500)):
            assert f"Position {lost} cannot be read" in str(await refused(StoreCorrupt, read(after)))
            assert seen == list(range(after + 1, lost))
            seen.clear()
        await read(500)
        assert seen == list(range(501, 1101))


async def test_a_replay_goes_on_where_names_and_causes_lie_in_a_lost_page(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path, synchronous="OFF") as store:
        for n in range(0, 300, 2):
            first = new(b"%d " % n * 200)
            await store.append(
                f"job-{n:0>200}", [first, new(b"%d " % (n + 1) * 200, causation_id=first.event_id)]
            )
    lose_page(path, b"200 200 200")
    for _ in ("names", "their index"):
        lose_page(path, b"job-" + b"0" * 197)
    async with SqliteStore.open(path, read_only=True) as store:
        columns: Any = ("position", "stream", "causation_id")
        found = [
            item
            async for batch in store.replay(lambda kind, version: bytes, columns=columns)
            for item in batch
        ]
    assert [position for _, position, _, _ in found] == list(range(1, 301))
    assert any(stream is None and isinstance(event, bytes) for event, _, stream, _ in found)


async def test_a_log_whose_tables_names_are_no_text_is_told_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path) as store:
        await store.append("job-a", events(5))
    path.write_bytes(path.read_bytes().replace(b"events_by_chunkevents", b"events_by_ch\xffnkevents"))
    for read_only in (True, False):
        error = await refused(StoreCorrupt, SqliteStore.open(path, read_only=read_only).__aenter__())
        assert str(path) in str(error)


async def test_an_append_behind_a_name_that_is_no_text_is_refused_and_waits_for_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path) as store:
        await store.append("job-a", events(5))
        (first, *_) = await collect(store.read_all())
    kind = first.type.encode()
    path.write_bytes(path.read_bytes().replace(kind, b"\xff" * len(kind)))
    async with SqliteStore.open(path) as store:
        with anyio.fail_after(60):
            assert "UTF-8" in str(await refused(StoreCorrupt, store.append("job-a", events(1))))
        assert "UTF-8" in str(await refused(StoreCorrupt, collect(store.read("job-a"))))


async def test_a_row_that_cannot_be_read_behind_one_that_is_gone_ends_no_log(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path) as store:
        await store.append("job-a", events(6))
    connection = raw(path)
    for trigger in ("events_no_update", "events_no_delete"):
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.execute("DELETE FROM events WHERE position = 3")
    connection.execute("UPDATE events SET causation = CAST(x'ff' AS TEXT) WHERE position = 4")
    connection.close()
    seen: list[int] = []

    async def follow() -> None:
        async for event in store.subscribe():
            seen.append(event.position)

    async with SqliteStore.open(path, read_only=True) as store:
        for work in (follow(), collect(store.read_all())):
            with anyio.fail_after(60):
                assert "Position 3" in str(await refused(StoreCorrupt, work))
        assert seen == [1, 2]
        assert "Position 4" in str(await refused(StoreCorrupt, collect(store.read_all(after_position=3))))
        assert [event.position for event in await collect(store.read_all(after_position=4))] == [5, 6]
