"""A daemon that the tests of a module share, and a workspace for a test's own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.serving import Daemon, make_workspace, serving


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("prepared") / "workspace")


@pytest.fixture
def workspace(prepared: Path, tmp_path: Path) -> Path:
    return shutil.copytree(prepared, tmp_path / "workspace")


@pytest.fixture(scope="module")
def daemon(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for all tests of a module, in a folder with a space and a letter of another alphabet."""
    workspace = shutil.copytree(prepared, tmp_path_factory.mktemp("shared") / "Katzen & Кошки 100%")
    with serving(workspace) as one:
        yield one
