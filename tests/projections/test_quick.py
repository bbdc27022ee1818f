"""Rows are read straight from their file only where they are in step with the log; the answer is then the same."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from caf.app import open_app
from caf.config import Config
from caf.daemon.state import pause
from caf.events import JobCancelled
from caf.projections.tables import shape
from caf.quick import NEWEST_LOG, SHAPE, rows_in_step
from eventstore._schema import SCHEMA_VERSION

JOBS = "SELECT * FROM jobs ORDER BY job_id"


@pytest.fixture
def workspace(small_workspace: Path, tmp_path: Path) -> Path:
    return shutil.copytree(small_workspace, tmp_path / "workspace")


async def folded(workspace: Path) -> list[dict[str, Any]]:
    async with open_app(workspace, Config()) as app:
        return await app.rows(JOBS)


async def cancel_one(workspace: Path) -> None:
    async with open_app(workspace, Config()) as app:
        await app.command("broken-0001", lambda job: [JobCancelled(by="ada", reason="no longer wanted")])


def test_the_shape_is_that_of_the_tables() -> None:
    assert shape() == SHAPE, (
        f"the read models' tables have changed: write SHAPE = {hex(shape())} into caf/quick.py"
    )


async def test_rows_of_a_log_that_a_newer_version_wrote_are_not_told(workspace: Path) -> None:
    assert NEWEST_LOG == SCHEMA_VERSION
    assert await folded(workspace)
    with closing(sqlite3.connect(workspace / ".caf" / "log.db")) as log:
        log.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert rows_in_step(workspace, JOBS, ()) is None


async def test_rows_that_are_in_step_are_those_that_folding_gives(workspace: Path) -> None:
    rows = await folded(workspace)
    assert rows
    assert rows_in_step(workspace, JOBS, ()) == rows


async def test_rows_that_lag_behind_the_log_are_not_told(workspace: Path) -> None:
    await folded(workspace)
    await cancel_one(workspace)
    assert rows_in_step(workspace, JOBS, ()) is None
    rows = await folded(workspace)
    assert rows_in_step(workspace, JOBS, ()) == rows


async def test_what_the_daemon_alone_did_changes_no_row(workspace: Path) -> None:
    rows = await folded(workspace)
    async with open_app(workspace, Config()) as app:
        await app.daemon_command(lambda daemon: pause(daemon, by="ada", reason="holiday"))
    assert rows_in_step(workspace, JOBS, ()) == rows


async def test_rows_of_another_log_are_not_told(workspace: Path, tmp_path: Path) -> None:
    await folded(workspace)
    other = shutil.copytree(workspace, tmp_path / "other")
    await cancel_one(workspace)
    await cancel_one(other)
    await folded(workspace)
    shutil.copy(workspace / ".caf" / "projections.db", other / ".caf" / "projections.db")
    assert rows_in_step(other, JOBS, ()) is None


@pytest.mark.parametrize(
    "wrong", ["no rows", "garbage", "another shape", "no log", "an empty log", "nothing"]
)
async def test_what_is_wrong_is_left_to_those_who_can_tell_it_or_mend_it(workspace: Path, wrong: str) -> None:
    await folded(workspace)
    own = workspace / ".caf"
    match wrong:
        case "no rows":
            (own / "projections.db").unlink()
        case "garbage":
            (own / "projections.db").write_bytes(b"garbage" * 1000)
        case "another shape":
            with closing(sqlite3.connect(own / "projections.db")) as models:
                models.execute("PRAGMA user_version = 1")
        case "no log":
            (own / "log.db").unlink()
        case "an empty log":
            (own / "log.db").write_bytes(b"")
        case _:
            shutil.rmtree(own)
    assert rows_in_step(workspace, JOBS, ()) is None
