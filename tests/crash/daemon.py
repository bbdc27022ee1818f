"""A daemon as a process of its own: started, asked, killed with or without its children, and proved to be gone."""

import contextlib
import http.client
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from tests.support import forked

__all__ = ["Answer", "Daemon", "caf", "head", "until"]

TIMEOUT_S: Final = 240.0
LOOK_S: Final = 0.004
ROOT: Final = Path(__file__).parents[2]


class Answer(NamedTuple):
    """What the daemon said to a request."""

    status: int
    body: Any


def until(condition: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Wait until it holds. Raises `TimeoutError` naming what was waited for."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        select.select([], [], [], LOOK_S)


def head(workspace: Path) -> int:
    """The last position on disk right now, read as any `sqlite3` user would."""
    try:
        with contextlib.closing(
            sqlite3.connect(f"file:{workspace}/.caf/log.db?mode=ro", uri=True, timeout=5)
        ) as log:
            found: int | None = log.execute("SELECT max(position) FROM events").fetchone()[0]
            return found or 0
    except sqlite3.Error:
        return 0


def caf(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """A verb of the command line on the workspace."""
    words = [*arguments, "--workspace", str(workspace)]
    return forked.call(words, os.environ, timeout_s=TIMEOUT_S, cwd=ROOT)


class Daemon:
    """`caf serve` on a workspace; what it says is in `said` beside the workspace."""

    def __init__(self, workspace: Path, *, launcher: Sequence[str] = ("-m", "caf.cli")) -> None:
        self.workspace = workspace
        self.said = workspace.with_name(f"{workspace.name}.said")
        self._launcher = launcher
        self._process: subprocess.Popen[bytes] | None = None
        self._address = ""

    def __enter__(self) -> "Daemon":
        return self

    def __exit__(self, *_: object) -> None:
        if self.lives:
            self.kill_all()

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self._process is not None, "the daemon was never started"
        return self._process.pid

    @property
    def lives(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *arguments: str) -> None:
        """Begin to start it."""
        command = [sys.executable, *self._launcher, "serve", "--quiet", "--listen", "127.0.0.1:0"]
        command += ["--workspace", str(self.workspace), *arguments]
        with self.said.open("ab") as said:
            self._process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=said, cwd=ROOT, start_new_session=True
            )

    def is_ready(self) -> bool:
        """It has written down where it listens. Raises `AssertionError` when it ended instead."""
        assert self.lives, f"the daemon ended: {self.last_words()}"
        try:
            found = msgspec.json.decode((self.workspace / ".caf" / "daemon.json").read_bytes())
        except (OSError, msgspec.DecodeError):
            return False
        self._address = urlsplit(found["url"]).netloc
        return bool(found["url"] and found["pid"] == self.pid)

    def wait_ready(self) -> None:
        until(self.is_ready, "the daemon to be ready")

    def ask(self, method: str, path: str, body: object = None, *, key: str = "") -> Answer:
        """A request; raises `OSError` or `HTTPException` when no whole answer came."""
        headers = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
        line = http.client.HTTPConnection(self._address, timeout=TIMEOUT_S)
        try:
            line.request(method, path, msgspec.json.encode(body) if method == "POST" else None, headers)
            answer = line.getresponse()
            data = answer.read()
        finally:
            line.close()
        return Answer(answer.status, msgspec.json.decode(data) if data else None)

    def status_of(self, path: str) -> int:
        """The status of the answer to a question, whose body may be anything."""
        line = http.client.HTTPConnection(self._address, timeout=TIMEOUT_S)
        try:
            line.request("GET", path)
            answer = line.getresponse()
            answer.read()
            return answer.status
        finally:
            line.close()

    def children(self) -> list[int]:
        """The process ids of its children."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                if int(stat.read_text().rpartition(")")[2].split()[1]) == self.pid:
                    found.append(int(stat.parent.name))
        return found

    def kill_child(self, chance: random.Random) -> bool:
        """SIGKILL one of its children, if it has one."""
        children = self.children()
        if children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(children), signal.SIGKILL)
        return bool(children)

    def kill(self) -> None:
        """SIGKILL it alone, and prove that its children go with it."""
        children = self.children()
        self._end(signal.SIGKILL)
        until(lambda: not any(map(_lives, children)), f"the children {children} to be gone", 30)

    def kill_all(self) -> None:
        """SIGKILL it and its children, in whatever order the system likes."""
        children = self.children()
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._end(signal.SIGKILL)
        until(lambda: not any(map(_lives, children)), f"the children {children} to be gone", 30)

    def stop(self) -> int:
        """SIGTERM it; its exit status."""
        children = self.children()
        status = self._end(signal.SIGTERM)
        until(lambda: not any(map(_lives, children)), f"the children {children} to be gone", 30)
        return status

    def last_words(self) -> str:
        """The end of what it said."""
        return self.said.read_text(errors="replace")[-2000:]

    def rest(self) -> None:
        """Wait until it has taken in every file and has nothing more to do."""
        until(self.is_at_rest, "the daemon to come to rest")

    def is_at_rest(self) -> bool:
        """It has taken in every file and has nothing to do."""
        assert self.lives, f"the daemon ended: {self.last_words()}"
        if not all(map(self._taken, (self.workspace / "sandbox" / "jobs").glob("*.job.json"))):
            return False
        recorded = head(self.workspace)
        answer = self.ask("GET", "/api/v1/status")
        assert answer.status == 200, f"{answer}; {self.last_words()}"
        status = answer.body
        # What was recorded and not looked at yet may be a job that nobody has begun.
        return status["position"] >= recorded and not (
            status["under_way"] or status["queue"] or status["held"]
        )

    def _taken(self, path: Path) -> bool:
        if path.with_name(f"{path.name}.rejected.json").exists():
            return True
        return self.ask("GET", f"/api/v1/jobs/{path.name.removesuffix('.job.json')}").status == 200

    def _end(self, how: signal.Signals) -> int:
        assert self._process is not None, "the daemon was never started"
        self._process.send_signal(how)
        return self._process.wait(TIMEOUT_S)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False
