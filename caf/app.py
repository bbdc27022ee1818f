"""One workspace, opened: commands append events, read verbs ask the rows. Nothing here decides."""

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from caf import commands
from caf.artifacts import ArtifactStore, disk_errors
from caf.clock import RandomIds, SystemClock
from caf.config import Config
from caf.contracts import JobDocument
from caf.contracts.read import read_document
from caf.daemon.state import Daemon
from caf.decide import decide_daemon, decide_job, record_submission
from caf.errors import CafError, InputError, RefusedError, TryAgainError
from caf.events import DaemonEvent, Event, JobId, JobSubmitted, Stage
from caf.job import Job
from caf.log import fold, fold_daemon, load
from caf.ports import Clock, Ids
from caf.projections.follower import ReadModels, is_damage
from caf.workflows import check_answer
from caf.workspace import Workspace
from eventstore import (
    EventStore,
    EventStoreError,
    InvalidArgument,
    SqliteStore,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreIncompatible,
    StoreNotFound,
    StoreReadOnly,
)

__all__ = ["App", "open_app", "open_for_reading", "told_as_caf_errors"]

_ALSO: Final = {
    "log_incompatible": " caf's log is .caf/log.db of the workspace, which --workspace DIR names; one that was"
    " overwritten is put back from a backup: docs/operations.md. Nothing was changed.",
    "log_damaged": " How to do that: docs/operations.md. Nothing was changed.",
}
"""What caf adds to the store's own remedy."""
LONGEST_BASE: Final = 190
"""Of a job's id that gets a number; an id has at most 200 characters."""


class App:
    """A workspace's log and read models, with the commands people give."""

    def __init__(
        self,
        *,
        workspace: Workspace,
        store: EventStore,
        models: ReadModels,
        config: Config,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self.workspace = workspace
        self.store = store
        self.models = models
        self.config = config
        self.clock = clock
        self.ids = ids
        self.artifacts = ArtifactStore(workspace.artifacts)
        self._daemon = Daemon()

    async def rows(self, sql: str, values: Sequence[str | int | float | None] = ()) -> list[dict[str, Any]]:
        """A query of our own on the read models, in step with the log."""
        await self.models.catch_up(self.store)
        try:
            return await self.models.rows(sql, values)
        except sqlite3.DatabaseError:
            # The query is right and the tables are: what is wrong is what lies in the file.
            await self.models.renew(self.store)
            return await self.models.rows(sql, values)

    async def select(self, sql: str) -> list[dict[str, Any]]:
        """A person's query on the read models, in step with the log. Raises `sqlite3.Error` for a wrong one."""
        await self.models.catch_up(self.store)
        try:
            return await self.models.select(sql)
        except sqlite3.DatabaseError as fault:
            if not is_damage(fault):
                raise
            await self.models.renew(self.store)
            return await self.models.select(sql)

    async def job(self, job_id: str, *, at_version: int | None = None) -> Job:
        """A job's state from the log alone. Raises `RefusedError` when it is unknown."""
        return await load(self.store, job_id, at_version=at_version)

    async def command(
        self,
        job_id: str,
        decide: Callable[[Job], list[Event]],
        *,
        unknown: bool = False,
        event_id: str | None = None,
    ) -> list[Event]:
        """Judge a command by the job's present state and record what it gives, once.

        `unknown` also takes a job that was never submitted here. `event_id` is that of the first event: a command
        that was recorded under it before gives nothing now, however things stand. Raises `RefusedError`.
        """
        return await decide_job(self.store, self.ids, job_id, decide, unknown=unknown, event_id=event_id)

    async def record(
        self, event: JobSubmitted, *, event_id: str | None = None, metadata: bytes = b""
    ) -> None:
        """Record a submission. `event_id`: the same one made twice is one. Raises `RefusedError` for a known job."""
        await record_submission(self.store, self.ids, event, event_id=event_id, metadata=metadata)

    async def retry(
        self, job_id: str, *, from_stage: Stage, by: str, note: str, new_id: str | None = None
    ) -> JobId:
        """Take a job that is over up again as a new one, by default `<job_id>-2` and so on. Raises `CafError`."""
        job = await self.job(job_id)
        number = 2
        while True:
            name = JobId(new_id or f"{job_id[:LONGEST_BASE]}-{number}")
            event = commands.retry(job, job_id=name, from_stage=from_stage, by=by, note=note)
            read_document(msgspec.json.encode(event.document), JobDocument, where="the new job")
            if new_id is None and (await fold(self.store, name)).submitted is not None:
                number += 1
                continue
            try:
                await self.record(event)
            except RefusedError as fault:
                if new_id is None and fault.kind == "job_exists":
                    continue  # somebody else took the job up again just then, and that name with it
                raise
            return name

    async def daemon_command(
        self, decide: Callable[[Daemon], Sequence[DaemonEvent]]
    ) -> Sequence[DaemonEvent]:
        """The same for the daemon's own stream: pause, unpause, what was refused."""
        return await decide_daemon(self.store, self.ids, decide, known=await self.daemon())

    async def daemon(self) -> Daemon:
        """What the daemon's own stream says; what was read of it before is not read again."""
        self._daemon = await fold_daemon(self.store, self._daemon)
        return self._daemon

    async def answer(self, job_id: str, *, event_id: str | None = None, **given: Any) -> list[Event]:
        """Record a person's answer; see `caf.commands.answer`. Raises `InputError` for wrong parameters."""

        def decide(job: Job) -> list[Event]:
            events = commands.answer(job, **given)
            check_answer(job, given.get("parameters") or {})
            return events

        return await self.command(job_id, decide, event_id=event_id)

    async def cancel(self, job_id: str, *, by: str, reason: str) -> list[Event]:
        """Record that a job is called off; see `caf.commands.cancel`."""
        return await self.command(job_id, lambda job: commands.cancel(job, by=by, reason=reason))


@asynccontextmanager
async def open_app(root: Path, config: Config) -> AsyncIterator[App]:
    """A workspace opened for work; made if it is not there. Raises `CafError`."""
    workspace = Workspace(root)
    workspace.prepare()
    workspace.check_log()
    with told_as_caf_errors():
        models = ReadModels(workspace.projections)
        async with (
            SqliteStore.open(workspace.log, in_thread=True) as store,
            _app(workspace, store, config, models) as app,
        ):
            yield app


@asynccontextmanager
async def open_for_reading(root: Path, config: Config) -> AsyncIterator[App]:
    """A workspace opened for read verbs; needs the log's file alone. Raises `CafError`."""
    workspace = Workspace(root)
    with told_as_caf_errors():
        with disk_errors(workspace.own):
            found = workspace.log.exists()
        if not found:
            raise RefusedError(
                f"There is no log in the workspace {workspace.root}.",
                remedy="Name the workspace with --workspace DIR, or start with: caf run CLIP",
                kind="no_workspace",
            )
        workspace.check_log()
        # Rows beside a log that cannot be written to are kept in memory.
        models = ReadModels(workspace.projections if os.access(workspace.own, os.W_OK) else None)
        async with (
            SqliteStore.open(workspace.log, read_only=True) as store,
            _app(workspace, store, config, models) as app,
        ):
            yield app


@asynccontextmanager
async def _app(
    workspace: Workspace, store: EventStore, config: Config, models: ReadModels
) -> AsyncIterator[App]:
    try:
        yield App(
            workspace=workspace,
            store=store,
            models=models,
            config=config,
            clock=SystemClock(),
            ids=RandomIds(),
        )
    finally:
        models.close()


@contextmanager
def told_as_caf_errors() -> Iterator[None]:
    """The store's errors as caf's, with the exit code that scripts expect."""
    try:
        yield
    except EventStoreError as fault:
        if isinstance(fault.__cause__, UnicodeEncodeError):
            raise fault.__cause__ from None  # what was typed is no text; told as that
        kinds: dict[type[EventStoreError], tuple[type[CafError], str]] = {
            StoreFull: (TryAgainError, "disk_full"),
            StoreBusy: (TryAgainError, "log_busy"),
            StoreReadOnly: (InputError, "workspace_read_only"),
            StoreNotFound: (RefusedError, "no_workspace"),
            StoreIncompatible: (InputError, "log_incompatible"),
            StoreCorrupt: (CafError, "log_damaged"),
            InvalidArgument: (InputError, "bad_parameter"),
        }
        kind, name = kinds.get(type(fault), (CafError, "log_failed"))
        raise kind(fault.message, remedy=f"{fault.remedy}{_ALSO.get(name, '')}", kind=name) from fault
