"""The workspace with a small log, copied for each test."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def workspace(small_workspace: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(small_workspace, tmp_path / "workspace")
