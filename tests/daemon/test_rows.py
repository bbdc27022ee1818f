"""The daemon keeps the read models in step by itself, also once a disk that was full has room again."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest

import caf.projections.follower
from caf.app import open_app
from caf.config import Config
from caf.daemon.rows import RowsInStep
from caf.quick import rows_in_step
from tests.crash.daemon import Daemon, until
from tests.crash.place import clips, document, prepare

STATUS = "SELECT status FROM jobs"


def test_what_the_daemon_did_stands_in_the_rows_without_anybody_asking(tmp_path: Path) -> None:
    place = prepare(tmp_path / "place", clips(tmp_path / "media"))
    said = document("rows-0001", clip="six.mp4", policy="lenient")
    (place / "sandbox" / "jobs" / "rows-0001.job.json").write_bytes(said)
    with Daemon(place) as daemon:
        daemon.start("--no-http")
        until(
            lambda: daemon.lives and rows_in_step(place, STATUS, ()) == [{"status": "completed"}],
            "the rows to say that the job is done",
        )


async def test_rows_that_were_kept_in_memory_go_back_to_their_file(
    tmp_path: Path, small_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caf.projections.follower, "AGAIN_S", 0.0)
    place = shutil.copytree(small_workspace, tmp_path / "workspace")
    async with open_app(place, Config()) as app:
        rows = await app.rows(STATUS)
        with closing(sqlite3.connect(place / ".caf" / "projections.db", isolation_level=None)) as other:
            monkeypatch.setattr(caf.projections.follower, "BUSY_S", 0.01)
            other.execute("BEGIN EXCLUSIVE")
            assert await app.rows(STATUS) == rows
            assert app.models.path is None
            assert "locked" in str(app.models.fault)
            other.execute("ROLLBACK")
        assert await app.rows(STATUS) == rows
        assert app.models.path is not None
        assert app.models.fault is None
        assert app.models._memory is None


async def test_it_is_said_once_why_the_rows_are_not_in_their_file(
    tmp_path: Path, small_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caf.projections.follower, "BUSY_S", 0.01)
    place = shutil.copytree(small_workspace, tmp_path / "workspace")
    told: list[str] = []
    async with open_app(place, Config()) as app, anyio.create_task_group() as group:
        await app.rows(STATUS)
        rows = RowsInStep(app, failed=lambda what, fault: told.append(f"{what}: {fault}"))
        [newest] = [event async for event in app.store.read_all(backward=True, limit=1)]
        with closing(sqlite3.connect(place / ".caf" / "projections.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            group.start_soon(rows.serve)
            for _ in range(3):
                rows.seen(newest)
                with anyio.fail_after(60):
                    while rows._news.is_set():  # noqa: ASYNC110 - until it was taken up
                        await anyio.sleep(0.005)
                await app.rows(STATUS)
            group.cancel_scope.cancel()
    [line] = told
    assert "projections.db" in line
    assert "locked" in line
