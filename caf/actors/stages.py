"""Runs one stage for Render and measures one for QC: inputs by digest in, artifacts by digest out."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import anyio.to_thread
import msgspec
from msgspec import Struct

from caf.actors import poses
from caf.actors.effects import MeasureStage, RunStage
from caf.actors.inputs import Inputs
from caf.actors.scratch import kept, log_path, scratch
from caf.artifacts import ArtifactStore
from caf.engines.embedded import Caller
from caf.errors import CafError, InputError
from caf.events import Artifact, Event, StageCompleted
from caf.job import Job
from caf.lanes import Lane, Turn, Twins
from caf.outside import OUTSIDE_ENGINE, outside_work
from caf.ports import (
    Called,
    Clock,
    EmbeddingModel,
    Engine,
    Measurement,
    MeasureRequest,
    Outside,
    OutsideWork,
    Parameter,
    PoseResult,
    Progress,
    StageRequest,
)

__all__ = ["ROLE_OF", "Computed", "Lanes", "Limits", "Stages"]

STEERING: Final = ("reference", "pose_video")
"""What a job may bring for the workflow of a server outside."""

ROLE_OF: Final = {"frame": "frames", "motion": "motion", "video": "final"}
"""The artifact that a gated stage is judged by."""

CAF_VERSION: Final = "1"
"""Of the artifact stage; raised when it would take in or check something else."""


class Limits(Struct, frozen=True, kw_only=True):
    """How long native work may take; seconds."""

    stall_s: float = 60.0
    deadline_s: float = 3600.0


class Lanes(Struct, frozen=True, kw_only=True):
    """Where work waits for its turn."""

    render: Lane
    """The engines: one turn a GPU."""
    native: Lane
    """Taking in, poses and measuring: one turn a worker of the pool."""
    twins: "Twins[Computed]"
    """Stages of two jobs that would give the same."""
    outside: Lane | None = None
    """The servers outside: one turn a server; None: they take the render lane's."""

    @property
    def all(self) -> tuple[Lane, ...]:
        return (self.render, self.native, *([self.outside] if self.outside else []))


class Computed(Struct, frozen=True, kw_only=True):
    """What a run of some key gave, now or earlier."""

    artifacts: tuple[Artifact, ...]
    facts: dict[str, Parameter]
    duration_ms: int
    memory_peak_mb: float | None
    queue_ms: int = 0


class _Wish(Struct, frozen=True, kw_only=True):
    """What an engine is to run, for whom, and under which key it is found again."""

    effect: RunStage
    job: Job
    key: str
    turn: Turn
    inputs: dict[str, tuple[str, str]]
    work: OutsideWork | None


class Stages:
    """Runs stages of one workspace's jobs; knows no log, decides nothing."""

    def __init__(
        self,
        *,
        workspace: Path,
        artifacts: ArtifactStore,
        worker: Caller,
        clock: Clock,
        model: Callable[[], Awaitable[tuple[str, str]]],
        pose_version: str,
        pose_workers: int,
        embedding: EmbeddingModel | None,
        measure_workers: int,
        engines: Mapping[str, Engine],
        find: Callable[[str], Awaitable[Computed | None]],
        limits: Limits,
        lanes: Lanes,
    ) -> None:
        self.workspace = workspace
        self.artifacts = artifacts
        self.worker = worker
        self.clock = clock
        self.model = model
        self.pose_version = pose_version
        self.pose_workers = pose_workers
        self.embedding = embedding
        self.measure_workers = measure_workers
        self.engines = engines
        self.find = find
        self.limits = limits
        self.lanes = lanes
        self.inputs = Inputs(workspace, artifacts, self._ask)

    async def run(self, effect: RunStage, job: Job, progress: Progress, outside: Outside) -> list[Event]:
        """The facts of one stage's run. Raises `CafError` when it gave nothing."""
        work = outside_work(job, effect.stage) if effect.engine == OUTSIDE_ENGINE else None
        turn = await self._turn_of(effect, job, work, outside)
        if effect.stage == "artifact":
            return [await self._take_in(effect, job, progress)]
        inputs = await self.inputs.of(effect.stage, job, STEERING if work else ())
        if effect.stage == "pose":
            model = await self.model()
            version = f"{self.pose_version} {model[1][:12]}"
        else:
            version = self._engine(effect.engine).version
        key = _key(effect, version, inputs, job, work)
        if work is not None and not turn.begun:
            await self.lanes.twins.let_come()
        async with self.lanes.twins.alone(key, turn) as same:
            done = None if effect.fresh else same.result or await self.find(key)
            reused = done is not None and not await self.inputs.spoilt(done.artifacts)
            if done is None or not reused:
                done = (
                    await self._find_poses(effect, job, inputs, progress)
                    if effect.stage == "pose"
                    else await self._run_engine(
                        _Wish(effect=effect, job=job, key=key, turn=turn, inputs=inputs, work=work),
                        progress,
                        outside,
                    )
                )
            same.result = done
        completed = StageCompleted(
            stage=effect.stage,
            attempt_id=effect.attempt_id,
            engine=effect.engine,
            engine_version=version,
            artifacts=done.artifacts,
            key=key,
            reused=reused,
            duration_ms=done.duration_ms,
            queue_ms=done.queue_ms,
            memory_peak_mb=done.memory_peak_mb,
            facts=done.facts,
        )
        if effect.stage != "pose":
            return [completed]
        return [poses.coverage_of(effect.attempt_id, job.spec.pose_coverage_threshold, done.facts), completed]

    async def measure(
        self, effect: MeasureStage, metrics: tuple[str, ...], job: Job, progress: Progress
    ) -> tuple[tuple[Measurement, ...], Artifact | None]:
        """Measure metrics on what a stage gave, and keep the series behind the scores. Raises `CafError`."""
        self.lanes.twins.came(job.spec.job_id)
        role = ROLE_OF[effect.stage]
        inputs = await self.inputs.of("frame", job)
        video = job.artifact(role)
        if video is None:
            raise InputError(
                f"There is no {role} to measure.", remedy="Run its stage again.", kind="artifact_missing"
            )
        await self.inputs.prove(video, job)
        async with scratch(self.workspace, job.spec.job_id, f"{effect.stage}.qc") as out:
            series = out / "series.npz"
            request = MeasureRequest(
                metrics=metrics,
                video=str(self.artifacts.path(video.sha256)),
                source=inputs["source"][1],
                reference=inputs["reference"][1] if "reference" in inputs else None,
                pose=inputs["pose"][1] if "pose" in inputs else None,
                costume_required=job.spec.costume_required,
                target=job.target if effect.stage == "video" else None,
                series=str(series),
                embedding=self.embedding,
                workers=self.measure_workers,
            )
            async with self.lanes.native.turn(_turn(effect, job, gate=True)):
                called = await self._call("measure", request, job, progress)
            # The next job has the lane while this one's series are put away.
            measured: tuple[Measurement, ...] = called.result
            if not await anyio.to_thread.run_sync(series.exists):
                return measured, None
            return measured, await anyio.to_thread.run_sync(self.artifacts.adopt, series, "series")

    async def _turn_of(self, effect: RunStage, job: Job, work: OutsideWork | None, outside: Outside) -> Turn:
        """What the stage wants lanes for. Who has begun nothing is waited for by nobody."""
        begun = work is not None and bool(await outside.known())
        if not begun:
            self.lanes.twins.came(job.spec.job_id)
        return _turn(effect, job, begun=begun)

    async def _take_in(self, effect: RunStage, job: Job, progress: Progress) -> StageCompleted:
        """Copy the inputs in, hash and probe them, before anything expensive is done."""
        async with self.lanes.native.turn(_turn(effect, job)) as queue_ms:
            started = self.clock.monotonic_ms()
            taken, media = await self.inputs.taken_in(job, effect, progress)
            duration_ms = self.clock.monotonic_ms() - started
        return StageCompleted(
            stage="artifact",
            attempt_id=effect.attempt_id,
            engine=effect.engine,
            engine_version=CAF_VERSION,
            artifacts=tuple(taken),
            key=_digest(["artifact", CAF_VERSION, [item.sha256 for item in taken]]),
            reused=False,
            duration_ms=duration_ms,
            queue_ms=queue_ms,
            memory_peak_mb=None,
            facts={},
            media=media,
        )

    async def _find_poses(
        self, effect: RunStage, job: Job, inputs: dict[str, tuple[str, str]], progress: Progress
    ) -> Computed:
        model, _ = await self.model()
        async with (
            scratch(self.workspace, job.spec.job_id, effect.stage) as out,
            self.lanes.native.turn(_turn(effect, job)) as queue_ms,
        ):
            started = self.clock.monotonic_ms()
            request = poses.request_of(
                effect.parameters,
                video=inputs["source"][1],
                model=model,
                out=out,
                workers=self.pose_workers,
                stall_s=self.limits.stall_s,
            )
            try:
                called = await self._call("pose", request, job, progress)
            except CafError as fault:
                kept = log_path(self.workspace, job.spec.job_id, job.attempt.id, "pose").with_suffix(
                    ".partial.npz"
                )
                await anyio.to_thread.run_sync(poses.keep_partial, out, kept, fault)
                raise
            found: PoseResult = called.result
            artifact = await anyio.to_thread.run_sync(self.artifacts.adopt, Path(found.landmarks), "pose")
            duration_ms = self.clock.monotonic_ms() - started
        return Computed(
            artifacts=(artifact,),
            facts=poses.facts_of(request, found),
            duration_ms=duration_ms,
            memory_peak_mb=_megabytes(called.peak_bytes),
            queue_ms=queue_ms,
        )

    async def _run_engine(self, wish: _Wish, progress: Progress, outside: Outside) -> Computed:
        effect, job, work = wish.effect, wish.job, wish.work
        target = job.target
        assert target is not None, "the artifact stage has probed the source"
        async with AsyncExitStack() as folders:
            out = await folders.enter_async_context(scratch(self.workspace, job.spec.job_id, effect.stage))
            lasting = ""
            if work is not None:
                name = f"{effect.stage}.{wish.key[:16]}"
                lasting = str(await folders.enter_async_context(kept(self.workspace, job.spec.job_id, name)))
            request = StageRequest(
                stage=effect.stage,
                inputs={role: path for role, (_, path) in wish.inputs.items()},
                parameters=effect.parameters,
                target=target,
                out_dir=str(out),
                kept_dir=lasting,
                log=str(log_path(self.workspace, job.spec.job_id, job.attempt.id, effect.stage)),
                outside=work,
            )
            engine = self._engine(effect.engine)
            lane = self.lanes.outside if work and self.lanes.outside else self.lanes.render
            async with lane.turn(wish.turn) as queue_ms:
                started = self.clock.monotonic_ms()
                result = await engine.run(request, progress, outside)
            # The next job has the lane while this one's results are put away.
            if ROLE_OF[effect.stage] not in [item.role for item in result.outputs]:
                raise CafError(
                    f"The engine {effect.engine} ended the {effect.stage} stage without its "
                    f"{ROLE_OF[effect.stage]}.",
                    remedy="Choose another workflow; this one's output cannot be judged.",
                    kind="output_missing",
                )
            artifacts = tuple(
                [
                    await anyio.to_thread.run_sync(self.artifacts.adopt, Path(item.path), item.role)
                    for item in result.outputs
                ]
            )
            duration_ms = self.clock.monotonic_ms() - started
        return Computed(
            artifacts=artifacts,
            facts=result.facts,
            duration_ms=duration_ms,
            memory_peak_mb=_megabytes(result.memory_peak_bytes),
            queue_ms=queue_ms,
        )

    def _engine(self, engine_id: str) -> Engine:
        engine = self.engines.get(engine_id)
        if engine is None:
            raise InputError(
                f"There is no engine {engine_id!r} here; there is {', '.join(sorted(self.engines))}.",
                remedy="Choose a workflow of one of these engines.",
                kind="unknown_engine",
            )
        return engine

    async def _ask(self, task: str, request: msgspec.Struct, *, progress: Progress) -> Any:
        called = await self.worker.measured(
            task,
            request,
            progress=progress,
            stall_s=self.limits.stall_s,
            deadline_s=self.limits.deadline_s,
        )
        return called.result

    async def _call(self, task: str, request: msgspec.Struct, job: Job, progress: Progress) -> Called:
        return await self.worker.measured(
            task,
            request,
            progress=progress,
            stall_s=self.limits.stall_s,
            deadline_s=self.limits.deadline_s,
            log=log_path(self.workspace, job.spec.job_id, job.attempt.id, task),
        )


def _turn(effect: RunStage | MeasureStage, job: Job, *, gate: bool = False, begun: bool = False) -> Turn:
    return Turn(
        job_id=job.spec.job_id,
        stage=effect.stage,
        attempt_id=effect.attempt_id,
        gate=gate,
        priority=job.spec.priority,
        begun=begun,
    )


def _key(
    effect: RunStage,
    version: str,
    inputs: Mapping[str, tuple[str, str]],
    job: Job,
    work: OutsideWork | None,
) -> str:
    target = msgspec.to_builtins(job.target) if effect.stage != "pose" else None
    digests = {role: digest for role, (digest, _) in sorted(inputs.items())}
    asked = [effect.stage, effect.engine, version, digests, effect.parameters, target]
    return _digest([*asked, work.workflow] if work else asked)


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def _megabytes(peak_bytes: int) -> float | None:
    return round(peak_bytes / 2**20, 1) if peak_bytes else None
