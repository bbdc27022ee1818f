"""The recipes really run: every SQL, shell and Python block of these pages, in the page's order."""

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from caf.app import open_for_reading
from caf.config import Config
from tests.docs.pages import ROOT, Block, blocks
from tests.docs.small_log import REPAIRED

PAGES = ("cookbook.md", "debugging.md", "operations.md")
TIMEOUT_S = 120
COMMANDS = {"sh": ["bash", "-e", "-c"], "python": [sys.executable, "-W", "error", "-c"]}


def run(block: Block, workspace: Path) -> subprocess.CompletedProcess[str]:
    tools = Path(sys.executable).parent
    environment = {**os.environ, "JOB": REPAIRED, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [*COMMANDS[block.language], block.content],
        cwd=workspace,
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES)
def test_every_recipe_runs(page: str, workspace: Path) -> None:
    recipes = [found for found in blocks(ROOT / "docs" / page) if found.language in COMMANDS]
    assert recipes
    for recipe in recipes:
        done = run(recipe, workspace)
        place = f"docs/{page}:{recipe.line}\n{recipe.content}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == 0, place
        assert "Traceback" not in done.stderr, place


def test_the_recipe_for_what_is_new_tells_each_event_once_and_goes_on_after_a_time_without_any(
    workspace: Path,
) -> None:
    page = blocks(ROOT / "docs" / "cookbook.md")
    [recipe] = [found for found in page if "new.jsonl" in found.content]
    told, noted = [], []
    for _ in range(3):
        assert run(recipe, workspace).returncode == 0
        told.append(len((workspace / "new.jsonl").read_text("utf-8").splitlines()))
        noted.append((workspace / "last").read_text("utf-8"))
    assert told == [int(noted[0]), 0, 0]
    assert len(set(noted)) == 1


@pytest.mark.parametrize("page", PAGES)
def test_every_query_finds_something(page: str, small_workspace: Path) -> None:
    queries = [found for found in blocks(ROOT / "docs" / page) if found.language == "sql"]

    async def ask() -> list[int]:
        async with open_for_reading(small_workspace, Config()) as app:
            await app.models.catch_up(app.store)
            return [found.line for found in queries if not await app.models.select(found.content)]

    assert anyio.run(ask) == []


def test_a_backup_made_and_restored_as_described_holds_every_event(workspace: Path) -> None:
    page = blocks(ROOT / "docs" / "operations.md")
    for recipe in (found for found in page if "backup" in found.content and found.language in COMMANDS):
        assert run(recipe, workspace).returncode == 0
    counted = [
        subprocess.run(
            [sys.executable, "-m", "caf.cli", "events", "--json", "--workspace", str(root)],
            capture_output=True,
            check=True,
            timeout=TIMEOUT_S,
        ).stdout
        for root in (workspace, workspace / "backup", workspace / "restored")
    ]
    assert counted[0] == counted[1] == counted[2] != b""
