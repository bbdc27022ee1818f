"""A daemon's life: one a workspace, told by signals, ended in good order or not at all in good order."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from caf.contracts.read import write_document
from caf.daemon.lock import daemon_address
from tests.daemon.serving import MEASURED, PATIENCE_S, Daemon, caf, calling, eventually, serving
from tests.support.jobs import gate, policy_of


def completions(workspace: Path, job_id: str) -> list[tuple[str, str, Any]]:
    """What a job's log says that it gave: stages with their artifacts, and how it ended."""
    lines = caf(workspace, "events", job_id, "--json").out.splitlines()
    found = []
    for event in map(json.loads, lines):
        data = event["data"]
        if event["type"] == "StageCompleted":
            found.append((event["type"], data["stage"], [item["sha256"] for item in data["artifacts"]]))
        elif event["type"] == "JobCompleted":
            found.append((event["type"], "", data["final_sha256"]))
    return found


def test_a_second_daemon_is_refused_and_told_of_the_first(daemon: Daemon) -> None:
    second = daemon.caf("serve")
    assert second.code == 75
    assert f"process {daemon.process.pid}, http://127.0.0.1:" in second.err
    assert "Traceback" not in second.err


def test_of_two_daemons_started_at_once_one_serves(workspace: Path) -> None:
    both = [Daemon(workspace), Daemon(workspace)]
    eventually(lambda: [one for one in both if one.process.poll() is not None], "one of them gives up")
    refused, serves = sorted(both, key=lambda one: one.process.poll() is None)
    assert refused.ended() == 75
    serves.until_ready()
    serves.drop("one-of-two")
    assert serves.until_over("one-of-two") == "JobCompleted"
    assert serves.stop() == 0


def test_the_lock_of_a_killed_daemon_is_free_at_once(workspace: Path) -> None:
    with serving(workspace) as first:
        assert daemon_address(workspace / ".caf") is not None
        first.kill()
    assert daemon_address(workspace / ".caf") is None
    with serving(workspace) as second:
        address = daemon_address(workspace / ".caf")
        assert address is not None
        assert address.pid == second.process.pid


def test_systemd_is_told_of_start_life_and_end(workspace: Path) -> None:
    with serving(workspace, WATCHDOG_USEC="3000000") as daemon:
        assert daemon.notified[0].startswith("READY=1\nSTATUS=serving on http://127.0.0.1:")
        daemon.until(lambda: daemon.notified.count("WATCHDOG=1") >= 2, "two beats")
        assert daemon.stop() == 0
    assert [state for state in daemon.notified if state.startswith("STOPPING=1")]
    assert daemon_address(workspace / ".caf") is None


def test_a_socket_with_a_path_is_told_as_well(workspace: Path, tmp_path: Path) -> None:
    place = f"/tmp/caf-{os.getpid()}-{tmp_path.name[-20:]}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(place)
        listening.settimeout(PATIENCE_S)
        with calling(workspace, "serve", "-q", NOTIFY_SOCKET=place) as process:
            assert listening.recv(4096).startswith(b"READY=1")
            process.terminate()
            assert listening.recv(4096).startswith(b"STOPPING=1")
            process.communicate()
        Path(place).unlink()
    assert process.returncode == 0


def test_the_unit_is_one_that_systemd_takes(daemon: Daemon, tmp_path: Path) -> None:
    ran = daemon.caf("serve", "--print-unit", "--listen", "127.0.0.1:9000", "--no-http")
    assert ran.code == 0
    assert "--listen 127.0.0.1:9000 --no-http" in ran.out
    assert "Кошки 100%%" in ran.out
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("systemd-analyze is not here")
    unit = tmp_path / "caf.service"
    unit.write_text(ran.out)
    checked = subprocess.run(
        [verify, "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    said = [line for line in (checked.stdout + checked.stderr).splitlines() if "caf.service" in line]
    assert said == []


def test_a_running_stage_ends_within_the_grace_and_the_next_start_goes_on(workspace: Path) -> None:
    with serving(workspace) as first:
        first.drop("drained", "long.mp4", fresh=True)
        with first.held("drained", "pose"):
            first.signal(signal.SIGTERM)
            first.until_said("SIGTERM: 1 running stages get 30 s")
        assert first.ended() == 0
        assert first.events[-1]["data"]["interrupted"] == 0
        assert "StageInterrupted" not in first.types("drained")
        assert [e["data"]["stage"] for e in first.of("drained") if e["type"] == "StageCompleted"][
            -1
        ] == "pose"
    with serving(workspace) as second:
        assert second.until_over("drained") == "JobCompleted"
        begun = [e["data"]["stage"] for e in second.of("drained") if e["type"] == "StageStarted"]
        assert begun == ["motion", "video"]  # the frame stage stood begun, and waited for its lane
    assert len([kind for kind, _, _ in completions(workspace, "drained") if kind == "JobCompleted"]) == 1


def test_a_stage_that_takes_longer_is_interrupted_and_comes_to_the_same_result(workspace: Path) -> None:
    with serving(workspace, CAF_GRACE_S="0.2") as first:
        first.drop("interrupted", "long.mp4", fresh=True)
        with first.held("interrupted", "frame"):
            assert first.stop() == 0
        told = first.until_recorded("interrupted", "StageInterrupted")["data"]
        assert (told["stage"], told["gate"], told["reason"]) == ("frame", False, "SIGTERM")
        assert first.events[-1]["type"] == "DaemonStopped"
        assert first.events[-1]["data"]["interrupted"] == 1
    with serving(workspace) as second:
        assert second.until_over("interrupted") == "JobCompleted"
    undisturbed = shutil.copytree(
        workspace, workspace.with_name("undisturbed"), ignore=shutil.ignore_patterns(".caf")
    )
    assert caf(undisturbed, "run", "--job", str(workspace / "sandbox/jobs/interrupted.job.json")).code == 0
    assert completions(workspace, "interrupted") == completions(undisturbed, "interrupted")


@pytest.mark.parametrize("first_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_interrupts_what_runs(workspace: Path, first_signal: signal.Signals) -> None:
    with serving(workspace, CAF_GRACE_S="600") as daemon:
        daemon.drop("hurried", "long.mp4", fresh=True)
        with daemon.held("hurried", "pose"):
            daemon.signal(first_signal)
            daemon.until_said("running stages get 600 s")
            daemon.signal(signal.SIGTERM)
            assert daemon.ended() == 0
        assert daemon.types("hurried")[-1] == "StageInterrupted"


def test_a_third_signal_ends_it_at_once_and_loses_nothing(workspace: Path) -> None:
    with serving(workspace, CAF_GRACE_S="600") as daemon:
        daemon.drop("ended-at-once", "long.mp4", fresh=True)
        with daemon.held("ended-at-once", "pose"):
            for _ in range(3):
                daemon.signal(signal.SIGTERM)
                eventually(lambda: _pending(daemon) == 0 or daemon.process.poll() is not None, "it was heard")
            daemon.ended()
    with serving(workspace) as second:
        assert second.until_over("ended-at-once") == "JobCompleted"


def _pending(daemon: Daemon) -> int:
    """The signals that the process has not been told yet."""
    try:
        status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    except OSError:
        return 0
    return sum(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("ShdPnd"))


@pytest.mark.parametrize("task", ["pose", "frame", "measure"])
def test_a_daemon_killed_in_the_middle_of_work_completes_it_after_a_restart(
    workspace: Path, task: str
) -> None:
    with serving(workspace) as first:
        first.drop("killed-under", "long.mp4", fresh=True, **MEASURED)
        with first.held("killed-under", task) as child:
            first.kill()
            eventually(lambda: not Path(f"/proc/{child}").exists(), "the worker dies with its daemon")
    with serving(workspace) as second:
        assert second.until_over("killed-under") == "JobCompleted"
        second.stop()
    told = completions(workspace, "killed-under")
    assert [stage for _, stage, _ in told] == ["artifact", "pose", "frame", "motion", "video", ""]
    assert not list((workspace / ".caf" / "tmp").iterdir())
    assert caf(workspace, "verify").code == 0


def test_reloading_judges_new_jobs_by_the_new_policy_and_old_ones_by_the_old(workspace: Path) -> None:
    with serving(workspace) as daemon:
        # It tells systemd and its reader by ways of their own: the one may come before the other.
        started = daemon.until(
            lambda: next(
                (e["data"]["settings"] for e in daemon.events if e["type"] == "DaemonStarted"), None
            ),
            "a start",
        )
        assert started is not None
        daemon.drop("judged-old", "long.mp4", fresh=True)
        with daemon.held("judged-old", "pose"):
            new = policy_of(gate("costume_fidelity", dimension="costume"), retries=1)
            (workspace / "easy.json").write_bytes(write_document(new))
            daemon.signal(signal.SIGHUP)
            reloaded = daemon.until(
                lambda: next((e for e in daemon.events if e["type"] == "ConfigReloaded"), None), "a reload"
            )
            assert reloaded is not None
            settings = reloaded["data"]["settings"]
            assert settings["policy_sha256"] != started["policy_sha256"]
            daemon.drop("judged-new")
            daemon.until_over("judged-new")
        daemon.until_over("judged-old")
        told = {
            name: daemon.until_recorded(name, "JobSubmitted")["data"] for name in ("judged-old", "judged-new")
        }
    assert told["judged-old"]["policy_sha256"] == started["policy_sha256"]
    assert told["judged-new"]["policy_sha256"] == settings["policy_sha256"]
    assert told["judged-old"]["policy"]["max_retries_default"] == 2
    assert told["judged-new"]["policy"]["max_retries_default"] == 1


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("easy.json", b'{"version": "qc_policy.v1", "gates": 7}'),
        ("easy.json", b""),
        ("caf.toml", b"policy = "),
        ("caf.toml", b'policy = "nowhere.json"'),
        ("caf.toml", b'policy = "a\\u0000b"'),
        ("caf.toml", b"workers = 0"),
    ],
)
def test_settings_that_are_broken_leave_all_as_it_was(daemon: Daemon, file: str, content: bytes) -> None:
    place = daemon.workspace / file
    before, said = place.read_bytes(), len(daemon.said)
    place.write_bytes(content)
    try:
        daemon.signal(signal.SIGHUP)
        daemon.until(
            lambda: [line for line in daemon.said[said:] if "the settings stay as they were" in line],
            "it says so",
        )
    finally:
        place.write_bytes(before)
    assert not [event for event in daemon.events if event["type"] == "ConfigReloaded"]
    name = f"after-{file.partition('.')[0]}-{len(content)}"
    daemon.drop(name)
    assert daemon.until_over(name) == "JobCompleted"


def test_what_only_a_restart_changes_is_told(workspace: Path) -> None:
    with serving(workspace) as daemon:
        with (workspace / "caf.toml").open("a") as file:
            file.write("workers = 3\ngrace_s = 1\n")
        daemon.signal(signal.SIGHUP)
        assert daemon.until_said("only a restart changes") == "caf: only a restart changes workers"


def test_a_stop_while_it_starts_is_followed(workspace: Path) -> None:
    daemon = Daemon(workspace)
    eventually(lambda: daemon_address(workspace / ".caf"), "it has the lock")
    daemon.signal(signal.SIGHUP)
    assert daemon.stop() == 0
    kinds = [event["type"] for event in daemon.events]
    assert kinds in ([], ["DaemonStarted", "DaemonStopped"])
    assert daemon_address(workspace / ".caf") is None


def test_an_address_that_is_taken_is_told_and_nothing_is_begun(workspace: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = caf(workspace, "serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert ran.code == 75
    assert "cannot listen" in ran.err
    assert caf(workspace, "events", "--json").out == ""


def test_nobody_who_stops_reading_what_it_says_stops_the_daemon(workspace: Path) -> None:
    """Its standard error is a pipe that is full, its standard output one that is closed."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 65536)
    except BlockingIOError:
        os.set_blocking(writing, True)
    with calling(workspace, "submit", str(workspace / "sandbox" / "short.mp4"), "--job-id", "unheard"):
        pass
    read_end, write_end = os.pipe()
    os.close(read_end)
    environment = {**os.environ, "CAF_WORKSPACE": str(workspace)}
    daemon = subprocess.Popen(
        [sys.executable, "-m", "caf.cli", "serve", "--json"],
        env=environment,
        stdout=write_end,
        stderr=writing,
    )
    os.close(write_end)
    os.close(writing)
    final = workspace / "sandbox" / "output" / "unheard" / "final.mp4"
    eventually(final.exists, "the job is done")
    daemon.terminate()
    assert daemon.wait(PATIENCE_S) == 0
    os.close(reading)
