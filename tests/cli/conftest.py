"""Runs `caf` as a process of its own, as a person or a script does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.clips import make_clip

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
def caf(workspace: Path) -> Caf:
    """`caf("jobs", "--json")` in the test's workspace."""

    def call(*arguments: str | Path) -> Ran:
        done = subprocess.run(
            [sys.executable, "-m", "caf.cli", *map(str, arguments)],
            env={**os.environ, "CAF_WORKSPACE": str(workspace), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A second of a steady scene with sound."""
    return make_clip(
        tmp_path_factory.mktemp("clip") / "steady.mp4", frames=24, fps=24, subject=True, audio=True
    )
