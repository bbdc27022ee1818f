"""What becomes of dropped files, with the taking of jobs in the test's hands."""

import errno
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import watchfiles

from caf.app import App, open_app
from caf.config import Config
from caf.daemon import intake
from caf.daemon.dropped import Dropped
from caf.daemon.intake import Intake
from caf.errors import RefusedError
from caf.submission import document_sha256
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


async def test_a_job_file_that_was_submitted_by_hand_just_then_is_taken(tmp_path: Path) -> None:
    document = {"job_id": JOB_ID, "video": {}, "render": {"background_asset": "x.mp4"}}
    async with open_app(tmp_path, Config()) as app:
        path = app.workspace.sandbox / "jobs" / f"{JOB_ID}.job.json"
        path.write_text(json.dumps(document))
        by_hand = submitted(document=document, document_sha256=document_sha256(document))

        async def submit(path: Path, by: str) -> None:
            await app.record(by_hand)  # caf submit --job, while the daemon looked at the clip
            await app.record(by_hand)

        await Dropped(app, submit).take(path)
        path.write_text(json.dumps({**document, "niche": "dogs"}))
        with pytest.raises(RefusedError, match="other content"):
            await Dropped(app, submit).take(path)


async def test_other_content_that_was_submitted_just_then_is_told(tmp_path: Path) -> None:
    async with open_app(tmp_path, Config()) as app:
        path = app.workspace.sandbox / "jobs" / f"{JOB_ID}.job.json"
        path.write_text(json.dumps({"job_id": JOB_ID}))

        async def submit(path: Path, by: str) -> None:
            await app.record(submitted())
            await app.record(submitted())

        with pytest.raises(RefusedError, match="other content"):
            await Dropped(app, submit).take(path)


async def test_a_watch_that_the_system_has_no_room_for_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[tuple[Path, ...]] = []
    told: list[str] = []

    def full(*folders: Path, **how: Any) -> Any:
        tries.append(folders)
        raise OSError(errno.ENOSPC, "OS file watch limit reached")

    monkeypatch.setattr(watchfiles, "awatch", full)
    monkeypatch.setattr(intake, "LOOK_EVERY_S", 0.0)
    async with open_app(tmp_path, Config()) as app, anyio.create_task_group() as group:
        taking_in = Intake(
            app, lambda path, by: nobody(app), failed=lambda what, fault: told.append(f"{what}: {fault}")
        )
        group.start_soon(taking_in.serve)
        with anyio.fail_after(PATIENCE_S):
            while len(tries) < 5:
                await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    assert told == ["the watch on the folders: [Errno 28] OS file watch limit reached"]


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
