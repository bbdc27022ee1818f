"""What was taken away from a completed job's output is put back, as long as there is something to put back."""

import shutil
from pathlib import Path

import pytest

from caf.actors.feed import JobFeed
from caf.app import open_app
from caf.config import Config
from caf.errors import InputError
from caf.runner import open_runner_of_many
from tests.docs.small_log import STEADY


async def test_an_output_that_was_removed_for_good_holds_its_job_back_from_nothing(
    small_workspace: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(small_workspace, tmp_path / "workspace")
    final = root / "sandbox" / "output" / STEADY / "final.mp4"
    told: list[tuple[str, str]] = []
    async with (
        open_app(root, Config()) as app,
        open_runner_of_many(app, warn=lambda job_id, said: told.append((job_id, said))) as runner,
    ):
        final.unlink()
        await runner.run(STEADY, feed=JobFeed(app.store, STEADY))
        assert final.exists()
        assert told == []
        final.unlink()
        shutil.rmtree(app.artifacts.root)
        job = await runner.run(STEADY, feed=JobFeed(app.store, STEADY))
        assert job.status == "completed"
        [(name, said)] = told
        assert name == STEADY
        assert "cannot be put back" in said
        with pytest.raises(InputError, match="is missing"):
            await runner.run(STEADY)  # caf resume: somebody asks for it
