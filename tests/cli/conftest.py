"""Runs `caf` as a process of its own, as a person or a script does."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tests.clips import camera_frames, make_clip, sine, texture, write_clip
from tests.support import forked
from tests.support.pause import glance_aside

TIMEOUT_S = 240


class Ran(NamedTuple):
    """One call of `caf`: its exit code and what it printed."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Caf = Callable[..., Ran]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on another filesystem than the test's own."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second filesystem here")
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


def call_caf(workspace: Path, *arguments: str | Path, **environment: str) -> Ran:
    """One call of `caf` in a workspace, with more environment by name."""
    given = {**os.environ, "CAF_WORKSPACE": str(workspace), "NO_COLOR": "1", **environment}
    done = forked.call(arguments, given, timeout_s=TIMEOUT_S)
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.fixture
def caf(workspace: Path) -> Caf:
    """`caf("jobs", "--json")` in the test's workspace; more environment by name: `caf("run", CAF_STALL_S="1")`."""
    return partial(call_caf, workspace)


@pytest.fixture
def log_of_five(small_workspace: Path, workspace: Path) -> Path:
    """The test's workspace, with five short jobs in its log."""
    return shutil.copytree(small_workspace, workspace)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a steady scene with sound."""
    return make_clip(
        tmp_path_factory.mktemp("clip") / "steady.mp4", frames=12, fps=12, subject=True, audio=True
    )


@pytest.fixture(scope="session")
def hanging(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a scene with sound that hangs for half of it, which no repair mends."""
    path = np.column_stack([np.linspace(-40.0, 40.0, 24), np.zeros((24, 2))])
    frames = camera_frames(texture(280, 240), path, (160, 120))
    hung = [frames[index if index < 6 or index > 18 else 6] for index in range(24)]
    return write_clip(tmp_path_factory.mktemp("clip") / "hanging.mp4", hung, fps=24, sound=sine(1.0))


def end_by_ctrl_c(
    arguments: Sequence[str | Path],
    workspace: Path,
    begun: Callable[[int], bool],
    how: signal.Signals = signal.SIGINT,
) -> bytes:
    """What it had put out, of a `caf` that was interrupted once `begun`, given its process id, held."""
    running = subprocess.Popen(
        [sys.executable, "-m", "caf.cli", *map(str, arguments)],
        env={**os.environ, "CAF_WORKSPACE": str(workspace)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    end_s = time.monotonic() + TIMEOUT_S
    while not begun(running.pid):
        assert running.poll() is None
        assert time.monotonic() < end_s
        glance_aside()
    running.send_signal(how)
    out, told = running.communicate(timeout=TIMEOUT_S)
    assert running.returncode == (-how if how == signal.SIGKILL else 130), told
    assert b"Traceback" not in told
    return out
