"""Read models that are damaged, or of another log, are made again from the log: never a traceback, never wrong rows."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from caf.app import open_app
from caf.config import Config
from caf.events import attempt_id
from caf.submission import Wish
from tests.cli.conftest import Caf
from tests.docs import small_log

QUERY = "SELECT * FROM stages ORDER BY job_id, attempt_id, stage"


def noise(rows: Path) -> None:
    rows.write_bytes(bytes(range(7, 251)) * 200)


def half(rows: Path) -> None:
    rows.write_bytes(rows.read_bytes()[: rows.stat().st_size // 2])


def empty(rows: Path) -> None:
    rows.write_bytes(b"")


def inner_pages(rows: Path) -> None:
    """All but the first page, which holds the tables' names."""
    whole = rows.read_bytes()
    rows.write_bytes(whole[:4096] + b"\xaa" * (len(whole) - 4096))


def without_a_table(rows: Path) -> None:
    with sqlite3.connect(rows) as connection:
        connection.execute("DROP TABLE IF EXISTS stages")
    connection.close()


def without_progress(rows: Path) -> None:
    with sqlite3.connect(rows) as connection:
        connection.execute("DELETE FROM progress")
    connection.close()


def another_database(rows: Path) -> None:
    rows.unlink()
    with sqlite3.connect(rows) as connection:
        connection.execute("CREATE TABLE jobs (job_id TEXT)")
        connection.execute("INSERT INTO jobs VALUES ('not-ours')")
    connection.close()


@pytest.mark.parametrize(
    "damage", [noise, half, empty, inner_pages, without_a_table, without_progress, another_database]
)
def test_a_damaged_file_is_made_again_without_a_word(
    caf: Caf, log_of_five: Path, damage: Callable[[Path], None]
) -> None:
    rows = log_of_five / ".caf" / "projections.db"
    jobs, stages = caf("jobs", "--json").out, caf("sql", QUERY, "--json").out
    for verb, right in ((("jobs", "--json"), jobs), (("sql", QUERY, "--json"), stages)):
        damage(rows)
        ran = caf(*verb)
        assert (ran.code, ran.out, ran.err) == (0, right, "")
    damage(rows)
    assert caf("rebuild").code == 0
    assert caf("sql", QUERY, "--json").out == stages


def test_where_a_folder_stands_in_the_file_s_place_rows_are_kept_in_memory_and_rebuild_says_so(
    caf: Caf, log_of_five: Path
) -> None:
    right = caf("jobs", "--json").out
    rows = log_of_five / ".caf" / "projections.db"
    rows.unlink()
    rows.mkdir()
    (rows / "somebody's").write_text("file")
    assert caf("jobs", "--json").out == right
    assert caf("verify").code == 0
    refused = caf("rebuild")
    assert refused.code == 65
    assert "projections.db cannot be written" in refused.err
    assert (rows / "somebody's").read_text() == "file"


def test_rows_of_another_log_are_never_shown(caf: Caf, log_of_five: Path, tmp_path: Path) -> None:
    caf("jobs")
    anyio.run(other_log, tmp_path / "other")
    for file in log_of_five.glob(".caf/log.db*"):
        file.unlink()
    shutil.copy(tmp_path / "other" / ".caf" / "log.db", log_of_five / ".caf" / "log.db")
    assert [row["job_id"] for row in caf("jobs", "--json").json()] == ["other-job"]
    assert "read model" not in caf("verify").out  # the artifacts are missing, the rows are right


def test_rows_that_are_ahead_of_a_log_from_a_backup_are_made_again(
    caf: Caf, log_of_five: Path, tmp_path: Path
) -> None:
    log = log_of_five / ".caf" / "log.db"
    shutil.copy(log, tmp_path / "backup.db")
    assert (
        caf("handoff", "register", small_log.REPAIRED, "--platform", "x", "--url", "https://x.example/1").code
        == 0
    )
    assert len(caf("handoff", "registry").json()["entries"]) == 2
    for file in log_of_five.glob(".caf/log.db*"):
        file.unlink()
    shutil.copy(tmp_path / "backup.db", log)
    assert len(caf("handoff", "registry").json()["entries"]) == 1
    assert caf("verify").code == 0


async def other_log(root: Path) -> None:
    """One job of another name, of which more is recorded than of all five."""
    unseen = {(attempt_id(number), "audio_video"): None for number in range(1, 13)}
    async with open_app(root, Config()) as app:
        await small_log.submit(app, Wish(clip=root / "clip.mp4", job_id="other-job"))
        for _ in range(12):
            await small_log.go_on(app, "other-job", unseen)
            await app.answer("other-job", action="retry", by="ada")
        assert await app.store.head() > 85
