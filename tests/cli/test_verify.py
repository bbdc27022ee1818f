"""`caf verify` finds each kind of damage and names it; what is whole is said to be."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Caf


def a_changed_event(root: Path) -> None:
    log = root / ".caf" / "log.db"
    content = log.read_bytes()
    assert content.count(b'"submitted_by":"ada"') > 1
    log.write_bytes(content.replace(b'"submitted_by":"ada"', b'"submitted_by":"bob"', 1))


def a_cut_end(root: Path) -> None:
    """The last event gone, as from under the triggers."""
    with closing(sqlite3.connect(root / ".caf" / "log.db", isolation_level=None)) as log:
        for (name,) in log.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            log.execute(f'DROP TRIGGER "{name}"')
        log.execute("DELETE FROM events WHERE position = (SELECT max(position) FROM events) - 1")


def artifacts(root: Path) -> list[Path]:
    return sorted(path for path in (root / ".caf" / "artifacts").rglob("*") if path.is_file())


def a_missing_artifact(root: Path) -> None:
    artifacts(root)[0].unlink()


def other_bytes(root: Path) -> None:
    artifact = artifacts(root)[0]
    artifact.write_bytes(artifact.read_bytes()[::-1])


def other_rows(root: Path) -> None:
    with closing(sqlite3.connect(root / ".caf" / "projections.db", isolation_level=None)) as rows:
        rows.execute("UPDATE jobs SET status = 'cancelled' WHERE job_id = 'steady-0001'")


def a_missing_row(root: Path) -> None:
    with closing(sqlite3.connect(root / ".caf" / "projections.db", isolation_level=None)) as rows:
        rows.execute("DELETE FROM decisions WHERE job_id = 'shaken-0001'")


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (a_changed_event, "position"),
        (a_cut_end, "position"),
        (a_missing_artifact, "is missing"),
        (other_bytes, "has the digest"),
        (other_rows, "read model jobs differs"),
        (a_missing_row, "read model decisions differs"),
    ],
)
def test_each_kind_of_damage_is_found_and_named(
    caf: Caf, log_of_five: Path, damage: Callable[[Path], None], word: str
) -> None:
    assert caf("verify").out.endswith("all is as recorded\n")
    damage(log_of_five)
    found = caf("verify", "--json")
    assert found.code == 1, found
    assert "Traceback" not in found.err
    assert word in found.out


def test_rows_that_differ_are_mended_as_is_said(caf: Caf, log_of_five: Path) -> None:
    assert caf("jobs").code == 0
    other_rows(log_of_five)
    assert "mend it with: caf rebuild" in caf("verify").out
    assert caf("rebuild").code == 0
    assert caf("verify").code == 0


def test_proving_changes_neither_log_nor_artifacts(caf: Caf, log_of_five: Path) -> None:
    paths = [log_of_five / ".caf" / "log.db", *artifacts(log_of_five)]
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    assert caf("verify").code == 0
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths] == before
