"""Puts workers, engines and actors together for one workspace: submits jobs, runs them to their end."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec

from caf.actors import render
from caf.actors.effects import PublishOutput, RunStage
from caf.actors.feed import JobFeed
from caf.actors.handover import Handover, Previews
from caf.actors.loop import cause_of, run_feed, run_job
from caf.actors.perform import Edge
from caf.actors.stages import Computed, Lanes, Limits, Stages
from caf.app import App
from caf.comfy.addresses import urls_of
from caf.comfy.model import Limits as PromptLimits
from caf.decide import known
from caf.engines.comfyui import ComfyEngine
from caf.engines.embedded import EmbeddedEngine
from caf.errors import CafError, InputError
from caf.events import Artifact, JobCompleted, JobId
from caf.events.codec import digest
from caf.job import Job, is_over
from caf.lanes import Lane, Twins
from caf.log import Entry, fold, read_job
from caf.ports import MediaInfo, Parameter, ProbeRequest, Progress
from caf.pose.source import FetchedModel
from caf.pose.workers import workers_for
from caf.qc.extras import embedding_of
from caf.submission import Draft, submission
from caf.system import require_system_libraries
from caf.worker import Worker, WorkerPool

__all__ = ["Runner", "Ticker", "Warn", "open_runner", "open_runner_of_many"]

Ticker = Callable[[str, str, int, int | None], None]
"""Called with job id, what is being done, units done, units in all: telemetry, never recorded."""

Warn = Callable[[str, str], None]
"""Called with job id and a sentence that a person should read: of things that no error and no event tells."""


def _no_ticks(job_id: str, doing: str, done: int, total: int | None) -> None:
    return None


def _no_warning(job_id: str, told: str) -> None:
    return None


class Runner:
    """Submits and runs jobs of one workspace in warm workers.

    `render` serves the engines, `taking_in` looks at what is submitted, `native` does the rest.
    """

    def __init__(
        self,
        app: App,
        *,
        render: Worker | WorkerPool,
        native: Worker | WorkerPool,
        taking_in: Worker,
        lanes: Lanes,
        ticker: Ticker,
        warn: Warn,
    ) -> None:
        self.app = app
        self.worker = native
        self.render = render
        self.taking_in = taking_in
        self.lanes = lanes
        self.ticker = ticker
        self.warn = warn
        self.previews = Previews()
        self._fetched: tuple[str, str] | None = None
        self._fetching = anyio.Lock()
        limits = Limits(stall_s=app.config.stall_s, deadline_s=app.config.deadline_s)
        engine = EmbeddedEngine(render, stall_s=limits.stall_s, deadline_s=limits.deadline_s)
        comfy = ComfyEngine(
            engine,
            render,
            urls=urls_of(app.config.comfy_urls),
            clock=app.clock,
            limits=PromptLimits(stall_s=app.config.comfy_stall_s, depth=app.config.comfy_depth),
            warn=warn,
        )
        self.stages = Stages(
            workspace=app.workspace.root,
            artifacts=app.artifacts,
            worker=native,
            clock=app.clock,
            model=self._model,
            pose_version=metadata.version("mediapipe"),
            pose_workers=workers_for(app.config.pose_workers, lanes.native.capacity),
            embedding=embedding_of(app.config.identity_model, app.config.identity_model_input),
            measure_workers=workers_for(app.config.measure_workers, lanes.native.capacity),
            engines={engine.id: engine, comfy.id: comfy},
            find=self._find,
            limits=limits,
            lanes=lanes,
        )
        self.edge = Edge(
            workspace=app.workspace.root,
            artifacts=app.artifacts,
            stages=self.stages,
            clock=app.clock,
            outside=self._outside,
            progress=ticker,
        )

    def _outside(self, effect: RunStage, entry: Entry) -> Handover:
        workspace_id = digest(str(self.app.workspace.root.resolve()).encode())[:16]
        return Handover(
            self.app.store,
            effect,
            entry,
            workspace_id=workspace_id,
            tick=self.ticker,
            show=self.previews.show,
        )

    @property
    def child_restarts(self) -> int:
        """How many child processes took the place of one that was gone."""
        pools = [pool for pool in (self.worker, self.render) if isinstance(pool, WorkerPool)]
        return max(0, self.taking_in.starts - 1) + sum(pool.replaced for pool in pools)

    async def submit(
        self, found: Draft, *, by: str, event_id: str | None = None, metadata: bytes = b""
    ) -> JobId:
        """Probe the inputs and record the job. `event_id`: the same submission made twice is one job.

        `metadata`: a small JSON object that the log keeps with it.

        Raises `CafError` for what cannot be a job; nothing is recorded then.
        """
        job_id = JobId(found.job.job_id)
        if (await fold(self.app.store, job_id)).submitted is not None and event_id is None:
            raise known(job_id)
        ticks = self._ticks(job_id)
        media = await self._probe(found.source, ticks, require_audio=found.wish.require_audio)
        if found.reference is not None:
            await self._probe(found.reference, ticks, require_audio=False)
        if found.pose_video is not None:
            await self._probe(found.pose_video, ticks, require_audio=False)
        await self.app.record(submission(found, media, by=by), event_id=event_id, metadata=metadata)
        return job_id

    async def _probe(self, path: Path, ticks: Progress, *, require_audio: bool) -> MediaInfo:
        """What is in a file. Nobody who submits waits for jobs that are under way."""
        info: MediaInfo = await self.taking_in.call(
            "probe",
            ProbeRequest(path=str(path), require_audio=require_audio),
            progress=ticks,
            stall_s=self.app.config.stall_s,
            deadline_s=self.app.config.deadline_s,
        )
        return info

    async def submit_and_run(
        self, found: Draft, *, by: str, seen: Callable[[Entry], None] = lambda entry: None
    ) -> Job:
        """Both, with the job held from the start, so that nobody else takes it up. Raises `CafError`."""
        with self.app.workspace.working_on(found.job.job_id):
            job_id = await self.submit(found, by=by)
            return await self._run(
                job_id, lambda: run_job(self.app.store, job_id, self.edge.perform, seen=seen)
            )

    async def run(
        self,
        job_id: str,
        seen: Callable[[Entry], None] = lambda entry: None,
        *,
        feed: JobFeed | None = None,
    ) -> Job:
        """Let the actors work until the job is over or waits for a person. Raises `CafError`.

        `feed`: the job's, when somebody delivers to it; else the log is followed for this job alone.
        """
        perform = self.edge.perform
        if feed is not None:
            with self.lanes.twins.coming(job_id):
                async with self._working_on(job_id):
                    return await self._run(job_id, lambda: run_feed(feed, perform), by_itself=True)
        await self.app.job(job_id)
        with self.app.workspace.working_on(job_id):
            return await self._run(job_id, lambda: run_job(self.app.store, job_id, perform, seen=seen))

    @asynccontextmanager
    async def _working_on(self, job_id: str) -> AsyncIterator[None]:
        """Hold a job; what an earlier run left behind may take a while to remove, and others are served meanwhile."""
        holding = self.app.workspace.working_on(job_id)
        await anyio.to_thread.run_sync(holding.__enter__)
        try:
            yield
        finally:
            holding.__exit__(None, None, None)

    async def _run(self, job_id: str, work: Callable[[], Awaitable[Job]], *, by_itself: bool = False) -> Job:
        """`by_itself`: the job is tried again when this machine stopped it; else a person does that."""
        try:
            job = await work()
            if is_over(job):
                await anyio.to_thread.run_sync(self.app.workspace.forget_kept, job_id)
            await self._put_back(job, by_itself=by_itself)
        except CafError as fault:
            fault.remedy = _and_then(fault.remedy, f"caf resume {job_id}", by_itself=by_itself)
            raise
        return job

    async def _put_back(self, job: Job, *, by_itself: bool) -> None:
        """Publish a completed job's output again where somebody took it away and the artifacts have it still.

        Where they have not, a person who asks for it is told by an error, and one who does not by a word.
        """
        if job.status != "completed":
            return
        async for entry in read_job(self.app.store, job.spec.job_id):
            if not isinstance(entry.event, JobCompleted):
                continue
            for effect in render.react(entry.job, entry.event, cause_of(entry)):
                if not isinstance(effect, PublishOutput) or self._is_there(effect):
                    continue
                try:
                    await self.edge.perform(effect, entry)
                except InputError as fault:
                    if not by_itself or fault.kind != "artifact_corrupted":
                        raise
                    self.warn(job.spec.job_id, f"{effect.path} was removed and cannot be put back. {fault}")

    def _is_there(self, output: PublishOutput) -> bool:
        paths = (output.path, *(document.path for document in output.documents))
        return all((self.app.workspace.root / path).exists() for path in paths)

    def _ticks(self, job_id: str) -> Callable[[int, int | None], None]:
        return lambda done, total: self.ticker(job_id, "input", done, total)

    async def _model(self) -> tuple[str, str]:
        """The pose model's path and digest; fetched at the first need, in the worker."""
        async with self._fetching:
            if self._fetched is None:
                config = self.app.config
                found: FetchedModel = await self.worker.call(
                    "model",
                    config.model_source,
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
async def open_runner(
    app: App, ticker: Ticker = _no_ticks, warn: Warn = _no_warning
) -> AsyncIterator[Runner]:
    """A runner for one job after another; its one worker is started at the first need and is gone afterwards.

    Raises `UnavailableError` when a system library is missing.
    """
    require_system_libraries()
    lanes = Lanes(
        render=Lane("render", 1, app.clock), native=Lane("native", 1, app.clock), twins=Twins(app.clock)
    )
    async with Worker(memory_bytes=_memory_bytes(app)) as worker:
        yield Runner(
            app, render=worker, native=worker, taking_in=worker, lanes=lanes, ticker=ticker, warn=warn
        )


@asynccontextmanager
async def open_runner_of_many(
    app: App, ticker: Ticker = _no_ticks, warn: Warn = _no_warning
) -> AsyncIterator[Runner]:
    """A runner for many jobs at once: as many render lanes and workers as the configuration says.

    Raises `UnavailableError` when a system library is missing.
    """
    require_system_libraries()
    config = app.config
    lanes = Lanes(
        render=Lane("render", config.render_lanes, app.clock),
        native=Lane("native", config.workers, app.clock),
        twins=Twins(app.clock),
        # While one stage renders, the next one's frames are got ready.
        outside=Lane("comfyui", 2 * max(1, len(urls_of(config.comfy_urls))), app.clock),
    )
    async with (
        WorkerPool(config.render_lanes, memory_bytes=_memory_bytes(app)) as render_pool,
        WorkerPool(config.workers, memory_bytes=_memory_bytes(app)) as native,
        Worker(memory_bytes=_memory_bytes(app)) as taking_in,
    ):
        yield Runner(
            app, render=render_pool, native=native, taking_in=taking_in, lanes=lanes, ticker=ticker, warn=warn
        )


def _memory_bytes(app: App) -> int | None:
    return app.config.memory_mb * 2**20 or None


def _and_then(remedy: str, way_on: str, *, by_itself: bool) -> str:
    """What to do, ending in how the job goes on: what stopped the run was this machine, not the job."""
    told = remedy.replace("caf resume JOB", way_on)
    if by_itself or way_on in told:
        return told
    if not told or told.endswith("."):
        return f"{told} Then go on with: {way_on}".strip()
    return f"{told}, and then go on with: {way_on}"  # it ends in a command
