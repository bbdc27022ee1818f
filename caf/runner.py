"""Puts worker, engines and actors together for one workspace: submits a job, runs it to its end."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import metadata

import anyio
import msgspec

from caf.actors import render
from caf.actors.effects import PublishOutput
from caf.actors.loop import cause_of, run_job
from caf.actors.perform import Edge
from caf.actors.stages import Caller, Computed, Limits, Stages
from caf.app import App
from caf.engines.embedded import EmbeddedEngine
from caf.errors import CafError, RefusedError
from caf.events import Artifact, JobCompleted, JobId
from caf.job import Job
from caf.log import Entry, fold, new_events, read_job, stream_of
from caf.ports import Parameter
from caf.pose.source import FetchedModel, ModelSource
from caf.submission import Draft, submission
from caf.system import require_system_libraries
from caf.worker import Worker
from eventstore import VersionConflict

__all__ = ["Runner", "Ticker", "open_runner"]

Ticker = Callable[[str, str, int, int | None], None]
"""Called with job id, what is being done, units done, units in all: telemetry, never recorded."""


def _no_ticks(job_id: str, doing: str, done: int, total: int | None) -> None:
    return None


class Runner:
    """Submits and runs jobs of one workspace, one after another, in one warm worker."""

    def __init__(self, app: App, worker: Caller, ticker: Ticker) -> None:
        self.app = app
        self.worker = worker
        self.ticker = ticker
        self._fetched: tuple[str, str] | None = None
        limits = Limits(stall_s=app.config.stall_s, deadline_s=app.config.deadline_s)
        engine = EmbeddedEngine(worker, stall_s=limits.stall_s, deadline_s=limits.deadline_s)
        self.stages = Stages(
            workspace=app.workspace.root,
            artifacts=app.artifacts,
            worker=worker,
            clock=app.clock,
            model=self._model,
            pose_version=metadata.version("mediapipe"),
            engines={engine.id: engine},
            find=self._find,
            limits=limits,
            lane=anyio.CapacityLimiter(1),
        )

    async def submit(self, found: Draft) -> JobId:
        """Probe the inputs and record the job.

        Raises `CafError` for what cannot be a job; nothing is recorded then.
        """
        job_id = JobId(found.job.job_id)
        before = await fold(self.app.store, job_id)
        if before.submitted is not None:
            raise _known(job_id)
        media = await self.stages.probe(
            found.source, self._ticks(job_id), require_audio=found.wish.require_audio
        )
        if found.reference is not None:
            await self.stages.probe(found.reference, self._ticks(job_id), require_audio=False)
        event = submission(found, media)
        records = new_events([event], [self.app.ids.new()], job_id=job_id, causation_id=None)
        try:
            await self.app.store.append(stream_of(job_id), records, expected_version=before.version)
        except VersionConflict as fault:
            raise _known(job_id) from fault
        return job_id

    async def run(self, job_id: str, seen: Callable[[Entry], None] = lambda entry: None) -> Job:
        """Let the actors work until the job is over or waits for a person. Raises `CafError`."""
        await self.app.job(job_id)
        with self.app.workspace.working_on(job_id):
            edge = Edge(
                workspace=self.app.workspace.root,
                artifacts=self.app.artifacts,
                stages=self.stages,
                clock=self.app.clock,
                progress=self.ticker,
            )
            try:
                job = await run_job(self.app.store, job_id, edge.perform, seen=seen)
                await self._put_back(job, edge)
            except CafError as fault:
                fault.remedy = _and_then(fault.remedy, f"caf resume {job_id}")
                raise
        return job

    async def _put_back(self, job: Job, edge: Edge) -> None:
        """Publish a completed job's output again where somebody took it away: the artifacts have it still."""
        if job.status != "completed":
            return
        async for entry in read_job(self.app.store, job.spec.job_id):
            if not isinstance(entry.event, JobCompleted):
                continue
            for effect in render.react(entry.job, entry.event, cause_of(entry)):
                if isinstance(effect, PublishOutput) and not self._is_there(effect):
                    await edge.perform(effect, entry)

    def _is_there(self, output: PublishOutput) -> bool:
        paths = (output.path, *(document.path for document in output.documents))
        return all((self.app.workspace.root / path).exists() for path in paths)

    def _ticks(self, job_id: str) -> Callable[[int, int | None], None]:
        return lambda done, total: self.ticker(job_id, "input", done, total)

    async def _model(self) -> tuple[str, str]:
        """The pose model's path and digest; fetched at the first need, in the worker."""
        if self._fetched is None:
            config = self.app.config
            found: FetchedModel = await self.worker.call(
                "model",
                ModelSource(
                    path=config.model_path,
                    url=config.model_url,
                    sha256=config.model_sha256,
                    cache_dir=config.cache_dir,
                ),
                progress=lambda done, total: self.ticker("", "pose model", done, total),
                stall_s=config.stall_s,
                deadline_s=config.deadline_s,
            )
            self._fetched = (found.path, found.sha256)
        return self._fetched

    async def _find(self, key: str) -> Computed | None:
        """What an earlier run of the same key gave, as the log has it."""
        found = await self.app.rows(
            "SELECT artifacts, facts, duration_ms, memory_peak_mb FROM stages"
            " WHERE key = ? AND status = 'completed' ORDER BY ended_at DESC LIMIT 1",
            (key,),
        )
        if not found:
            return None
        row = found[0]
        return Computed(
            artifacts=msgspec.json.decode(row["artifacts"], type=tuple[Artifact, ...]),
            facts=msgspec.json.decode(row["facts"], type=dict[str, Parameter]),
            duration_ms=row["duration_ms"],
            memory_peak_mb=row["memory_peak_mb"],
        )


@asynccontextmanager
async def open_runner(app: App, ticker: Ticker = _no_ticks) -> AsyncIterator[Runner]:
    """A runner; its worker process is started at the first need and is gone afterwards.

    Raises `UnavailableError` when a system library is missing.
    """
    require_system_libraries()
    memory = app.config.memory_mb * 2**20 or None
    async with Worker(memory_bytes=memory) as worker:
        yield Runner(app, worker, ticker)


def _and_then(remedy: str, way_on: str) -> str:
    """What to do, ending in how the job goes on: what stopped the run was this machine, not the job."""
    told = remedy.replace("caf resume JOB", way_on)
    return told if way_on in told else f"{told} Then go on with: {way_on}".strip()


def _known(job_id: str) -> RefusedError:
    return RefusedError(
        f"Job {job_id} is in the log already.",
        remedy=f"Go on with it: caf resume {job_id}. Or submit it under another id: --job-id NEW.",
        kind="job_exists",
    )
