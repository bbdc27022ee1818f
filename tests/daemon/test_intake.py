"""What becomes of dropped files, with the taking of jobs in the test's hands."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from caf.app import App, open_app
from caf.config import Config
from caf.daemon.dropped import Dropped
from caf.daemon.intake import Intake
from tests.support.jobs import JOB_ID, submitted

PATIENCE_S = 60


async def nobody(app: App) -> None:
    raise AssertionError("there is no job file")


async def served(
    root: Path,
    until: Callable[[App], Awaitable[bool]],
    submit: Callable[[App], Awaitable[None]] = nobody,
) -> None:
    """Take in what lies there until that is so. Nothing is waited for that may still be written."""
    async with open_app(root, Config()) as app, anyio.create_task_group() as group:
        group.start_soon(Intake(app, lambda path, shown: submit(app), quiet_s=0.0).serve)
        with anyio.fail_after(PATIENCE_S):
            while not await until(app):
                await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()


async def test_a_refused_answer_keeps_its_note_in_the_next_life_of_the_daemon(tmp_path: Path) -> None:
    inbox = tmp_path / "sandbox" / "inbox"
    async with open_app(tmp_path, Config()) as app:
        await app.record(submitted())
    (inbox / "answer-1.json").write_text(json.dumps({"job_id": JOB_ID, "action": "proceed", "by": "ada"}))
    note = inbox / "answer-1.json.rejected.json"

    async def is_told(app: App) -> bool:
        return note.exists()

    await served(tmp_path, is_told)
    told = json.loads(note.read_text())
    assert told["kind"] == "nothing_asked"
    note.unlink()
    await served(tmp_path, is_told)
    assert json.loads(note.read_text())["message"] == told["message"]


async def test_an_approval_that_came_with_its_job_waits_until_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_app(tmp_path, Config()):
        pass
    inbox, jobs = tmp_path / "sandbox" / "inbox", tmp_path / "sandbox" / "jobs"
    document = {"job_id": JOB_ID, "video": {}, "render": {"background_asset": "x.mp4"}}
    (jobs / f"{JOB_ID}.job.json").write_text(json.dumps(document))
    (inbox / f"approve-{JOB_ID}-youtube-1.json").write_text("{}")
    take, looks, looked_twice = Dropped.take, [], anyio.Event()

    async def counted(dropped: Dropped, path: Path) -> None:
        try:
            await take(dropped, path)
        finally:
            looks.append(path.name)
            if sum(name.startswith("approve-") for name in looks) == 2:
                looked_twice.set()

    async def slow(app: App) -> None:
        await looked_twice.wait()
        await app.record(submitted(document=document))

    async def is_approved(app: App) -> bool:
        return bool(await app.rows("SELECT 1 FROM jobs", ())) and bool((await app.job(JOB_ID)).approved)

    monkeypatch.setattr(Dropped, "take", counted)
    await served(tmp_path, is_approved, slow)
    assert not list(inbox.glob("*.rejected.json"))
