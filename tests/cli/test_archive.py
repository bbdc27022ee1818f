"""`caf archive`: jobs that are over go to a second log, and everything is shown as before."""

import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Caf


def test_jobs_that_are_over_are_moved_and_everything_shows_as_before(caf: Caf, log_of_five: Path) -> None:
    verbs = [("jobs", "--json"), ("events", "--json"), ("handoff", "registry", "--json")]
    before = [caf(*verb).out for verb in verbs]
    [first, *_] = caf("jobs", "--json").json()
    shown = caf("show", first["job_id"], "--json").json()
    assert "nothing was moved" in caf("archive", "old.db").err
    done = caf("archive", "old.db", "--over-for", "0", "--json")
    assert done.code == 0, done.err
    report = done.json()
    assert report["streams"] > 0
    assert (log_of_five / ".caf" / "old.db").is_file()
    assert [caf(*verb).out for verb in verbs] == before
    assert caf("show", first["job_id"], "--json").json() == shown
    assert caf("verify").code == 0
    assert caf("rebuild").code == 0
    assert "nothing was moved" in caf("archive", "more.db", "--over-for", "0").err
    with sqlite3.connect(log_of_five / ".caf" / "old.db") as archive:
        assert archive.execute("SELECT count(*) FROM log").fetchone() == (report["events"],)
    archive.close()


def test_a_name_that_is_taken_or_no_name_is_told_in_a_sentence(caf: Caf, log_of_five: Path) -> None:
    for name in ("log.db", "../old.db", "projections.db"):
        done = caf("archive", name, "--over-for", "0")
        assert done.code == 65, done
        assert "Traceback" not in done.err
    assert caf("verify").code == 0


@pytest.mark.parametrize(
    "name",
    [
        "projections.db-wal",
        "Projections.db-journal",
        "tmp",
        "kept",
        "daemon.json",
        "log.db.next",
        ".log.db.new-1",
    ],
)
def test_an_archive_never_lies_where_caf_puts_something_of_its_own(
    caf: Caf, log_of_five: Path, name: str
) -> None:
    done = caf("archive", name, "--over-for", "0")
    assert done.code == 65, done
    assert "caf itself has" in done.err
    assert not (log_of_five / ".caf" / name).exists()


def test_an_archive_that_is_missing_is_named(caf: Caf, log_of_five: Path) -> None:
    assert caf("archive", "old.db", "--over-for", "0").code == 0
    (log_of_five / ".caf" / "old.db").rename(log_of_five / "away.db")
    done = caf("verify")
    assert done.code != 0
    assert "old.db" in done.out + done.err
    assert "Traceback" not in done.err
