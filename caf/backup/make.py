"""Makes a backup, or brings one up to date; until it is finished the one before stands as it was."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import anyio.to_thread
from msgspec import Struct

import caf
from caf.app import App, told_as_caf_errors
from caf.artifacts import ArtifactStore, disk_errors
from caf.backup.files import CannotKeep, copy_artifact, copy_document, documents, sweep
from caf.backup.marker import Marker, announce, announced, hold, mark, marker_of
from caf.contracts.times import timestamp
from caf.daemon.lock import hold_daemon_lock
from caf.errors import InputError, TryAgainError
from caf.events import Artifact, JobAborted, JobCancelled, JobCompleted, JobSubmitted, StageCompleted
from caf.events.artifacts import artifacts_of
from caf.events.codec import UnreadableEvent, decode
from caf.log import CATEGORY, job_of
from caf.workspace import Workspace
from eventstore import EventStoreError, InvalidArgument, RecordedEvent, SqliteStore

__all__ = ["Report", "back_up"]

_NEXT_LOG: Final = "log.db.next"

Tick = Callable[[str, int, int | None], None]
"""What is being done, how much of it is done, of how much."""


class Report(Struct, frozen=True, kw_only=True):
    """What was copied, and what could not be."""

    folder: str
    marker: Marker
    copied_artifacts: int
    copied_bytes: int
    copied_documents: int
    problems: tuple[str, ...]
    """Files that the workspace itself has not, or not whole; everything else is in the backup."""
    outside: tuple[str, ...]
    """Clips of jobs that were not begun and lie outside the workspace: they are in no backup of it."""


class _Named(Struct):
    """What a log names."""

    artifacts: dict[str, Artifact] = {}
    waiting: dict[str, str] = {}
    """Job to the clip that it has not taken in yet."""


def _nobody(doing: str, done: int, total: int | None) -> None:
    return None


async def back_up(app: App, folder: Path, tick: Tick = _nobody, *, link: bool = False) -> Report:
    """Copy an open workspace's log, artifacts and documents to `folder`, while others write.

    Log and marker are put in place last. `link`: hard links for artifacts, where it is the same disk. Raises
    `CafError`; the backup of before stands then.
    """
    return await _Backup(app, folder, tick, link=link).make()


class _Backup:
    def __init__(self, app: App, folder: Path, tick: Tick, *, link: bool) -> None:
        self.app = app
        self.own = Workspace(folder)
        self.folder = self.own.root
        self.root = app.workspace.root.resolve()
        self.tick = tick
        self.link = link

    async def make(self) -> Report:
        _check_place(self.app.workspace, self.folder)
        try:
            # A daemon that serves this very folder would have its log taken away.
            with told_as_caf_errors(), hold(self.folder), hold_daemon_lock(self.own.own):
                return await self._make()
        except TryAgainError as fault:
            if fault.kind == "disk_full":
                again = f"Free some space there, then: caf backup {self.folder}. The backup of before stands."
                raise TryAgainError(fault.message, remedy=again, kind="disk_full") from fault
            raise

    async def _make(self) -> Report:
        with disk_errors(self.folder):
            await anyio.to_thread.run_sync(self._clear)
        await self._check_log()
        self.tick("log", 0, None)
        copy = self.own.own / _NEXT_LOG
        assert isinstance(self.app.store, SqliteStore), "only a log in a file is backed up"
        try:
            proved = await self.app.store.backup(copy)
        except InvalidArgument as fault:  # an archive of the same name that is another one
            raise InputError(fault.message, remedy="Name a new folder.", kind="other_backup") from fault
        named, last = await self._named(proved.events)
        with disk_errors(self.folder):
            copied, problems = await self._copy_artifacts(list(named.artifacts.values()))
            documents, outside = await self._copy_documents(self._clips(named), problems)
        marker = Marker(
            workspace=str(self.root),
            made_at=timestamp(self.app.clock.now_ms()),
            caf_version=caf.__version__,
            events=proved.events,
            head_digest=proved.head_digest.hex(),
            last_event_id=last,
            artifacts=len(named.artifacts),
        )
        await anyio.to_thread.run_sync(self._finish, marker, copy)
        return Report(
            folder=str(self.folder),
            marker=marker,
            copied_artifacts=len(copied),
            copied_bytes=sum(copied),
            copied_documents=documents,
            problems=tuple(problems),
            outside=outside,
        )

    def _clear(self) -> None:
        """Remove what an interrupted backup left half done."""
        self.own.own.mkdir(mode=0o700, exist_ok=True)
        sweep(self.folder)
        for left in self.own.own.glob(".*.new-*"):
            shutil.rmtree(left, ignore_errors=True)
        for left in self.own.own.glob(f"{_NEXT_LOG}*"):
            left.unlink()

    async def _check_log(self) -> None:
        """Raises `InputError` where the log that lies there is no earlier one of this log."""
        if not self.own.log.exists():
            return
        known = {one.events: one for one in (marker_of(self.folder), announced(self.folder)) if one}
        try:
            async with SqliteStore.open(self.own.log, read_only=True) as store:
                head = await store.head()
        except EventStoreError:
            return  # damaged where it lies: the new copy is what mends it
        marker = known.get(head)
        if marker is None:
            raise InputError(
                f"In {self.folder} jobs have run since it was a backup: its log has {head} events of its own.",
                remedy="Name a new folder; nothing was changed in this one.",
                kind="other_backup",
            )
        if head and await self._id_at(head) != marker.last_event_id:
            raise InputError(
                f"{self.folder} is the backup of another log than that of {self.app.workspace.root}, "
                "or this log has lost events since.",
                remedy="Look which of the two is the right one (caf verify); name a new folder for this log. "
                "Nothing was changed.",
                kind="other_backup",
            )

    async def _id_at(self, position: int) -> str | None:
        found = [one async for one in self.app.store.read_all(after_position=position - 1, limit=1)]
        return found[0].event_id if found else None

    async def _named(self, events: int) -> tuple[_Named, str]:
        """What the first so many events name, and the id of the last one."""
        named, last = _Named(), ""
        async for recorded in self.app.store.read_all(limit=events):
            last = recorded.event_id
            if recorded.stream.startswith(f"{CATEGORY}-"):
                _note(named, recorded)
        return named, last

    async def _copy_artifacts(self, artifacts: list[Artifact]) -> tuple[list[int], list[str]]:
        source, target = self.app.artifacts, ArtifactStore(self.own.artifacts)
        copied, problems = [], []
        for number, artifact in enumerate(artifacts):
            self.tick("artifacts", number, len(artifacts))
            try:
                size = await anyio.to_thread.run_sync(
                    lambda one: copy_artifact(source, target, one, link=self.link), artifact
                )
            except CannotKeep as fault:
                problems.append(f"artifact {artifact.role}: {fault}")
            else:
                copied += [size] if size else []
        return copied, problems

    async def _copy_documents(self, clips: list[Path], problems: list[str]) -> tuple[int, tuple[str, ...]]:
        """How many were copied, and the clips that are in no folder of the workspace."""
        config = self.app.config
        settings = (config.policy, config.registry)
        paths = [
            *documents(self.root, settings, secret=config.token_file, aside=self.folder, problems=problems)
        ]
        paths += [clip.relative_to(self.root) for clip in clips if clip.is_relative_to(self.root)]
        copied = 0
        for number, path in enumerate(dict.fromkeys(paths)):
            self.tick("documents", number, len(paths))
            try:
                copied += await anyio.to_thread.run_sync(copy_document, self.root / path, self.folder / path)
            except CannotKeep as fault:
                problems.append(str(fault))
        kept = {(self.root / path).resolve() for path in paths}
        return copied, tuple(str(clip) for clip in clips if clip not in kept)

    def _finish(self, marker: Marker, copy: Path) -> None:
        """Put the log in place, then the marker: two renames, and whatever comes between them is told apart."""
        self.own.prepare()
        with disk_errors(self.folder):
            announce(self.folder, marker)
            # What a reader left beside the old log must not be taken for a part of the new one.
            for end in ("-wal", "-shm"):
                self.own.log.with_name(self.own.log.name + end).unlink(missing_ok=True)
            os.replace(copy, self.own.log)  # noqa: PTH105 - the atomic rename itself is the point
            for left in self.own.own.glob(f"{_NEXT_LOG}-*"):
                left.unlink()
            mark(self.folder)

    def _clips(self, named: _Named) -> list[Path]:
        """What jobs that were not begun are made of; once one is begun it is an artifact."""
        return sorted({(self.root / clip).resolve() for clip in named.waiting.values()})


def _note(named: _Named, recorded: RecordedEvent) -> None:
    try:
        event = decode(recorded.type, recorded.type_version, recorded.data)
    except UnreadableEvent:
        return  # the log has it as it is; what a newer version of caf wrote is no reason to keep nothing
    job_id = job_of(recorded.stream)
    named.artifacts.update({item.sha256: item for item in artifacts_of(event)})
    match event:
        case JobSubmitted(source=source):
            named.waiting[job_id] = source
        case StageCompleted():
            named.waiting.pop(job_id, None)
        case JobCompleted() | JobCancelled() | JobAborted():
            named.waiting.pop(job_id, None)
        case _:
            pass


def _check_place(workspace: Workspace, folder: Path) -> None:
    """Raises `InputError` for a folder that is, or holds, or is a working part of the workspace."""
    place = folder.resolve()
    taken = (workspace.own.resolve(), workspace.sandbox.resolve())
    if workspace.root.resolve().is_relative_to(place) or any(place.is_relative_to(one) for one in taken):
        raise InputError(
            f"{folder} is the workspace itself, or a part that it works in.",
            remedy="Name a folder of its own, best on another disk.",
            kind="not_a_backup",
        )
