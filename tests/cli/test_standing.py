"""`caf show` and `caf status JOB` say why a job is not over: by the daemon where one runs, else by the log."""

from pathlib import Path

import pytest

from tests.cli.conftest import Caf
from tests.cli.daemon import serving, until
from tests.cli.test_run import lenient
from tests.docs.small_log import COSTUME, STEADY


@pytest.fixture
def queue(caf: Caf, clip: Path, workspace: Path, tmp_path: Path) -> Path:
    """A paused workspace with two jobs that wait to be begun."""
    assert caf("pause", "--reason", "the card is being changed").code == 0
    for job in ("first-job", "second-job"):
        ran = caf("submit", clip, "--job-id", job, "--policy", lenient(tmp_path))
        assert ran.code == 0, ran
    return workspace


def test_without_a_daemon_a_job_that_is_not_over_says_so(caf: Caf, queue: Path) -> None:
    shown = caf("show", "first-job")
    assert "NOW" in shown.out
    assert "no daemon serves this workspace" in shown.out
    assert caf("show", "first-job", "--json").json()["standing"]["kind"] == "no_daemon"
    assert "no daemon serves" in caf("status", "first-job").out


def test_the_daemon_says_why_a_job_waits_and_what_comes_first(caf: Caf, queue: Path) -> None:
    with serving(queue):
        shown = caf("show", "second-job")
        assert "the card is being changed" in shown.out
        assert "before it: first-job" in shown.out
        standing = caf("show", "second-job", "--json").json()["standing"]
        assert (standing["kind"], standing["before"]) == ("paused", ["first-job"])
        assert caf("unpause").code == 0
        until(lambda: "completed" in caf("show", "second-job").out, "the job to be completed")
        assert "NOW" not in caf("show", "second-job").out


def test_a_daemon_that_does_not_answer_keeps_nobody_from_what_the_log_says(caf: Caf, queue: Path) -> None:
    with serving(queue, CAF_TOKEN="a-secret-of-some-length"):
        shown = caf("show", "first-job")
        assert shown.code == 0
        assert "first-job  submitted" in shown.out
        assert "The daemon answers 401" in shown.out
        assert caf("status", "first-job").code == 69


def test_a_job_that_is_over_or_waits_for_a_person_has_nothing_to_add(caf: Caf, log_of_five: Path) -> None:
    for job in (STEADY, COSTUME):
        assert "NOW" not in caf("show", job).out
        assert caf("show", job, "--json").json()["standing"] is None
