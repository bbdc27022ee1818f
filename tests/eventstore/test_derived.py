"""What finds events (names, chunks, correlations, ids) is held against them; what no store wrote is called that."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from eventstore import SqliteStore, StoreCorrupt, _ids, _runs
from tests.eventstore.support import collect, events, mark, new, raw, refused


@pytest.fixture
async def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """300 events of three streams, types and correlations; the ids of most are in runs."""
    monkeypatch.setattr(_ids, "STEP", 4)
    monkeypatch.setattr(_runs, "_BITS", 2)
    monkeypatch.setattr(_runs, "_ROW_IDS", 8)
    path = tmp_path / "log.db"
    async with SqliteStore.open(path) as store:
        for turn in range(60):
            made = [
                new(b"%d" % turn, type=f"T{turn % 3}", correlation_id=f"c{turn % 3}" if turn else None)
                for _ in range(5)
            ]
            await store.append(f"job-{turn % 3}", made, checkpoint=mark("qc", 5 * turn + 5))
        assert (await store.verify()).ok
        assert await store.check_file() == ()
    return path


@contextmanager
def unguarded(path: Path) -> Iterator[sqlite3.Connection]:
    """The log without its triggers and checks, for as long as somebody writes into it by hand."""
    with closing(raw(path)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        yield connection
        for _, sql in triggers:
            connection.execute(sql)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM chunks WHERE stream_key = 2", "chunks does not find all events of stream 2"),
        ("UPDATE chunks SET first_version = 7 WHERE stream_key = 2", "chunks"),
        ("INSERT INTO chunks VALUES (2, 9, 500)", "chunks knows events of stream 2 that are not there"),
        ("DELETE FROM correlated WHERE stream_key = 3", "correlated does not find all events of stream 3"),
        ("INSERT INTO correlated VALUES (1, 3)", "correlated knows events of stream 3"),
        (
            "DELETE FROM id_runs WHERE key = (SELECT max(key) FROM id_runs)",
            "does not know the id at position",
        ),
        (
            # The first run of a slot that has a second one.
            "DELETE FROM id_runs WHERE key = (SELECT min(key) - (1 << 47) FROM id_runs WHERE key >> 47 & 63 = 1)",
            "id_runs lacks what comes before row",
        ),
        ("UPDATE id_runs SET key = key + 1", "id_runs"),
        (
            "UPDATE id_runs SET key = key + (9 << 47) WHERE key >> 53 = 2",
            "id_runs lacks what comes before row",
        ),
        ("UPDATE id_runs SET ids = CAST(substr(ids, 12) || substr(ids, 1, 11) AS BLOB)", "id_runs"),
        ("UPDATE id_runs SET ids = CAST(ids || x'00' AS BLOB)", "id_runs holds what no store writes"),
        (
            "UPDATE id_runs SET ids = CAST(substr(ids, 1, length(ids) - 1) || x'00' AS BLOB) WHERE key >> 53 = 2",
            "id_runs",
        ),
        ("UPDATE id_filters SET bits = zeroblob(256)", "id_filters denies the id at position"),
        ("UPDATE id_filters SET bits = x'000000'", "id_filters says nothing that can be understood"),
        ("UPDATE id_progress SET indexed = 300", "does not know the id"),
        ("UPDATE id_progress SET indexed = 200", "knows an id at position"),
        ("UPDATE id_progress SET indexed = 301", "id_progress"),
        ("DELETE FROM id_progress", "id_progress"),
        ("UPDATE checkpoints SET position = 301", "checkpoints has 'qc' beyond the head"),
        ("UPDATE streams SET first_position = 300 WHERE stream_key = 2", "streams"),
        ("UPDATE types SET first_position = 300 WHERE type_key = 2", "types"),
        ("UPDATE correlations SET first_position = 300 WHERE correlation_key = 2", "correlations"),
        ("DROP INDEX events_by_chunk", "index events_by_chunk is missing"),
        ("DROP TABLE checkpoints", "table checkpoints is missing"),
    ],
)
async def test_what_does_not_agree_with_the_events_is_found_by_checking_the_file(
    log: Path, statement: str, said: str
) -> None:
    with unguarded(log) as connection:
        if "TABLE" in statement:
            connection.execute("DROP VIEW log")
        connection.execute(statement)
    async with SqliteStore.open(log, read_only=True) as store:
        found = await store.check_file()
    assert said in "; ".join(found)
    assert "trigger" not in "; ".join(found)


async def test_a_trigger_that_is_gone_or_another_is_found_by_checking_the_file(log: Path) -> None:
    with closing(raw(log)) as connection:
        connection.execute("DROP TRIGGER events_no_update")
        connection.execute("DROP TRIGGER events_no_delete")
        connection.execute("CREATE TRIGGER events_no_delete BEFORE DELETE ON events BEGIN SELECT 1; END")
        connection.execute("CREATE TRIGGER more AFTER INSERT ON events BEGIN SELECT 1; END")
    async with SqliteStore.open(log, read_only=True) as store:
        assert await store.check_file() == (
            "trigger events_no_delete is not the log's own",
            "trigger events_no_update is missing",
            "trigger more is not the log's own",
        )


@pytest.mark.parametrize(
    ("statement", "position"),
    [
        ("UPDATE events SET position = 0 WHERE position = 9", 0),
        ("UPDATE events SET position = -9 WHERE position = 9", -9),
        ("UPDATE events SET mark = mark * 1.0 WHERE position = 9", 9),
        ("UPDATE events SET mark = 'mark' WHERE position = 9", 9),
        ("UPDATE streams SET first_position = 9 WHERE stream_key = 2", 6),
        ("UPDATE types SET first_position = 7 WHERE type_key = 3", 11),
        ("UPDATE correlations SET first_position = 7 WHERE correlation_key = 1", 6),
    ],
)
async def test_verifying_tells_what_a_checksum_does_not_cover(
    log: Path, statement: str, position: int
) -> None:
    with unguarded(log) as connection:
        connection.execute(statement)
    async with SqliteStore.open(log, read_only=True) as store:
        fault = (await store.verify()).fault
        assert fault is not None
        assert fault.position == position
        seen: list[int] = []

        async def replay() -> None:
            async for batch in store.replay(lambda kind, version: bytes, verify=True):
                seen.extend(batch.positions)

        await refused(StoreCorrupt, replay())
        assert seen == list(range(1, position))


@pytest.mark.parametrize(
    "change",
    [
        "event_id = x'0102'",
        "event_id = randomblob(17)",
        "causation = x'0102'",
        "causation = 1.5",
        "mark = 'mark'",
        "mark = 1.5",
    ],
)
async def test_a_row_that_holds_what_no_store_writes_is_told_with_its_position(
    log: Path, change: str
) -> None:
    with unguarded(log) as connection:
        connection.execute(f"UPDATE events SET {change} WHERE position = 290")
    async with SqliteStore.open(log, read_only=True) as store:
        for reading in (store.read_all(), store.read_all(backward=True), store.read("job-0")):
            error = await refused(StoreCorrupt, collect(reading))
            assert "osition 290" in str(error)
        columns = ("event_id", "causation_id")
        found = [
            item
            async for batch in store.replay(lambda kind, version: bytes, columns=columns)
            for item in batch
        ]
        assert len(found) == 300
        fault = (await store.verify()).fault
        assert fault is not None
        assert fault.position == 290


@pytest.mark.parametrize("statement", ["DROP TABLE id_progress", "DELETE FROM id_progress"])
async def test_a_log_that_lacks_what_appends_need_says_that_it_is_damaged(log: Path, statement: str) -> None:
    with unguarded(log) as connection:
        connection.execute(statement)
    async with SqliteStore.open(log) as store:
        await refused(StoreCorrupt, store.append("job-new", events(1)))
