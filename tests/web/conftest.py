"""A served workspace with five short jobs in its log, whose queue stands: what is submitted is not run."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clips import make_clip
from tests.web.serving import Api, served


@pytest.fixture
def workspace(small_workspace: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return shutil.copytree(small_workspace, tmp_path / "workspace")


@pytest.fixture
async def api(workspace: Path) -> AsyncIterator[Api]:
    async with served(workspace) as found:
        await found.service.pause(by="test", reason="nothing is to run")
        yield found


@pytest.fixture(scope="module")
def shared_workspace(small_workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy for a module's tests that change nothing."""
    return shutil.copytree(small_workspace, tmp_path_factory.mktemp("shared") / "workspace")


@pytest.fixture(scope="module")
async def shared_api(shared_workspace: Path) -> AsyncIterator[Api]:
    """For a module's tests that change nothing: a daemon for each would take longer than they do."""
    async with served(shared_workspace) as found:
        await found.service.pause(by="test", reason="nothing is to run")
        yield found


@pytest.fixture(scope="session")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("tiny") / "tiny.mp4", frames=6, fps=24, audio=True)


@pytest.fixture
def clip(tiny_clip: Path, workspace: Path) -> str:
    """A clip in the workspace, by its path there."""
    shutil.copyfile(tiny_clip, workspace / "tiny.mp4")
    return "tiny.mp4"
