"""What is said of SQLite's versions, and that only one connection at a time writes or checkpoints a log."""

import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pytest

from eventstore import SqliteStore, StoreIncompatible, sqlite_note
from eventstore.sqlite_version import check_sqlite
from tests.eventstore.support import events

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("version", "verdict"),
    [
        ((3, 36, 0), "refused"),
        ((3, 37, 0), "guarded"),
        ((3, 40, 1), "guarded"),
        ((3, 44, 5), "guarded"),
        ((3, 44, 6), "good"),
        ((3, 45, 0), "guarded"),
        ((3, 50, 6), "guarded"),
        ((3, 50, 7), "good"),
        ((3, 51, 2), "guarded"),
        ((3, 51, 3), "good"),
        ((3, 53, 0), "good"),
        ((4, 0, 0), "good"),
    ],
)
def test_a_version_is_called_what_its_release_notes_say(version: Any, verdict: str) -> None:
    note = sqlite_note(version)
    assert note.verdict == verdict
    assert note.version in note.what
    assert bool(note.remedy) == (verdict != "good")


def test_the_version_at_hand_is_known_and_one_that_is_too_old_is_refused() -> None:
    assert sqlite_note().version == sqlite3.sqlite_version
    check_sqlite()
    with pytest.raises(StoreIncompatible, match=r"3\.31\.1 is too old"):
        check_sqlite((3, 31, 1))


def test_a_writer_that_waits_for_the_lock_neither_writes_nor_checkpoints(tmp_path: Path) -> None:
    """Somebody else holds the lock: opening, closing and appending wait, and the files stay as they are."""
    path = tmp_path / "log.db"

    async def begin() -> None:
        async with SqliteStore.open(path) as store:
            await store.append("job-a", events(3))

    anyio.run(begin)
    holder = subprocess.Popen(
        ["flock", str(path) + "-lock", "sh", "-c", "echo held; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        before = path.read_bytes()

        async def refused() -> None:
            with pytest.raises(Exception, match="Another process has been writing"):
                await SqliteStore.open(path, busy_s=0.1)
            async with SqliteStore.open(path, read_only=True) as store:
                assert await store.head() == 3

        anyio.run(refused)
        assert path.read_bytes() == before
        assert not path.with_name("log.db-wal").exists() or not path.with_name("log.db-wal").stat().st_size
    finally:
        holder.communicate(b"\n", timeout=60)
