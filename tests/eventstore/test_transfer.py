"""Backup, export and import: the copy is the log, byte for byte and digest for digest, or there is none."""

import io
import json
import os
import re
import signal
import stat
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore import (
    EventStore,
    InvalidArgument,
    MemoryStore,
    NewEvent,
    SqliteStore,
    StoreFull,
    StoreReadOnly,
    export_lines,
    import_log,
)
from tests.crash.disk import memory_disk
from tests.eventstore.support import collect, events, leave_room, mark, new, refused

ROOT = Path(__file__).parents[2]


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


async def fill(store: EventStore) -> None:
    cause = new(b'{"a": [1, 2.50, "\\u00e9"]}', metadata=b'{"host":"x"}', correlation_id="job-a")
    await store.append("job-a", [cause, new(b"", causation_id=cause.event_id)])
    await store.append("job-b é/%", [new(b"\x00\xff"), new(b'{\n"pretty": 1}', metadata=b"\xff"), *events(3)])
    await store.append(
        "job-a", [new(b' {"a":1}', type_version=3, causation_id="free text"), new(b"not json")]
    )
    for number in range(40):
        await store.append(f"job-{number % 3}", events(1 + number % 4))


async def exported(store: EventStore) -> list[bytes]:
    return [line async for line in export_lines(store)]


async def test_an_imported_export_is_the_same_log(tmp_path: Path) -> None:
    ticks = iter(range(1_700_000_000_000, 1_800_000_000_000, 7))
    async with SqliteStore.open(tmp_path / "log.db", clock_ms=lambda: next(ticks) // 50 * 50) as store:
        await fill(store)
        log, lines = await collect(store.read_all()), await exported(store)
        whole = await store.verify()
    report = await import_log(lines, tmp_path / "copy.db")
    assert report.ok
    assert report == whole
    async with SqliteStore.open(tmp_path / "copy.db") as copy:
        assert await collect(copy.read_all()) == log
        assert await exported(copy) == lines
        assert (await copy.append("job-a", events(1))).last_position == len(log) + 1
    assert names(tmp_path) == {"log.db", "log.db-lock", "copy.db", "copy.db-lock"}


async def test_a_line_is_a_cloud_event_that_other_programs_can_read() -> None:
    async with MemoryStore(clock_ms=lambda: 1_700_000_000_123) as store:
        await fill(store)
        lines = [json.loads(line) for line in await exported(store)]
    first, second, third, fourth = lines[:4]
    assert first["specversion"] == "1.0"
    assert str(uuid.UUID(first["id"])) == first["id"]
    assert (first["source"], first["type"], first["stream"]) == ("/streams/job-a", "Happened", "job-a")
    assert first["time"] == "2023-11-14T22:13:20.123000Z"
    assert (first["position"], first["version"], first["correlationid"]) == (1, 1, "job-a")
    assert (first["data"], first["metadata"]) == ({"a": [1, 2.5, "é"]}, '{"host":"x"}')
    assert first["datacontenttype"] == "application/json"
    assert "data" not in second
    assert second["causationid"] == first["id"]
    assert (third["data_base64"], third["source"]) == ("AP8=", "/streams/job-b%20%C3%A9%2F%25")
    assert (fourth["metadatabase64"], "data" in fourth) == ("/w==", False)
    assert all(name.replace("_", "").isalnum() and name.islower() for line in lines for name in line)


@given(
    data=st.one_of(
        st.binary(max_size=40),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=5,
        ).map(lambda value: json.dumps(value, ensure_ascii=False).encode()),
        st.text(' \t\n\r{}[]",:0123e-null', max_size=8).map(str.encode),
    ),
    metadata=st.binary(max_size=10),
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20),
    now_ms=st.integers(0, 4_102_444_800_000),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_an_event_holds_survives_export_and_import(
    tmp_path: Path, data: bytes, metadata: bytes, text: str, now_ms: int
) -> None:
    event = NewEvent(
        event_id=str(uuid.uuid4()),
        type=text,
        data=data,
        metadata=metadata,
        correlation_id=text,
        causation_id=text,
    )
    path = tmp_path / f"{uuid.uuid4()}.db"

    async def there_and_back() -> None:
        async with MemoryStore(clock_ms=lambda: now_ms) as store:
            await store.append(text, [event])
            before, lines = await collect(store.read_all()), await exported(store)
        assert len(b"".join(lines).splitlines()) == 1
        assert (await import_log(lines, path)).ok
        async with SqliteStore.open(path, read_only=True) as copy:
            assert await collect(copy.read_all()) == before

    anyio.run(there_and_back)


async def test_an_export_that_was_changed_is_refused_with_its_line(tmp_path: Path) -> None:
    async with MemoryStore() as store:
        await fill(store)
        lines = await exported(store)
    fourth = json.loads(lines[3])
    changes = {
        "line 4: a stream's version is missing": [*lines[:2], *lines[3:]],
        "swapped": [lines[0], lines[1], lines[3], lines[2], *lines[4:]],
        "data": [lines[0].replace(b"2.50", b"2.51"), *lines[1:]],
        "type": [json.dumps({**fourth, "type": "Other"}).encode(), *lines[1:]],
        "no JSON": [*lines[:5], b"{nonsense\n"],
        "bad base64": [*lines[:2], lines[2].replace(b'"AP8="', b'"A*8="')],
        "no checksum": [lines[0].replace(b"checksum", b"checked")],
        "time without zone": [lines[0].replace(b'Z"', b'"')],
        "cut off in front": lines[2:],
        "cut off in front, other stream": lines[7:],
        "bad id": [lines[0].replace(b'"id":"', b'"id":"x')],
        "no version": [json.dumps({**json.loads(lines[0]), "version": 0}).encode()],
        "newer envelope": [lines[0].replace(b'"1.0"', b'"2.0"')],
        "nested": [b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"],
        "no stream": [lines[0].replace(b'"stream":"job-a"', b'"stream":""')],
    }
    for what, changed in changes.items():
        error = await refused(InvalidArgument, import_log(changed, tmp_path / "copy.db"))
        assert str(error).startswith("Line "), what
        assert names(tmp_path) == set(), what


async def test_an_empty_export_becomes_an_empty_log(tmp_path: Path) -> None:
    assert (await import_log(io.BytesIO(b"\n\n"), tmp_path / "log.db")).events == 0
    async with SqliteStore.open(tmp_path / "log.db", read_only=True) as store:
        assert await store.head() == 0


@pytest.mark.parametrize("room", [500_000, 1_500_000])
async def test_a_disk_with_no_room_for_an_import_gets_none(tmp_path: Path, room: int) -> None:
    """Neither where what SQLite writes first has no room, nor where only the rest has none."""
    async with MemoryStore() as store:
        await store.append("job-1", [new(bytes(100_000)) for _ in range(10)])
        lines = await exported(store)
    with memory_disk(tmp_path / "disk", 8) as disk:
        leave_room(disk, room)
        await refused(StoreFull, import_log(lines, disk / "copy.db"))
        assert names(disk) == {"filler"}


async def test_a_backup_made_while_others_write_is_a_prefix_of_the_log(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "log.db", synchronous="OFF") as store:
        await store.append("job-a", events(500), checkpoint=mark("qc", 400))
        async with anyio.create_task_group() as tasks:

            async def write() -> None:
                while True:
                    await store.append("job-b", events(3))

            tasks.start_soon(write)
            await anyio.wait_all_tasks_blocked()
            reports = [await store.backup(tmp_path / f"copy-{number}.db") for number in range(3)]
            tasks.cancel_scope.cancel()
        log = await collect(store.read_all())
    for number, report in enumerate(reports):
        path = tmp_path / f"copy-{number}.db"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with SqliteStore.open(path) as copy:
            held = await collect(copy.read_all())
            assert held == log[: len(held)]
            assert report.ok
            assert report.events == len(held) >= 500
            assert await copy.checkpoint("qc") == 400
            assert (await copy.append("job-a", events(1))).last_position == len(held) + 1


async def test_a_backup_replaces_no_file_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-a", events(5))
        (tmp_path / "taken").write_text("mine")
        await refused(InvalidArgument, store.backup(tmp_path / "taken"))
        await refused(InvalidArgument, import_log(await exported(store), tmp_path / "taken"))
        assert (tmp_path / "taken").read_text() == "mine"
        await refused(StoreReadOnly, store.backup(tmp_path / "no" / "copy.db"))
    assert names(tmp_path) == {"log.db", "log.db-lock", "taken"}


async def test_a_backup_of_a_log_that_was_tampered_with_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    marker = b"a payload that can be found in the file"
    async with SqliteStore.open(path) as store:
        await store.append("job-a", [*events(5), new(marker)])
    path.write_bytes(path.read_bytes().replace(marker, marker.upper()))
    async with SqliteStore.open(path, read_only=True) as store:
        with pytest.raises(Exception, match="position 6"):
            await store.backup(tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


async def test_a_damaged_index_is_found_by_checking_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    name = b"a-name to be found"
    async with SqliteStore.open(path) as store:
        await store.append(name.decode(), events(5))
        assert await store.check_file() == ()
    whole = path.read_bytes()
    spots = [found.start() for found in re.finditer(name, whole)]
    assert len(spots) >= 2, "the name stands in its row and in the index"
    for spot in spots:
        path.write_bytes(whole[:spot] + name.upper() + whole[spot + len(name) :])
        async with SqliteStore.open(path, read_only=True) as store:
            assert await store.check_file() != ()


@pytest.mark.parametrize(
    "data", [b'"\xff"', b"[" * 100_000 + b"]" * 100_000, b'"\\ud800"', b"\xef\xbb\xbf{}", b"1e999"]
)
async def test_data_that_is_nearly_json_survives_export_and_import(tmp_path: Path, data: bytes) -> None:
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-a", [new(data)])
        lines, digest = await exported(store), (await store.verify()).head_digest
    assert (await import_log(lines, tmp_path / "copy.db")).head_digest == digest


IMPORT = """
import asyncio, signal, os, sys
from eventstore import import_log

def lines():
    yield from sys.stdin.buffer.readlines()
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(import_log(lines(), sys.argv[1]))
"""


async def test_what_a_killed_import_has_left_goes_with_the_next_one(tmp_path: Path) -> None:
    async with MemoryStore() as store:
        await fill(store)
        lines = await exported(store)
    command = [sys.executable, "-c", IMPORT, str(tmp_path / "copy.db")]
    for _ in range(2):
        done = await anyio.run_process(command, input=b"".join(lines), check=False, cwd=ROOT)
        assert done.returncode == -signal.SIGKILL
        assert len(names(tmp_path)) == 1, "only what the last one has left"

    def others() -> Iterator[bytes]:
        yield from lines
        assert len(names(tmp_path)) == 1
        with pytest.raises(InvalidArgument):
            anyio.run(import_log, [b"no line"], tmp_path / "copy.db")

    await import_log(others(), tmp_path / "copy.db")
    assert names(tmp_path) == {"copy.db"}


async def test_backups_made_at_once_to_one_place_leave_one_whole_copy(tmp_path: Path) -> None:
    target, told = tmp_path / "copy.db", list[str]()
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await store.append("job-a", events(50))
        # What a process that was killed has left behind, of the same number as this one.
        target.with_name(f".copy.db.new-{os.getpid()}").mkdir()

        async def copy() -> None:
            try:
                await store.backup(str(target))
            except InvalidArgument as error:
                told.append(str(error))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(copy)
    assert len(told) == 2
    assert all("already" in said for said in told)
    async with SqliteStore.open(target, read_only=True) as store:
        assert (await store.verify()).events == 50


@pytest.mark.parametrize("name", [None, 5, "a\0b", "\ud800"])
async def test_what_no_file_can_be_called_is_refused(tmp_path: Path, name: Any) -> None:
    where = tmp_path / name if isinstance(name, str) else name
    async with SqliteStore.open(tmp_path / "log.db") as store:
        await refused(InvalidArgument, store.backup(where))
        await refused(InvalidArgument, store.archive(["job-a"], name))
        await refused(InvalidArgument, import_log([], where))
    await refused(InvalidArgument, opened(where))


async def opened(where: Any) -> None:
    async with SqliteStore.open(where):
        pass
