"""The recipes of docs/api.md really run, in the page's order, against a real daemon with a token."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.docs.small_log import REPAIRED
from tests.web.process import daemon

TOKEN = "a-token-for-the-recipes"
TIMEOUT_S = 120


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs curl and jq")
def test_every_recipe_runs(workspace: Path, clip: str) -> None:
    (workspace / clip).rename(workspace / "clip.mp4")
    recipes = [found for found in blocks(ROOT / "docs" / "api.md") if found.language == "sh"]
    assert len(recipes) >= 8
    with daemon(workspace, CAF_TOKEN=TOKEN) as found:
        environment = {**os.environ, "URL": found.url, "TOKEN": TOKEN, "JOB": REPAIRED}
        for recipe in recipes:
            done = subprocess.run(
                ["bash", "-e", "-c", recipe.content],
                env=environment,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
            place = f"docs/api.md:{recipe.line}\n{recipe.content}\n{done.stdout}\n{done.stderr}"
            assert done.returncode == 0, place
            assert done.stdout, place
