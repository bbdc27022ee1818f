"""A real `caf serve` in a process of its own, watched by what it prints and told by signals."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from caf.contracts.read import write_document
from caf.policies import DEFAULT_POLICY
from tests.clips import make_clip
from tests.support import forked
from tests.support.jobs import gate, policy_of
from tests.support.pause import glance_aside

T = TypeVar("T")

PATIENCE_S: Final = 120
"""A busy machine is slow, not wrong."""
ENDS: Final = frozenset({"JobCompleted", "JobCancelled", "JobAborted"})
STRICT: Final = {"quality_policy": {"relpath": "strict.json"}}
"""A policy that asks a person about a clip that has no subject."""
MEASURED: Final = {"quality_policy": {"relpath": "measured.json"}}
"""A policy that has much measured and lets every clip pass."""


class Ran(NamedTuple):
    """One call of `caf`."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def make_workspace(root: Path) -> Path:
    """A workspace with short clips, and a policy that every one of them passes."""
    sandbox = root / "sandbox"
    (sandbox / "jobs").mkdir(parents=True)
    (sandbox / "inbox").mkdir()
    make_clip(sandbox / "short.mp4", frames=4, fps=8, size=(64, 48))
    make_clip(sandbox / "long.mp4", frames=72, fps=24, size=(96, 72))
    for path in sandbox.glob("*.mp4"):
        os.utime(path, (1_700_000_000, 1_700_000_000))  # nobody copies them any more
    easy = policy_of(gate("costume_fidelity", dimension="costume"))
    (root / "easy.json").write_bytes(write_document(easy))
    looked_at = [
        gate(metric, dimension=dimension, failure_action="PROCEED", target_stage=stage, threshold=0.1)
        for metric, dimension, stage in (
            ("identity_consistency", "identity", "frame"),
            ("temporal_stability", "motion", "motion"),
            ("background_stability", "motion", "motion"),
        )
    ]
    measured = policy_of(*looked_at, missing="PROCEED")
    (root / "measured.json").write_bytes(write_document(measured))
    (root / "strict.json").write_bytes(write_document(DEFAULT_POLICY))
    (root / "caf.toml").write_text('policy = "easy.json"\nlisten = "127.0.0.1:0"\n')
    return root


def document(job_id: str, clip: str = "short.mp4", **more: Any) -> dict[str, Any]:
    return {"job_id": job_id, "video": {}, "render": {"background_asset": clip}, **more}


def fresh_clip(workspace: Path, clip: str) -> str:
    """A copy of a clip in the sandbox that shows the same, but has bytes of its own; its name."""
    sandbox = workspace / "sandbox"
    copy = sandbox / f"{uuid.uuid4()}.mp4"
    copy.write_bytes((sandbox / clip).read_bytes() + b"\0\0\0\x18free" + uuid.uuid4().bytes)
    os.utime(copy, (1_700_000_000, 1_700_000_000))
    return copy.name


def calling(workspace: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Another process on the same workspace, under way."""
    return subprocess.Popen(
        [sys.executable, "-m", "caf.cli", *arguments],
        env=_surroundings(workspace, environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _surroundings(workspace: Path, environment: dict[str, str]) -> dict[str, str]:
    return {**os.environ, "CAF_WORKSPACE": str(workspace), "NO_COLOR": "1", **environment}


def caf(workspace: Path, *arguments: str, **environment: str) -> Ran:
    """Another process on the same workspace, to its end."""
    done = forked.call(arguments, _surroundings(workspace, environment), timeout_s=PATIENCE_S)
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def eventually(look: Callable[[], T], what: str) -> T:
    """What `look` gives, once that is something."""
    for _ in range(PATIENCE_S * 100):
        if found := look():
            return found
        glance_aside(0.01)
    raise AssertionError(f"it never came to this: {what}")


class Daemon:
    """A running daemon."""

    def __init__(self, workspace: Path, *options: str, module: str = "caf.cli", **environment: str) -> None:
        self.workspace = workspace
        self.notified: list[str] = []
        self.events: list[dict[str, Any]] = []
        """What was recorded since it started, in order."""
        self.said: list[str] = []
        self._more = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"caf-{uuid.uuid4()}"
        self._socket.bind(f"\0{name}")
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, "serve", "--json", *options],
            env={
                **os.environ,
                "CAF_WORKSPACE": str(workspace),
                "NOTIFY_SOCKET": f"@{name}",
                "NO_COLOR": "1",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._threads = [
            threading.Thread(target=work) for work in (self._hear_events, self._hear_talk, self._hear_states)
        ]
        for thread in self._threads:
            thread.start()

    def _hear_events(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith('{"position":'):
                self._note(self.events, json.loads(line))
            else:  # of one that does not serve
                self._note(self.said, line.rstrip("\n"))

    def _hear_talk(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._note(self.said, line.rstrip("\n"))

    def _hear_states(self) -> None:
        while state := self._socket.recv(4096).decode():
            self._note(self.notified, state)

    def _note(self, to: list[Any], item: Any) -> None:
        with self._more:
            to.append(item)
            self._more.notify_all()

    def until(self, look: Callable[[], T], what: str) -> T:
        """What `look` gives, once that is something; asked whenever the daemon says or records anything."""
        with self._more:
            while not (found := look()):
                if not self._more.wait(PATIENCE_S):
                    told = "\n".join([*self.said, *(f"{e['stream']} {e['type']}" for e in self.events[-40:])])
                    raise AssertionError(f"it never came to this: {what}\n{told}")
            return found

    def until_ready(self) -> "Daemon":
        self.until(lambda: any(state.startswith("READY=1") for state in self.notified), "ready")
        return self

    def until_said(self, words: str) -> str:
        return self.until(lambda: next((line for line in self.said if words in line), ""), words)

    def of(self, job_id: str) -> list[dict[str, Any]]:
        """The job's events that were seen."""
        return [event for event in self.events if event["stream"] == f"job-{job_id}"]

    def types(self, job_id: str) -> list[str]:
        return [event["type"] for event in self.of(job_id)]

    def until_recorded(self, job_id: str, kind: str, **fields: Any) -> dict[str, Any]:
        """The job's first event of that kind with these fields."""

        def look() -> dict[str, Any]:
            for event in self.of(job_id):
                data = event["data"]
                if event["type"] == kind and all(data.get(name) == value for name, value in fields.items()):
                    return event
            return {}

        return self.until(look, f"{kind} of {job_id} with {fields}")

    def until_over(self, job_id: str) -> str:
        """How it ended; its last documents may still be under way."""
        return self.until(
            lambda: next((kind for kind in self.types(job_id) if kind in ENDS), ""), f"the end of {job_id}"
        )

    def until_rejected(self, path: str) -> dict[str, Any]:
        """What was recorded of a file that was refused."""

        def look() -> dict[str, Any]:
            for event in self.events:
                if event["type"] == "DocumentRejected" and event["data"]["path"] == path:
                    data: dict[str, Any] = event["data"]
                    return data
            return {}

        return self.until(look, f"the rejection of {path}")

    def drop(self, job_id: str, clip: str = "short.mp4", *, fresh: bool = False, **more: Any) -> Path:
        """Put a job file into the folder. `fresh`: with a clip of which nothing was computed before."""
        if fresh:
            clip = fresh_clip(self.workspace, clip)
        path = self.workspace / "sandbox" / "jobs" / f"{job_id}.job.json"
        path.write_text(json.dumps(document(job_id, clip, **more)))
        return path

    def caf(self, *arguments: str, **environment: str) -> Ran:
        return caf(self.workspace, *arguments, **environment)

    def standing(self, job_id: str) -> Any:
        return self.caf("status", job_id, "--json").json()

    def until_stands(self, job_id: str, kind: str) -> Any:
        """Where the job stands, once it stands so; a dropped one is not known at once."""

        def look() -> Any:
            found = self.standing(job_id)
            return found if found.get("kind") == kind else None

        return eventually(look, f"{job_id} stands as {kind}")

    def children(self) -> list[int]:
        """The process ids of its workers."""
        found: list[int] = []
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            with contextlib.suppress(OSError):  # a thread that has ended
                found += [int(pid) for pid in (task / "children").read_text().split()]
        return found

    def child_at(self, job_id: str, task: str) -> int:
        """The worker that is at a task of a job: it prints to that task's log."""

        def look() -> int:
            for pid in self.children():
                with contextlib.suppress(OSError):
                    log = str(Path(f"/proc/{pid}/fd/1").readlink())
                    if log.endswith(f".{task}.log") and f"/{job_id}/" in log:
                        return pid
            return 0

        return eventually(look, f"a worker is at the {task} of {job_id}")

    @contextmanager
    def held(self, job_id: str, task: str) -> Iterator[int]:
        """Meanwhile the worker that is at the task stands still."""
        pid = self.child_at(job_id, task)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit code, once it has ended."""
        code = self.process.wait(PATIENCE_S)
        if self._threads:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
                to.sendto(b"", self._socket.getsockname())
            for thread in self._threads:
                thread.join(PATIENCE_S)
            self._threads = []
            for stream in (self.process.stdout, self.process.stderr):
                assert stream is not None
                stream.close()
            self._socket.close()
        return code

    def stop(self) -> int:
        """Ask it to end, as systemd does."""
        self.signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """End it as a power cut does."""
        self.signal(signal.SIGKILL)
        self.ended()


@contextmanager
def serving(workspace: Path, *options: str, module: str = "caf.cli", **environment: str) -> Iterator[Daemon]:
    """A daemon that is ready; ended in good order unless the test did so."""
    daemon = Daemon(workspace, *options, module=module, **environment)
    try:
        daemon.until_ready()
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.signal(signal.SIGTERM)
            daemon.signal(signal.SIGTERM)
        daemon.ended()
    assert not [line for line in daemon.said if "Traceback" in line], "\n".join(daemon.said)
