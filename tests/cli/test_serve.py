"""The daemon's life as people see it: pause, stop, kill, reload, priorities and retries, on a real process."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import TIMEOUT_S, Caf
from tests.cli.daemon import serving, until
from tests.cli.test_run import lenient
from tests.clips import make_clip


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return lenient(tmp_path)


def submit(caf: Caf, clip: Path, job: str, policy: Path, *more: str) -> None:
    ran = caf("submit", clip, "--job-id", job, "--policy", policy, *more)
    assert ran.code == 0, ran


def told(caf: Caf, *arguments: str) -> list[dict[str, Any]]:
    """The events that the log has; none of a job that it does not know yet."""
    asked = caf("events", *arguments, "--json")
    return [json.loads(line) for line in asked.out.splitlines()] if asked.code == 0 else []


def types(caf: Caf, *arguments: str) -> list[str]:
    return [event["type"] for event in told(caf, *arguments)]


def running(caf: Caf) -> list[str]:
    """The stages that are in a lane."""
    return [item["stage"] for lane in caf("status", "--json").json()["lanes"] for item in lane["running"]]


def status(caf: Caf, job: str) -> str:
    return {row["job_id"]: row["status"] for row in caf("jobs", "--json").json()}[job]


def test_a_pause_is_recorded_outlives_the_daemon_and_ends_when_somebody_says_so(
    caf: Caf, workspace: Path, clip: Path, policy: Path
) -> None:
    assert caf("pause", "--reason", "new card").code == 0
    submit(caf, clip, "paused-job", policy)
    for _ in ("a daemon", "the next one"):
        with serving(workspace) as daemon:
            assert caf("status", "--json").json()["paused"]["reason"] == "new card"
            assert "new card" in caf("status", "paused-job").out
            daemon.terminate()
            assert daemon.wait(TIMEOUT_S) == 0
    assert types(caf, "paused-job") == ["JobSubmitted"]
    with serving(workspace):
        assert caf("unpause").code == 0
        until(lambda: status(caf, "paused-job") == "completed", "the job to be completed")
    own = [event["type"] for event in told(caf) if event["stream"] == "daemon-serve"]
    assert own.count("QueuePaused") == own.count("QueueUnpaused") == 1


def test_a_stopped_daemon_interrupts_what_runs_and_the_next_one_runs_it_again_at_no_cost(
    caf: Caf, workspace: Path, tmp_path: Path, policy: Path
) -> None:
    long = make_clip(tmp_path / "long.mp4", frames=240, fps=24, subject=True)
    with serving(workspace, CAF_GRACE_S="0") as daemon:
        submit(caf, long, "stopped-job", policy)
        # What only waits for a lane is not interrupted: stop within a stage that takes seconds.
        until(lambda: "pose" in running(caf), "a stage to run")
        daemon.terminate()
        assert daemon.wait(TIMEOUT_S) == 0
    ended = types(caf, "stopped-job")
    assert "StageInterrupted" in ended
    assert "StageFailed" not in ended
    [stopped] = told(caf, "--type", "DaemonStopped")
    assert (stopped["data"]["reason"], stopped["data"]["interrupted"]) == ("SIGTERM", 1)
    with serving(workspace):
        until(lambda: status(caf, "stopped-job") == "completed", "the job to be completed")
    assert types(caf, "stopped-job").count("AttemptStarted") == 1
    assert caf("verify").code == 0


def test_a_killed_daemon_leaves_no_word_and_the_next_one_goes_on(
    caf: Caf, workspace: Path, clip: Path, policy: Path
) -> None:
    with serving(workspace) as daemon:
        submit(caf, clip, "killed-job", policy)
        until(lambda: "StageStarted" in types(caf, "killed-job"), "a stage to begin")
        daemon.send_signal(signal.SIGKILL)
        daemon.wait(TIMEOUT_S)
    assert types(caf, "--type", "DaemonStopped") == []
    assert caf("status").code == 69
    with serving(workspace):
        until(lambda: status(caf, "killed-job") == "completed", "the job to be completed")
    ended = types(caf, "killed-job")
    assert ended.count("AttemptStarted") == ended.count("JobCompleted") == 1
    assert caf("verify").code == 0


def test_a_reload_is_for_new_jobs_and_the_log_says_by_what_each_was_judged(
    caf: Caf, workspace: Path, clip: Path, policy: Path
) -> None:
    workspace.mkdir()
    shutil.copy(policy, workspace / "policy.json")
    (workspace / "caf.toml").write_text('policy = "policy.json"\n', "utf-8")
    with serving(workspace) as daemon:
        drop(workspace, clip, "old-job")
        until(lambda: "JobSubmitted" in types(caf, "old-job"), "the first job to be taken in")
        other = json.loads(policy.read_text("utf-8")) | {"policy_id": "other-policy"}
        (workspace / "policy.json").write_text(json.dumps(other), "utf-8")
        daemon.send_signal(signal.SIGHUP)
        until(lambda: types(caf, "--type", "ConfigReloaded") != [], "the settings to be read again")
        drop(workspace, clip, "new-job")
        until(lambda: "JobSubmitted" in types(caf, "new-job"), "the second job to be taken in")
    judged = {
        event["data"]["job_id"]: event["data"]["policy"]["policy_id"]
        for event in told(caf, "--type", "JobSubmitted")
    }
    assert judged == {"old-job": "sound-only", "new-job": "other-policy"}
    [reloaded] = told(caf, "--type", "ConfigReloaded")
    assert reloaded["data"]["settings"]["policy_id"] == "other-policy"


def drop(workspace: Path, clip: Path, job: str) -> None:
    shutil.copy(clip, workspace / "sandbox" / "cat.mp4")
    document = {"job_id": job, "video": {}, "render": {"background_asset": "cat.mp4"}}
    (workspace / "sandbox" / "jobs" / f"{job}.job.json").write_text(json.dumps(document), "utf-8")


def test_a_job_of_a_higher_priority_is_begun_first(
    caf: Caf, workspace: Path, clip: Path, policy: Path
) -> None:
    assert caf("pause").code == 0
    for job, priority in (("patient-job", "0"), ("urgent-job", "5"), ("next-job", "0")):
        submit(caf, clip, job, policy, "--priority", priority)
    with serving(workspace, CAF_JOBS_AT_ONCE="1"):
        assert caf("status", "--json").json()["queue"] == ["urgent-job", "patient-job", "next-job"]
        assert caf("unpause").code == 0
        until(lambda: status(caf, "next-job") == "completed", "all jobs to be completed")
    begun = [event["stream"] for event in told(caf, "--type", "AttemptStarted")]
    assert begun == ["job-urgent-job", "job-patient-job", "job-next-job"]


def test_a_job_that_is_over_is_retried_as_a_new_one_that_names_it(
    caf: Caf, workspace: Path, clip: Path, policy: Path
) -> None:
    with serving(workspace):
        assert caf("submit", clip, "--job-id", "first-job", "--policy", policy, "--wait").code == 0
        before = caf("events", "first-job", "--json").out
        again = caf("retry", "first-job", "--from", "motion", "--note", "other light")
        assert (again.code, again.out.strip()) == (0, "first-job-2")
        until(lambda: status(caf, "first-job-2") == "completed", "the new job to be completed")
    assert caf("events", "first-job", "--json").out == before
    [submitted] = told(caf, "first-job-2", "--type", "JobSubmitted")
    assert submitted["data"]["retry_of"] == {
        "job_id": "first-job",
        "attempt_id": "run-0001",
        "from_stage": "motion",
        "by": submitted["data"]["retry_of"]["by"],
        "note": "other light",
    }
    done = {
        event["data"]["stage"]: event["data"]["reused"]
        for event in told(caf, "first-job-2", "--type", "StageCompleted")
    }
    assert (done["pose"], done["frame"], done["motion"], done["video"]) == (True, True, False, False)
