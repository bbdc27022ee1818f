"""What a file means that was dropped into the workspace's folders: a job, an answer, an approval, a post."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import anyio.to_thread

from caf import commands
from caf.app import App
from caf.contracts import Approval, EscalationAnswer
from caf.contracts.paths import workspace_path
from caf.contracts.read import read_document, read_object
from caf.errors import CafError, DocumentError, MediaError, RefusedError
from caf.events import JobSubmitted
from caf.events.codec import derived_id, digest
from caf.handoff import scan_one
from caf.log import fold
from caf.submission import document_sha256, file_bytes

__all__ = ["Dropped", "Submit", "dropped_bytes", "rejection_of"]

PLATFORMS: Final = ("youtube", "tiktok", "instagram", "x")
REJECTED: Final = ".rejected.json"
MOST_BYTES: Final = 1 << 20
"""As much as the HTTP API takes: it is decoded in a few milliseconds, in which nobody else is served."""
_LONGEST_NAME: Final = 200
"""Bytes of a name that another ending and a temporary file's marks may still be added to."""

Submit = Callable[[Path, str], Awaitable[None]]
"""Submits a job file; the second argument is who it is recorded for."""


def rejection_of(path: Path) -> Path:
    """Where the reason stands why a file was not taken."""
    name = os.fsencode(path.name)
    shown = path.name if len(name) <= _LONGEST_NAME else f"{path.name[:40]}~{digest(name)[:12]}"
    return path.with_name(shown + REJECTED)


class Dropped:
    """The files of one workspace's folders: which there are, and what becomes of one. Each counts once."""

    def __init__(self, app: App, submit: Submit) -> None:
        self.app = app
        self._submit = submit
        self._root = app.workspace.root

    def files(self) -> Iterator[str]:
        """All that may be something, in order of their names; text, for there may be very many."""
        sandbox = str(self.app.workspace.sandbox)
        yield from _named(f"{sandbox}/jobs", ".job.json")
        yield from _named(f"{sandbox}/inbox", ".json")
        for folder in _named(f"{sandbox}/dist_artifacts", ""):
            yield from _named(folder, ".state.json")

    def asset(self, path: Path) -> Path | None:
        """The clip that a job file names, so that one that is still being copied is noticed; None if unclear."""
        if not path.name.endswith(".job.json"):
            return None
        try:
            named = read_object(dropped_bytes(path), where=path.name)["render"]["background_asset"]
            return self._root / "sandbox" / workspace_path(named, where="").removeprefix("sandbox/")
        except (CafError, KeyError, TypeError, AttributeError):
            return None

    def shown(self, path: Path) -> str:
        """Its place below the workspace, as text."""
        return os.fsencode(path.relative_to(self._root)).decode("utf-8", "backslashreplace")

    async def take(self, path: Path) -> None:
        """Take it in; nothing when that was done before. Raises `CafError`, `EventStoreError`."""
        if path.name.endswith(".job.json"):
            await self._take_job(path)
        elif path.name.endswith(".state.json") and path.parent.parent.name == "dist_artifacts":
            scanned = await scan_one(self.app, path)
            if scanned.outcome == "refused":
                raise DocumentError(scanned.detail, remedy="Correct the file.")
        else:
            await self._take_from_inbox(path)

    async def _take_job(self, path: Path) -> None:
        job_id = path.name.removesuffix(".job.json")
        told = await anyio.to_thread.run_sync(self._sha256_of_job, path)
        known = await self._submitted(job_id)
        if known is None:
            try:
                await self._submit(path, self.shown(path))
                return
            except RefusedError as fault:
                # Submitted by hand while it was looked at, most likely: then its content decides, as at any other time.
                known = await self._submitted(job_id) if fault.kind == "job_exists" else None
                if known is None:
                    raise
        if known.document_sha256 != told:
            raise RefusedError(
                f"Job {job_id} was submitted with other content; a job does not change afterwards.",
                remedy="Put the old content back, or give the new job a name of its own.",
                kind="job_exists",
            )

    def _sha256_of_job(self, path: Path) -> str:
        return document_sha256(read_object(dropped_bytes(path), where=self.shown(path)))

    async def _submitted(self, job_id: str) -> JobSubmitted | None:
        """How the log knows a job; at most starts that is its first event, and the others need not be read."""
        first = await fold(self.app.store, job_id, at_version=1)
        if first.submitted is not None or not first.version:
            return first.submitted
        return (await fold(self.app.store, job_id)).submitted

    async def _take_from_inbox(self, path: Path) -> None:
        shown = self.shown(path)
        data = await anyio.to_thread.run_sync(dropped_bytes, path)
        refused = (await self.app.daemon()).rejected.get(shown)
        if refused is not None and refused.sha256 == digest(data):
            # It was refused as things stood then; that they stand otherwise now is no new answer.
            raise CafError(refused.message, remedy=refused.remedy, kind=refused.kind)
        event_id = derived_id("inbox", f"{shown}/{digest(data)}", 0)
        if path.name.startswith("approve-"):
            said = await anyio.to_thread.run_sync(lambda: read_document(data, Approval, where=shown))
            job_id, platform = await self._approved(path, said)
            await self.app.command(
                job_id,
                lambda job: commands.approve(
                    job, platform=platform, by=said.by or "inbox", note=said.note, observed_from=shown
                ),
                event_id=event_id,
            )
            return
        answer = await anyio.to_thread.run_sync(lambda: read_document(data, EscalationAnswer, where=shown))
        given: dict[str, Any] = {name: getattr(answer, name) for name in ("action", "by", "note")}
        await self.app.answer(
            answer.job_id,
            **given,
            from_stage=answer.from_stage,
            question=answer.question,
            parameters=answer.parameters,
            source=self._below(answer.source, "source"),
            reference=self._below(answer.reference, "reference"),
            event_id=event_id,
        )

    async def _approved(self, path: Path, said: Approval) -> tuple[str, str]:
        """The job and the platform of `approve-<job_id>-<platform>-<nonce>`; all three may have dashes in them."""
        words = path.name.removesuffix(".json").split("-")[1:]
        found = []
        for cut in range(1, len(words) - 1):
            job_id, platform = "-".join(words[:cut]), words[cut]
            if said.job_id not in (None, job_id) or said.platform not in (None, platform):
                continue
            job = await fold(self.app.store, job_id)
            if job.submitted is not None and platform in (said.platform, *PLATFORMS, *job.spec.platforms):
                found.append((job_id, platform))
        if len(found) != 1:
            raise DocumentError(
                f"{self.shown(path)} names {'no job and platform' if not found else 'more than one job'} of this log.",
                remedy="Name it approve-<job_id>-<platform>-<nonce>.json, and say job_id and platform in it.",
                kind="unknown_job",
            )
        return found[0]

    def _below(self, path: str | None, where: str) -> str | None:
        if path is None:
            return None
        inside = workspace_path(path, where=where)
        if not (self._root / inside).is_file():
            raise MediaError(f"{inside} is not a file.", remedy="Check the path.", kind="media_missing")
        return inside


def dropped_bytes(path: Path) -> bytes:
    """What is in a file that was dropped. Raises `DocumentError`."""
    data = file_bytes(path)
    if len(data) > MOST_BYTES:
        raise DocumentError(
            f"{path.name} has more than {MOST_BYTES >> 20} MiB, which no job or answer needs.",
            remedy="Check that this is the right file.",
            kind="too_large",
        )
    return data


def _named(folder: str, ending: str) -> list[str]:
    """What lies in a folder under such names; nothing where it cannot be read."""
    with suppress(OSError):
        names = sorted(name for name in os.listdir(folder) if name.endswith(ending))  # noqa: PTH208 - text, as above
        return [f"{folder}/{name}" for name in names if not (name.startswith(".") or name.endswith(REJECTED))]
    return []
