"""The daemon's queue as people use it: submit and wait, cancel, pause, retry, and why a job waits."""

import fcntl
import json
from pathlib import Path

import pytest

from tests.daemon.serving import STRICT, Daemon, caf, calling, document, eventually, fresh_clip, serving


def short(daemon: Daemon) -> str:
    return str(daemon.workspace / "sandbox" / "short.mp4")


def job_file(workspace: Path, job_id: str, **more: object) -> str:
    """A job document outside of the folder that the daemon looks at."""
    path = workspace / f"{job_id}.job.json"
    path.write_text(json.dumps(document(job_id, **more)))  # type: ignore[arg-type]
    return str(path)


def test_a_submitted_clip_is_done_by_the_daemon(daemon: Daemon) -> None:
    ran = daemon.caf("submit", short(daemon), "--job-id", "from-command-line")
    assert (ran.code, ran.out) == (0, "from-command-line\n")
    assert daemon.until_over("from-command-line") == "JobCompleted"


def test_submit_wait_follows_to_the_end_and_exits_as_run_does(daemon: Daemon) -> None:
    done = daemon.caf("submit", short(daemon), "--job-id", "waited-for", "--wait", "--json")
    assert (done.code, done.json()["status"]) == (0, "completed")
    asks = daemon.caf("submit", "--job", job_file(daemon.workspace, "waits-person", **STRICT), "--wait")
    assert asks.code == 4
    assert daemon.caf("submit", str(daemon.workspace / "caf.toml"), "--wait").code == 65
    assert daemon.caf("submit", short(daemon), "--job-id", "waited-for").code == 2


def test_submit_wait_exits_with_5_for_a_job_that_is_called_off(daemon: Daemon) -> None:
    clip = str(daemon.workspace / "sandbox" / fresh_clip(daemon.workspace, "long.mp4"))
    with calling(daemon.workspace, "submit", clip, "--job-id", "called-off", "--wait") as waiting:
        with daemon.held("called-off", "pose"):
            assert daemon.caf("cancel", "called-off").code == 0
        waiting.communicate()
    assert waiting.returncode == 5


def test_a_job_that_runs_is_cancelled_at_once_and_its_worker_with_it(daemon: Daemon) -> None:
    daemon.drop("cancel-me", "long.mp4", fresh=True)
    with daemon.held("cancel-me", "pose") as child:
        assert daemon.caf("cancel", "cancel-me", "--reason", "no cat").code == 0
        daemon.until_recorded("cancel-me", "JobCancelled")
        eventually(lambda: child not in daemon.children(), "the worker is gone")
    daemon.drop("after-a-cancel")
    assert daemon.until_over("after-a-cancel") == "JobCompleted"
    assert daemon.types("cancel-me")[-1] == "JobCancelled"


def test_the_same_stage_of_two_jobs_is_computed_once_and_the_other_says_whom_it_waits_for(
    daemon: Daemon,
) -> None:
    clip = fresh_clip(daemon.workspace, "short.mp4")
    daemon.drop("first-twin", clip)
    with daemon.held("first-twin", "pose"):
        daemon.drop("second-twin", clip)
        waits = daemon.until_stands("second-twin", "lane")
        assert "would give the same as that of first-twin" in waits["why"]
        assert waits["before"] == ["first-twin"]
    assert daemon.until_over("first-twin") == daemon.until_over("second-twin") == "JobCompleted"
    for stage in ("pose", "frame", "motion", "video"):
        done = [
            daemon.until_recorded(job_id, "StageCompleted", stage=stage)
            for job_id in ("first-twin", "second-twin")
        ]
        assert sorted(event["data"]["reused"] for event in done) == [False, True], stage


def test_a_job_goes_on_with_the_work_that_its_twin_was_called_off_at(daemon: Daemon) -> None:
    clip = fresh_clip(daemon.workspace, "short.mp4")
    daemon.drop("ended-twin", clip)
    with daemon.held("ended-twin", "pose"):
        daemon.drop("other-twin", clip)
        daemon.until_stands("other-twin", "lane")
        assert daemon.caf("cancel", "ended-twin").code == 0
    assert daemon.until_over("other-twin") == "JobCompleted"
    assert daemon.until_recorded("other-twin", "StageCompleted", stage="pose")["data"]["reused"] is False


def test_a_job_that_waits_for_a_lane_says_so_and_can_be_cancelled(daemon: Daemon) -> None:
    daemon.drop("has-the-lane", "long.mp4", fresh=True)
    with daemon.held("has-the-lane", "frame"):
        daemon.drop("wants-the-lane", fresh=True)
        told = daemon.until_stands("wants-the-lane", "lane")
        assert told["lane"] == "render"
        assert "has-the-lane has it" in told["why"]
        assert daemon.standing("has-the-lane")["kind"] == "runs"
        daemon.caf("cancel", "wants-the-lane")
        daemon.until_recorded("wants-the-lane", "JobCancelled")
    assert daemon.until_over("has-the-lane") == "JobCompleted"
    assert daemon.types("wants-the-lane")[-1] == "JobCancelled"


def test_a_retry_is_a_new_linked_job_that_takes_over_the_stages_before(daemon: Daemon) -> None:
    daemon.drop("first-try")
    daemon.until_over("first-try")
    ran = daemon.caf("retry", "first-try", "--from", "motion", "--note", "smoother", "--json")
    assert ran.json()["job_id"] == "first-try-2"
    daemon.until_over("first-try-2")
    linked = daemon.until_recorded("first-try-2", "JobSubmitted")["data"]["retry_of"]
    assert (linked["job_id"], linked["from_stage"], linked["note"]) == ("first-try", "motion", "smoother")
    stages = [event["data"] for event in daemon.of("first-try-2") if event["type"] == "StageCompleted"]
    assert {item["stage"]: item["reused"] for item in stages} == {
        "artifact": False,
        "pose": True,
        "frame": True,
        "motion": False,
        "video": False,
    }


def test_run_beside_a_daemon_does_every_stage_once(daemon: Daemon) -> None:
    ran = daemon.caf("run", short(daemon), "--job-id", "ran-beside")
    assert ran.code == 0
    daemon.until_over("ran-beside")
    types = daemon.types("ran-beside")
    assert types.count("StageStarted") == types.count("StageCompleted") == 5
    assert daemon.until_stands("ran-beside", "over")


def test_a_job_of_the_daemon_is_nobody_elses(daemon: Daemon) -> None:
    daemon.drop("mine-alone", "long.mp4", fresh=True)
    with daemon.held("mine-alone", "pose"):
        assert daemon.caf("resume", "mine-alone").code == 75
    assert daemon.until_over("mine-alone") == "JobCompleted"
    assert daemon.types("mine-alone").count("StageStarted") == 5


def test_a_job_that_another_process_holds_is_held_back_and_done_later(daemon: Daemon) -> None:
    locks = daemon.workspace / ".caf" / "locks"
    locks.mkdir(exist_ok=True)
    with (locks / "held-elsewhere").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        daemon.drop("held-elsewhere")
        told = daemon.until_stands("held-elsewhere", "held")
        assert "Another process is working on job held-elsewhere" in told["why"]
        assert daemon.caf("status").code == 0
    assert daemon.until_over("held-elsewhere") == "JobCompleted"


def test_a_job_that_asks_a_person_and_one_that_is_over_say_so(daemon: Daemon) -> None:
    daemon.drop("asks-status", **STRICT)
    daemon.drop("over-status")
    daemon.until_recorded("asks-status", "Escalated")
    daemon.until_over("over-status")
    assert "waits for a person" in daemon.until_stands("asks-status", "person")["why"]
    assert daemon.until_stands("over-status", "over")["why"] == "it is completed"
    assert daemon.caf("answer", "asks-status", "abort").code == 0
    assert daemon.until_over("asks-status") == "JobAborted"


def test_status_tells_what_runs(daemon: Daemon) -> None:
    daemon.drop("seen-running", "long.mp4", fresh=True)
    with daemon.held("seen-running", "pose"):
        told = daemon.caf("status", "--json").json()
        running = [item["job_id"] for lane in told["lanes"] for item in lane["running"]]
        assert "seen-running" in running
        assert "seen-running pose" in daemon.caf("status").out
    daemon.until_over("seen-running")


def test_a_paused_queue_stands_over_restarts_and_goes_on_when_told(workspace: Path) -> None:
    with serving(workspace) as first:
        first.drop("runs-already", "long.mp4", fresh=True)
        with first.held("runs-already", "pose"):
            assert first.caf("pause", "--reason", "new cable").code == 0
            first.until_stands("runs-already", "runs")
        first.until_recorded("runs-already", "StageCompleted", stage="pose")
        told = first.until_stands("runs-already", "paused")
        assert "new cable" in told["why"]
        first.drop("stands-still")
        first.until_recorded("stands-still", "JobSubmitted")
        first.until_stands("stands-still", "paused")
        assert first.stop() == 0
    with serving(workspace) as second:
        assert second.standing("stands-still")["kind"] == "paused"
        second.caf("cancel", "runs-already")
        assert second.until_over("runs-already") == "JobCancelled"
        second.until_stands("runs-already", "over")
        assert second.caf("status", "--json").json()["state"] == "paused"
        assert second.caf("unpause").code == 0
        assert second.until_over("stands-still") == "JobCompleted"
        started = [event["stream"] for event in second.events if event["type"] == "StageStarted"]
        assert "job-runs-already" not in started


def test_higher_priority_goes_first_and_equal_ones_in_turn(workspace: Path) -> None:
    clip = str(workspace / "sandbox" / "short.mp4")
    with serving(workspace, CAF_JOBS_AT_ONCE="1") as daemon:
        daemon.drop("in-the-way", "long.mp4", fresh=True)
        with daemon.held("in-the-way", "pose"):
            for name, priority in (("equal-one", 0), ("equal-two", 0), ("urgent", 5), ("idle-time", -5)):
                daemon.caf("submit", clip, "--job-id", name, "--priority", str(priority))
                daemon.until_recorded(name, "JobSubmitted")
            told = daemon.until_stands("equal-two", "turn")
            assert told["before"] == ["urgent", "equal-one"]
            assert "1 of 1 are under way" in told["why"]
        daemon.until_over("idle-time")
        begun = [e["stream"][4:] for e in daemon.events if e["type"] == "AttemptStarted"]
    assert begun == ["in-the-way", "urgent", "equal-one", "equal-two", "idle-time"]


def test_jobs_of_one_priority_take_turns_in_a_lane(workspace: Path) -> None:
    with serving(workspace, CAF_JOBS_AT_ONCE="3") as daemon:
        daemon.drop("lane-holder", "long.mp4", fresh=True)
        with daemon.held("lane-holder", "frame"):
            daemon.drop("turn-one", "long.mp4", fresh=True)
            daemon.until_stands("turn-one", "lane")
            daemon.drop("turn-two", fresh=True)
            daemon.until_stands("turn-two", "lane")
        with daemon.held("turn-one", "frame"):
            assert daemon.standing("turn-two")["kind"] == "lane"
        for name in ("lane-holder", "turn-one", "turn-two"):
            assert daemon.until_over(name) == "JobCompleted"


def test_without_a_daemon_status_says_so_and_submit_records_for_the_next(workspace: Path) -> None:
    clip = str(workspace / "sandbox" / "short.mp4")
    ran = caf(workspace, "submit", clip, "--job-id", "for-later")
    assert ran.code == 0
    assert "caf serve" in ran.err
    status = caf(workspace, "status", "--json")
    assert (status.code, status.json()) == (69, {"state": "down", "jobs": {"submitted": 1}})
    assert caf(workspace, "status", "for-later", "--json").json()["kind"] == "no_daemon"
    with serving(workspace) as daemon:
        assert daemon.until_over("for-later") == "JobCompleted"


def test_a_daemon_without_http_is_told_from_none(workspace: Path) -> None:
    with serving(workspace, "--no-http") as daemon:
        status = daemon.caf("status", "--json")
        assert (status.code, status.json()["state"]) == (0, "silent")
        daemon.drop("no-http", "long.mp4", fresh=True)
        with daemon.held("no-http", "pose"):
            assert daemon.standing("no-http")["kind"] == "working"
        assert daemon.until_over("no-http") == "JobCompleted"


@pytest.mark.parametrize("arguments", [("unknown-job",), ("unknown-job", "--json")])
def test_a_job_that_nobody_knows_is_told_as_such(daemon: Daemon, arguments: tuple[str, ...]) -> None:
    assert daemon.caf("status", *arguments).code == 2
