"""A workspace with a small log, made once and copied for each test."""

import shutil
from pathlib import Path

import anyio
import pytest

from tests.docs import small_log


@pytest.fixture(scope="session")
def small_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("small") / "workspace"
    anyio.run(small_log.make, root)
    return root


@pytest.fixture
def workspace(small_workspace: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(small_workspace, tmp_path / "workspace")
