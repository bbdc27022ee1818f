"""Logs as they were written: every schema version that was ever committed opens, verifies and reads, for ever."""

import shutil
from pathlib import Path

import msgspec
import pytest

from eventstore import NewEvent, RecordedEvent, SqliteStore
from eventstore._schema import SCHEMA_VERSION
from tests.eventstore.golden.make import ARCHIVE, golden_log, golden_text
from tests.eventstore.support import collect, events

OLDEST = 3
"""Logs of schema 1 and 2 were never released, and are refused."""


class Golden(msgspec.Struct):
    events: list[RecordedEvent]
    checkpoints: dict[str, int]
    head_digest: bytes


@pytest.mark.parametrize("version", range(OLDEST, SCHEMA_VERSION + 1))
async def test_a_log_of_every_schema_reads_as_it_was_written(version: int, tmp_path: Path) -> None:
    assert golden_log(version).is_file(), (
        "a new schema needs a golden log: python -m tests.eventstore.golden.make"
    )
    due = msgspec.json.decode(golden_text(version).read_bytes(), type=Golden)
    path = tmp_path / golden_log(version).name
    shutil.copy(golden_log(version), path)
    archive = golden_log(version).with_name(ARCHIVE.format(version))
    if archive.exists():
        shutil.copy(archive, tmp_path / archive.name)
    async with SqliteStore.open(path) as store:
        assert await collect(store.read_all()) == due.events
        for consumer, position in due.checkpoints.items():
            assert await store.checkpoint(consumer) == position
        for stream in {event.stream for event in due.events}:
            assert await collect(store.read(stream)) == [one for one in due.events if one.stream == stream]
        report = await store.verify()
        assert report.ok
        assert report.head_digest == due.head_digest
        for event in due.events[::7]:
            # Whatever finds an id by now, and whether its data is in the archive.
            given = NewEvent(**{name: getattr(event, name) for name in NewEvent.__struct_fields__})
            answer = await store.append(event.stream, [given])
            assert (answer.first_position, answer.repeated) == (event.position, True)
        assert (await store.append("job-a", events(1))).last_position == len(due.events) + 1
        assert (await store.verify()).ok
        assert await store.check_file() == ()
