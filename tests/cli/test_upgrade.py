"""A workspace that an older caf wrote is opened, proved, served and goes on, and what was recorded stays as it was."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Caf
from tests.cli.daemon import serving, until
from tests.cli.test_run import lenient
from tests.docs.small_log import COSTUME, REPAIRED, STEADY

GOLDEN = Path(__file__).parents[1] / "golden" / "workspace-0001"
EVENTS = 86
HEAD = "0bb3b84a1ed7d101ed1a6c3971e9968f29c4de5a8f9b189477041bfcecb6df77"
"""Written down when it was recorded."""
BEGUN = "begun-0001"


@pytest.fixture
def old(workspace: Path, clip: Path) -> Path:
    shutil.copytree(GOLDEN / "artifacts", workspace / ".caf" / "artifacts")
    shutil.copy(GOLDEN / "log.db", workspace / ".caf" / "log.db")
    jobs, clips = workspace / "sandbox" / "jobs", workspace / "sandbox" / "clips"
    jobs.mkdir(parents=True)
    clips.mkdir()
    shutil.copy(GOLDEN / f"{BEGUN}.job.json", jobs)
    shutil.copy(clip, clips / "cat.mp4")
    return workspace


def events(caf: Caf) -> list[dict[str, object]]:
    return [json.loads(line) for line in caf("events", "--json").out.splitlines()]


def statuses(caf: Caf) -> dict[str, str]:
    return {row["job_id"]: row["status"] for row in caf("jobs", "--json").json()}


def test_an_old_workspace_verifies_to_the_digest_that_was_written_down(caf: Caf, old: Path) -> None:
    proved = caf("verify", "--json")
    assert proved.code == 0, proved
    assert proved.json() == {"events": EVENTS, "head_digest": HEAD, "artifacts": 7, "problems": []}


def test_every_job_of_an_old_workspace_is_shown(caf: Caf, old: Path) -> None:
    found = statuses(caf)
    assert sorted(found.values()) == ["completed", "completed", "submitted", "waiting", "waiting", "waiting"]
    for job in found:
        shown = caf("show", job)
        assert shown.code == 0, shown
    assert "youtube" in caf("show", STEADY).out


def test_an_old_workspace_is_served_and_its_jobs_go_on(
    caf: Caf, old: Path, clip: Path, tmp_path: Path
) -> None:
    before = events(caf)
    with serving(old) as daemon:
        until(
            lambda: statuses(caf)[BEGUN] in ("completed", "waiting"), "the job that was begun to end or wait"
        )
        assert caf("answer", COSTUME, "abort").code == 0
        until(lambda: statuses(caf)[COSTUME] == "aborted", "the answer to be taken up")
        again = caf("retry", REPAIRED, "--from", "artifact")
        assert again.code == 0, again
        new = caf("submit", clip, "--job-id", "new-job", "--policy", lenient(tmp_path), "--wait")
        assert new.code == 0, new
        daemon.terminate()
        assert daemon.wait(60) == 0
    after = events(caf)
    assert after[: len(before)] == before
    assert caf("verify").code == 0
    assert caf("rebuild").code == 0
    assert caf("verify").code == 0


def test_the_golden_workspace_is_the_one_that_was_recorded() -> None:
    digest = hashlib.sha256((GOLDEN / "log.db").read_bytes()).hexdigest()
    assert digest == "8ba855a4d9f373d8b8eb6c08ff68a6038e15f55d00324dd8304a44f3fe99ff20"
