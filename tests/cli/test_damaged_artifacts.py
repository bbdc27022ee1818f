"""An artifact is used, reused and published only while it has the bytes that the log says."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Caf
from tests.cli.test_run import lenient

JOB = "first-job"


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lenient(tmp_path_factory.mktemp("policy"))


@pytest.fixture
def completed(caf: Caf, clip: Path, policy: Path) -> Caf:
    assert caf("run", clip, "--job-id", JOB, "--policy", policy).code == 0
    return caf


def stored(caf: Caf, workspace: Path, stage: str) -> Path:
    [row] = caf("sql", f"SELECT artifacts FROM stages WHERE stage = '{stage}'", "--json").json()
    digest = json.loads(row["artifacts"])[0]["sha256"]
    return workspace / ".caf" / "artifacts" / digest[:2] / digest[2:]


def other_bytes(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def removed(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [other_bytes, cut, removed])
def test_a_damaged_artifact_is_not_taken_for_the_work_and_is_mended(
    completed: Caf, clip: Path, workspace: Path, policy: Path, damage: Callable[[Path], None]
) -> None:
    final = stored(completed, workspace, "video")
    right = final.read_bytes()
    damage(final)
    assert completed("verify").code == 1
    assert completed("run", clip, "--job-id", "second-job", "--policy", policy).code == 0
    reused = completed(
        "sql", "SELECT stage FROM stages WHERE job_id = 'second-job' AND reused ORDER BY stage", "--json"
    ).json()
    assert [row["stage"] for row in reused] == ["frame", "motion", "pose"]
    assert final.read_bytes() == right
    assert (workspace / "sandbox" / "output" / "second-job" / "final.mp4").read_bytes() == right
    assert completed("verify").code == 0


def test_a_stage_is_not_run_on_a_damaged_input_and_the_question_says_what_mends_it(
    caf: Caf, hanging: Path, workspace: Path
) -> None:
    ran = caf("run", hanging, "--job-id", JOB)
    assert ran.code == 4, ran
    other_bytes(stored(caf, workspace, "frame"))
    assert caf("answer", JOB, "retry", "--from", "motion").code == 0
    asked = caf("resume", JOB, "--json")
    assert asked.code == 4
    request = asked.json()["user_action_required"]
    assert request["reason"] == "ARTIFACT_CORRUPTED"
    assert request["example_fix"] == f"caf answer {JOB} retry --from artifact"
    assert "has the digest" in asked.json()["detail"]
    assert caf("answer", JOB, "retry", "--from", "artifact").code == 0
    again = caf("resume", JOB, "--json").json()
    assert again["user_action_required"]["reason"] != "ARTIFACT_CORRUPTED"
    assert caf("verify").code == 0


def test_an_output_that_somebody_took_away_is_put_back_by_resume(completed: Caf, workspace: Path) -> None:
    output = workspace / "sandbox" / "output" / JOB
    right = {path.name: path.read_bytes() for path in output.iterdir()}
    before = completed("events", JOB).out
    shutil.rmtree(output)
    assert "put it back with: caf resume first-job" in completed("show", JOB).out
    assert completed("verify").code == 0
    assert completed("resume", JOB).code == 0
    assert {path.name: path.read_bytes() for path in output.iterdir()} == right
    assert "put it back" not in completed("show", JOB).out
    assert completed("events", JOB).out == before


def test_an_output_that_cannot_be_put_back_is_told(completed: Caf, workspace: Path) -> None:
    other_bytes(stored(completed, workspace, "video"))
    (workspace / "sandbox" / "output" / JOB / "final.mp4").unlink()
    ran = completed("resume", JOB)
    assert ran.code == 65
    assert "has the digest" in ran.err
    assert "Traceback" not in ran.err
    assert not (workspace / "sandbox" / "output" / JOB / "final.mp4").exists()
