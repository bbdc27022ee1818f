"""Native code that hangs, aborts or wants too much memory, under a real daemon: one job's trouble, and told as such."""

import os
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.serving import MEASURED, Daemon, eventually, serving

STALL_S = 8


@pytest.fixture(scope="module")
def daemon(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    workspace = shutil.copytree(prepared, tmp_path_factory.mktemp("isolation") / "workspace")
    with serving(workspace, CAF_STALL_S=str(STALL_S)) as one:
        yield one


def failure(daemon: Daemon, job_id: str, stage: str) -> dict[str, object]:
    data = daemon.until_recorded(job_id, "StageFailed", stage=stage)["data"]
    told: dict[str, object] = data["failure"]
    return told


def gone(daemon: Daemon, child: int) -> bool:
    return child not in daemon.children() and not Path(f"/proc/{child}").exists()


def attempts(daemon: Daemon, job_id: str) -> int:
    return daemon.types(job_id).count("AttemptStarted")


@pytest.mark.parametrize(("task", "stage"), [("pose", "pose"), ("frame", "frame")])
def test_a_worker_that_hangs_is_a_failed_stage_and_the_job_is_tried_again(
    daemon: Daemon, task: str, stage: str
) -> None:
    name = f"hangs-in-{task}"
    daemon.drop(name, "long.mp4", fresh=True)
    child = daemon.child_at(name, task)
    os.kill(child, signal.SIGSTOP)
    if task == "pose":  # the frames' lane has one worker only
        daemon.drop("beside-a-hang", fresh=True)
        assert daemon.until_over("beside-a-hang") == "JobCompleted"
    told = failure(daemon, name, stage)
    assert (told["kind"], told["transient"]) == ("worker_stalled", True)
    assert f"{STALL_S} s" in str(told["message"])
    eventually(lambda: gone(daemon, child), "the worker is gone")
    assert daemon.until_over(name) == "JobCompleted"
    assert attempts(daemon, name) == 2


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV, signal.SIGKILL])
def test_a_worker_that_dies_is_a_failed_stage_and_the_job_is_tried_again(
    daemon: Daemon, number: signal.Signals
) -> None:
    name = f"dies-of-{number.name.lower()}"
    daemon.drop(name, "long.mp4", fresh=True)
    with daemon.held(name, "pose") as child:
        os.kill(child, number)
    told = failure(daemon, name, "pose")
    assert (told["kind"], told["transient"]) == ("worker_crashed", True)
    assert number.name in str(told["message"])
    eventually(lambda: gone(daemon, child), "the worker is gone")
    assert daemon.until_over(name) == "JobCompleted"
    assert attempts(daemon, name) == 2


def test_a_worker_that_dies_while_measuring_is_asked_again(daemon: Daemon) -> None:
    daemon.drop("dies-measuring", "long.mp4", fresh=True, **MEASURED)
    with daemon.held("dies-measuring", "measure") as child:
        os.kill(child, signal.SIGABRT)
    assert daemon.until_over("dies-measuring") == "JobCompleted"
    report = daemon.until_recorded("dies-measuring", "QCPassed", stage="frame")["data"]["report"]
    assert [gate["status"] for gate in report["gates"]] == ["PASS"]
    assert attempts(daemon, "dies-measuring") == 1


def test_restarts_of_workers_are_counted(daemon: Daemon) -> None:
    before = restarts(daemon)
    daemon.drop("dies-counted", "long.mp4", fresh=True)
    with daemon.held("dies-counted", "pose") as child:
        os.kill(child, signal.SIGKILL)
    assert daemon.until_over("dies-counted") == "JobCompleted"
    assert restarts(daemon) >= before + 1


def restarts(daemon: Daemon) -> float:
    """What the metrics say of them."""
    url = next(state for state in daemon.notified if "http" in state).rpartition(" ")[2]
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    [count] = [line.split()[1] for line in lines if line.startswith("caf_child_restarts_total ")]
    return float(count)


def test_too_little_memory_is_told_with_the_limit_and_mended_by_more(workspace: Path) -> None:
    with serving(workspace, CAF_MEMORY_MB="1024") as poor:
        poor.drop("wants-memory", fresh=True)
        told = failure(poor, "wants-memory", "pose")
        assert (told["kind"], told["transient"]) == ("out_of_memory", False)
        assert "its limit of 1024 MiB" in str(told["message"])
        poor.until_recorded("wants-memory", "Escalated")
        assert poor.stop() == 0
    with serving(workspace) as rich:
        assert rich.caf("answer", "wants-memory", "retry", "--from", "pose").code == 0
        assert rich.until_over("wants-memory") == "JobCompleted"


def test_a_worker_that_hangs_does_not_keep_the_daemon_from_stopping(workspace: Path) -> None:
    with serving(workspace, CAF_GRACE_S="0") as daemon:
        daemon.drop("hangs-at-stop", "long.mp4", fresh=True)
        child = daemon.child_at("hangs-at-stop", "pose")
        os.kill(child, signal.SIGSTOP)
        assert daemon.stop() == 0
        assert not Path(f"/proc/{child}").exists()
