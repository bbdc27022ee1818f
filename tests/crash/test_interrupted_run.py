"""`caf run` is really killed at several moments; `caf resume` goes on, doubles nothing, loses nothing."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.clips import make_clip
from tests.support import forked
from tests.support.pause import glance_aside

JOB = "killed-job"
TIMEOUT_S = 240


def caf(workspace: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "caf.cli", *arguments, "--workspace", str(workspace)]


def start(workspace: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(caf(workspace, *arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def ask(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return forked.call([*arguments, "--workspace", workspace], os.environ, timeout_s=TIMEOUT_S)


def events(workspace: Path) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in ask(workspace, "events", JOB, "--json").stdout.splitlines()]


def recorded(workspace: Path) -> int:
    """Events on disk right now, read as any `sqlite3` user would."""
    try:
        with sqlite3.connect(f"file:{workspace}/.caf/log.db?mode=ro", uri=True, timeout=5) as log:
            count: int = log.execute("SELECT count(*) FROM events").fetchone()[0]
            return count
    except sqlite3.OperationalError:
        return 0


def kill_at(workspace: Path, process: subprocess.Popen[bytes], count: int, how: signal.Signals) -> None:
    """Send the signal as soon as the log has `count` events, unless the run ended before."""
    while process.poll() is None and recorded(workspace) < count:
        glance_aside()
    process.send_signal(how)
    process.wait(TIMEOUT_S)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(
        tmp_path_factory.mktemp("clip") / "shaken.mp4", frames=30, fps=24, shake=3.0, subject=True, audio=True
    )


@pytest.fixture(scope="module")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The events of the same run when nothing disturbs it."""
    workspace = tmp_path_factory.mktemp("whole")
    ask(workspace, "run", str(clip), "--job-id", JOB)
    return events(workspace)


def told(found: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """What an event log says, times and durations apart: types, stages, artifacts, scores and decisions."""
    kept = []
    for event in found:
        data = event["data"]
        artifacts = [item["sha256"] for item in data.get("artifacts", [])]
        scores = [gate["score"] for gate in data.get("report", {}).get("gates", [])]
        kept.append((event["type"], (data.get("stage"), data.get("attempt_id"), artifacts, scores)))
    return kept


def check_after(workspace: Path, whole: list[dict[str, Any]]) -> None:
    """The log tells the same story as an undisturbed run, and everything proves itself."""
    found = events(workspace)
    assert told(found) == told(whole)
    assert len({event["event_id"] for event in found}) == len(found)
    proved = msgspec.json.decode(ask(workspace, "verify", "--json").stdout)
    assert proved["problems"] == []
    assert not list((workspace / ".caf" / "tmp").glob("*"))


@pytest.mark.parametrize("moment", [1, 6, 8, 15])
def test_a_run_killed_at_any_moment_is_resumed_without_doubling_or_losing(
    clip: Path, whole: list[dict[str, Any]], tmp_path: Path, moment: int
) -> None:
    first = start(tmp_path, "run", str(clip), "--job-id", JOB)
    kill_at(tmp_path, first, moment, signal.SIGKILL)
    before = events(tmp_path)
    assert len(before) >= moment
    ended = ask(tmp_path, "resume", JOB)
    assert ended.returncode in (0, 4), ended.stderr
    assert events(tmp_path)[: len(before)] == before
    check_after(tmp_path, whole)


def test_a_run_killed_again_and_again_still_comes_to_the_same_end(
    clip: Path, whole: list[dict[str, Any]], tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    moments = random.Random(seed)
    process = start(tmp_path, "run", str(clip), "--job-id", JOB)
    count = 1
    while count < len(whole):
        kill_at(tmp_path, process, count, signal.SIGKILL)
        count = recorded(tmp_path) + moments.randint(2, 8)
        process = start(tmp_path, "resume", JOB)
    process.wait(TIMEOUT_S)
    check_after(tmp_path, whole)


def test_ctrl_c_keeps_what_was_recorded_and_says_how_to_go_on(
    clip: Path, whole: list[dict[str, Any]], tmp_path: Path
) -> None:
    process = subprocess.Popen(
        caf(tmp_path, "run", str(clip), "--job-id", JOB), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    kill_at(tmp_path, process, 5, signal.SIGINT)
    assert process.returncode == 130
    assert process.stderr is not None
    said = process.stderr.read().decode()
    process.stderr.close()
    assert "caf resume" in said
    assert "Traceback" not in said
    ask(tmp_path, "resume", JOB)
    check_after(tmp_path, whole)


@pytest.mark.parametrize(("moment", "second"), [(1, signal.SIGINT), (12, signal.SIGTERM)])
def test_a_second_ctrl_c_ends_the_run_at_once_and_costs_nothing(
    clip: Path, whole: list[dict[str, Any]], tmp_path: Path, moment: int, second: signal.Signals
) -> None:
    process = subprocess.Popen(
        caf(tmp_path, "run", str(clip), "--job-id", JOB), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while process.poll() is None and recorded(tmp_path) < moment:
        glance_aside()
    process.send_signal(signal.SIGINT)
    process.send_signal(second)
    said = process.communicate(timeout=TIMEOUT_S)[1].decode()
    assert process.returncode == 130
    assert "Traceback" not in said
    ask(tmp_path, "resume", JOB)
    check_after(tmp_path, whole)


def test_two_processes_do_not_work_on_one_job(clip: Path, tmp_path: Path) -> None:
    first = start(tmp_path, "run", str(clip), "--job-id", JOB)
    while recorded(tmp_path) < 2 and first.poll() is None:
        glance_aside()
    second = ask(tmp_path, "resume", JOB)
    first.wait(TIMEOUT_S)
    # The first may have ended before the second looked; then there was nothing left to do.
    assert second.returncode == 75 or first.returncode == second.returncode
    types = [event["type"] for event in events(tmp_path)]
    assert types.count("StageCompleted") == len([item for item in types if item == "StageStarted"])
