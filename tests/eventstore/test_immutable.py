"""What is recorded cannot be changed through SQL, in any form, whatever the pragmas say."""

import sqlite3
from pathlib import Path

import pytest

from eventstore import SqliteStore
from tests.eventstore.support import events, new, raw

ROW = "(position, stream_key, version, type_key, recorded_at_ms, event_id, metadata, mark, data)"


def values(
    position: str = "4", stream: str = "1", version: str = "4", event_id: str = "randomblob(16)"
) -> str:
    """A row that would be accepted, but for what is given."""
    return f"{ROW} VALUES ({position}, {stream}, {version}, 1, 0, {event_id}, x'', 7, x'00')"


OVERWRITE = "DO UPDATE SET data = x'66'"

FORBIDDEN = [
    "UPDATE events SET data = x'66'",
    "UPDATE events SET data = data WHERE position = 2",
    "UPDATE OR REPLACE events SET position = 1 WHERE position = 2",
    "UPDATE OR IGNORE events SET version = 9",
    "UPDATE events SET rowid = 9 WHERE position = 3",
    "UPDATE events SET data = s.name FROM streams s WHERE s.stream_key = events.stream_key",
    "DELETE FROM events",
    "DELETE FROM events WHERE position = 3",
    "DELETE FROM events WHERE position = 2 RETURNING *",
    f"INSERT OR REPLACE INTO events {values(position='2', version='2')}",
    f"INSERT OR REPLACE INTO events {values(position='3', version='4')}",
    f"INSERT OR REPLACE INTO events {values(version='2')}",
    f"REPLACE INTO events {values(position='1', version='1')}",
    f"INSERT OR IGNORE INTO events {values(position='2')}",
    f"INSERT OR FAIL INTO events {values(version='2')}",
    f"INSERT INTO events {values(position='2')} ON CONFLICT (position) {OVERWRITE}",
    f"INSERT OR ROLLBACK INTO events {values(version='2')}",
    f"INSERT INTO events {values(version='2')} ON CONFLICT {OVERWRITE}",
    f"INSERT INTO events {values(version='2')} ON CONFLICT DO NOTHING",
    f"INSERT INTO events {values(position='5')}",
    f"INSERT INTO events {values(position='NULL')}",
    f"INSERT INTO events {values(position='-1')}",
    f"INSERT INTO events {values(version='5')}",
    f"INSERT INTO events {values(stream='2', version='2')}",
    f"INSERT INTO events {ROW} SELECT {ROW[1:-1]} FROM events",
    "UPDATE chunks SET first_version = 2",
    "DELETE FROM chunks",
    "REPLACE INTO chunks VALUES (1, 0, 3)",
    "INSERT INTO chunks VALUES (1, 1, 1)",
    "UPDATE streams SET name = 'other'",
    "DELETE FROM streams",
    "REPLACE INTO streams (name, first_position) VALUES ('job-a', 4)",
    "REPLACE INTO streams (stream_key, name, first_position) VALUES (1, 'other', 4)",
    "INSERT INTO streams (name, first_position) VALUES ('job-a', 4) ON CONFLICT (name) DO UPDATE SET name = 'other'",
    "UPDATE types SET type = 'Other'",
    "DELETE FROM types",
    "REPLACE INTO types (type, type_version, first_position) VALUES ('Happened', 1, 4)",
    "REPLACE INTO types (type_key, type, type_version, first_position) VALUES (1, 'Other', 1, 4)",
    "UPDATE correlations SET correlation_id = 'other'",
    "DELETE FROM correlations",
    "REPLACE INTO correlations (correlation_id, first_position) VALUES ('thread', 4)",
    "REPLACE INTO correlations (correlation_key, correlation_id, first_position) VALUES (1, 'other', 4)",
]

TABLES = ("events", "chunks", "streams", "types", "correlations")


async def three_events(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        await store.append("job-a", [*events(2), new(correlation_id="thread")])


def everything(connection: sqlite3.Connection) -> list[object]:
    return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES]


@pytest.mark.parametrize("recursive_triggers", ["OFF", "ON"])
async def test_no_statement_changes_what_is_recorded(tmp_path: Path, recursive_triggers: str) -> None:
    await three_events(tmp_path / "log.db")
    connection = raw(tmp_path / "log.db")
    connection.execute(f"PRAGMA recursive_triggers = {recursive_triggers}")
    connection.execute("PRAGMA foreign_keys = ON")
    before = everything(connection)
    for statement in FORBIDDEN:
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement).fetchall()
        assert everything(connection) == before, statement
    connection.close()


async def test_the_row_that_the_forbidden_ones_vary_is_itself_accepted(tmp_path: Path) -> None:
    await three_events(tmp_path / "log.db")
    connection = raw(tmp_path / "log.db")
    connection.execute(f"INSERT INTO events {values()}")
    assert connection.execute("SELECT count(*) FROM events").fetchone() == (4,)
    connection.close()


async def test_checkpoints_are_not_history_and_may_change(tmp_path: Path) -> None:
    await three_events(tmp_path / "log.db")
    connection = raw(tmp_path / "log.db")
    connection.execute("INSERT INTO checkpoints VALUES ('qc', 1, 0)")
    connection.execute("UPDATE checkpoints SET position = 2")
    connection.execute("DELETE FROM checkpoints")
    connection.close()
