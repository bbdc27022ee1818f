"""People read the log with sqlite3: the view shows what the store shows, and the guide's statements run."""

import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from eventstore import SqliteStore
from eventstore._schema import APPLICATION_ID, SCHEMA_VERSION, statements
from tests.eventstore.support import collect, new, raw

GUIDE = Path(__file__).parents[2] / "docs" / "eventstore.md"


async def test_the_view_shows_every_event_as_text(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    first = new(b'{"stage":"motion"}', type="StageCompleted", correlation_id="job-é", metadata=b"{}")
    given = [first, new(causation_id=first.event_id), new(causation_id="free text", type_version=2)]
    async with SqliteStore.open(path, clock_ms=lambda: 1_700_000_000_123) as store:
        await store.append("job-42", given)
        log = await collect(store.read_all())
    connection = raw(path)
    connection.row_factory = sqlite3.Row
    rows = connection.execute("SELECT * FROM log ORDER BY position").fetchall()
    connection.close()
    for row, event in zip(rows, log, strict=True):
        for name in ("position", "stream", "version", "type", "type_version", "event_id", "correlation_id"):
            assert row[name] == getattr(event, name)
        assert row["causation_id"] == event.causation_id
        assert row["category"] == "job"
        assert (row["data"].encode(), row["metadata"].encode()) == (event.data, event.metadata)
        assert row["checksum"] == f"{event.checksum:08x}"
        assert datetime.fromisoformat(row["recorded_at"]) == datetime(
            2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC
        )


async def test_the_statements_in_the_guide_run(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteStore.open(path) as store:
        await store.append("job-42", [new(b'{"stage":"motion"}', type="StageCompleted")])
    questions = re.findall(r'sqlite3 -readonly log.db "(.*?)"\n', GUIDE.read_text())
    assert len(questions) >= 3
    connection = raw(path)
    for statement in questions:
        assert connection.execute(statement).fetchall(), statement
    connection.close()


def test_the_guide_names_the_columns_and_numbers_of_the_file() -> None:
    guide = GUIDE.read_text()
    assert f"0x{APPLICATION_ID:x}" in guide
    with closing(sqlite3.connect(":memory:")) as model:
        model.executescript(statements(SCHEMA_VERSION))
        tables = model.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    for (table,) in tables:
        assert f"`{table}`" in guide


def test_no_statement_numbers_its_placeholders() -> None:
    # Python 3.12 warns of them where a sequence of values is given, and 3.14 refuses them.
    folder = Path(__file__).parents[2]
    sources = [*(folder / "eventstore").rglob("*.py"), *(folder / "caf").rglob("*.py")]
    assert [
        str(path) for path in sources if re.search(r"= ?\?[0-9]|\(\?[0-9]", path.read_text("utf-8"))
    ] == []
