"""The API of a real `caf serve`: over restarts, to other machines, and what it never says."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.docs.small_log import STEADY
from tests.web.process import Daemon, daemon, refused

TOKEN = "never-to-be-seen-anywhere-0123456789"


def call(found: Daemon, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    data = None if body is None else json.dumps(body).encode()
    url = found.url.replace("0.0.0.0", "127.0.0.1")
    asked = urllib.request.Request(
        f"{url}{path}", data=data, headers={"Content-Type": "application/json", **named}
    )
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as fault:
        with fault:
            return fault.code, json.load(fault)


def test_a_submission_is_known_after_the_daemon_was_killed(workspace: Path, clip: str) -> None:
    body = {"clip": clip}
    with daemon(workspace) as first:
        call(first, "/api/v1/queue/pause", {"by": "test"})
        submitted = call(first, "/api/v1/jobs", body, Idempotency_Key="over-the-kill")
        first.process.kill()
        first.process.wait()
        with daemon(workspace) as second:
            again = call(second, "/api/v1/jobs", body, Idempotency_Key="over-the-kill")
            other = call(second, "/api/v1/jobs", {**body, "priority": 9}, Idempotency_Key="over-the-kill")
        first.process.returncode = 0
    assert submitted[0] == 201
    assert again == (200, {"job_id": submitted[1]["job_id"], "repeated": True})
    assert (other[0], other[1]["error"]["kind"]) == (409, "key_reused")


def test_other_machines_need_the_token_and_it_is_nowhere_to_be_read(workspace: Path, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    (workspace / "caf.toml").write_text(f'token_file = "{file}"\n')
    with daemon(workspace, "--listen", "0.0.0.0:0") as found:
        status, told = call(found, "/api/v1/jobs")
        assert (status, told["error"]["kind"]) == (401, "no_token")
        allowed = {"Authorization": f"Bearer {TOKEN}"}
        assert call(found, f"/api/v1/jobs/{STEADY}", **allowed)[0] == 200
        _, settings = call(found, "/api/v1/status", **allowed)
        assert TOKEN not in json.dumps(settings)
    assert TOKEN not in "".join(found.said)
    log = b"".join(path.read_bytes() for path in (workspace / ".caf").glob("log.db*"))
    assert TOKEN.encode() not in log


def test_to_serve_other_machines_without_a_token_is_refused(workspace: Path) -> None:
    done = refused(workspace, "--listen", "0.0.0.0:0")
    assert done.returncode == 65
    assert "token" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_token_that_cannot_be_used_is_refused_and_not_told(workspace: Path) -> None:
    done = refused(workspace, "--listen", "127.0.0.1:0", CAF_TOKEN="short-secret")
    assert done.returncode == 65
    assert "short-secret" not in done.stdout + done.stderr


def test_a_place_that_is_taken_is_named(workspace: Path, tmp_path: Path) -> None:
    with daemon(workspace) as found:
        done = refused(tmp_path / "another", "--listen", found.url.removeprefix("http://"))
    assert done.returncode == 75
    assert found.url.removeprefix("http://") in done.stderr
    assert "Traceback" not in done.stderr


def test_the_token_is_not_among_the_settings_that_are_shown(workspace: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "caf.cli", "config", "show", "--origin", "--workspace", str(workspace)],
        env={**os.environ, "CAF_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert shown.returncode == 0, shown.stderr
    assert TOKEN not in shown.stdout + shown.stderr
