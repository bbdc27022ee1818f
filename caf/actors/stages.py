"""Runs one stage for Render and measures one for QC: inputs by digest in, artifacts by digest out."""

import hashlib
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import anyio
import anyio.to_thread
import msgspec
from msgspec import Struct

from caf.actors.effects import RunStage
from caf.artifacts import ArtifactStore, disk_errors
from caf.errors import CafError, InputError, MediaError
from caf.events import Artifact, AttemptId, Event, PoseCoverageMeasured, StageCompleted
from caf.job import Job
from caf.ports import (
    Clock,
    Engine,
    Measurement,
    MeasureRequest,
    MediaInfo,
    Parameter,
    PoseRequest,
    PoseResult,
    ProbeRequest,
    Progress,
    StageRequest,
)

__all__ = ["ROLE_OF", "Caller", "Computed", "Limits", "Stages", "source_path"]

ROLE_OF: Final = {"frame": "frames", "motion": "motion", "video": "final"}
"""The artifact that a gated stage is judged by."""

INPUTS: Final[dict[str, tuple[str, ...]]] = {
    "pose": ("source",),
    "frame": ("source", "reference", "pose"),
    "motion": ("frames", "pose", "source"),
    "video": ("motion", "source"),
}
CAF_VERSION: Final = "1"
"""Of the artifact stage; raised when it would take in or check something else."""


class Limits(Struct, frozen=True, kw_only=True):
    """How long native work may take; seconds."""

    stall_s: float = 60.0
    deadline_s: float = 3600.0


class Caller(Protocol):
    """A worker process, or a pool of them."""

    peak_bytes: int

    async def call(
        self,
        task: str,
        request: msgspec.Struct,
        *,
        progress: Progress,
        stall_s: float,
        deadline_s: float,
        log: Path | None = None,
    ) -> Any:
        """See `caf.worker.Worker.call`."""


class Computed(Struct, frozen=True, kw_only=True):
    """What an earlier run of the same key gave."""

    artifacts: tuple[Artifact, ...]
    facts: dict[str, Parameter]
    duration_ms: int
    memory_peak_mb: float | None


def source_path(workspace: Path, recorded: str) -> Path:
    """Where a recorded input is: absolute as given, else below the workspace."""
    return workspace / recorded


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
        engines: Mapping[str, Engine],
        find: Callable[[str], Awaitable[Computed | None]],
        limits: Limits,
        lane: anyio.CapacityLimiter,
    ) -> None:
        self.workspace = workspace
        self.artifacts = artifacts
        self.worker = worker
        self.clock = clock
        self.model = model
        self.pose_version = pose_version
        self.engines = engines
        self.find = find
        self.limits = limits
        self.lane = lane

    async def run(self, effect: RunStage, job: Job, progress: Progress) -> list[Event]:
        """The facts of one stage's run. Raises `CafError` when it gave nothing."""
        if effect.stage == "artifact":
            return [await self._take_in(effect, job, progress)]
        inputs = await self._inputs(effect.stage, job)
        if effect.stage == "pose":
            model = await self.model()
            version = f"{self.pose_version} {model[1][:12]}"
        else:
            version = self._engine(effect.engine).version
        key = _key(effect, version, inputs, job)
        done = await self.find(key)
        queue_ms, reused = 0, True
        if done is None or await self._spoilt(done.artifacts):
            reused = False
            waited = self.clock.monotonic_ms()
            async with self.lane:
                queue_ms = self.clock.monotonic_ms() - waited
                compute = self._find_poses if effect.stage == "pose" else self._run_engine
                done = await compute(effect, job, inputs, progress)
        completed = StageCompleted(
            stage=effect.stage,
            attempt_id=effect.attempt_id,
            engine=effect.engine,
            engine_version=version,
            artifacts=done.artifacts,
            key=key,
            reused=reused,
            duration_ms=done.duration_ms,
            queue_ms=queue_ms,
            memory_peak_mb=done.memory_peak_mb,
            facts=done.facts,
        )
        return [_coverage(effect, job, done.facts), completed] if effect.stage == "pose" else [completed]

    async def measure(
        self, metrics: tuple[str, ...], role: str, job: Job, progress: Progress
    ) -> tuple[Measurement, ...]:
        """Measure metrics on the newest artifact of a role. Raises `CafError`."""
        inputs = await self._inputs("frame", job)
        video = job.artifact(role)
        if video is None:
            raise InputError(
                f"There is no {role} to measure.", remedy="Run its stage again.", kind="artifact_missing"
            )
        await self._prove(video, job)
        request = MeasureRequest(
            metrics=metrics,
            video=str(self.artifacts.path(video.sha256)),
            source=inputs["source"][1],
            reference=inputs["reference"][1] if "reference" in inputs else None,
            pose=inputs["pose"][1] if "pose" in inputs else None,
            costume_required=job.spec.costume_required,
        )
        measured: tuple[Measurement, ...] = await self._call("measure", request, job, progress)
        return measured

    async def probe(self, path: Path, progress: Progress, *, require_audio: bool) -> MediaInfo:
        """What the worker finds in a file. Raises `MediaError` and other `CafError`s."""
        info: MediaInfo = await self.worker.call(
            "probe",
            ProbeRequest(path=str(path), require_audio=require_audio),
            progress=progress,
            stall_s=self.limits.stall_s,
            deadline_s=self.limits.deadline_s,
        )
        return info

    async def _take_in(self, effect: RunStage, job: Job, progress: Progress) -> StageCompleted:
        """Copy the inputs in, hash and probe them, before anything expensive is done."""
        started = self.clock.monotonic_ms()
        source = await self._copy_in(job, effect, "source")
        media = await self._probe_copy(source, job.source, progress, require_audio=job.spec.audio_required)
        taken = [source]
        if job.reference is not None:
            reference = await self._copy_in(job, effect, "reference")
            await self._probe_copy(reference, job.reference, progress, require_audio=False)
            taken.append(reference)
        return StageCompleted(
            stage="artifact",
            attempt_id=effect.attempt_id,
            engine=effect.engine,
            engine_version=CAF_VERSION,
            artifacts=tuple(taken),
            key=_digest(["artifact", CAF_VERSION, [item.sha256 for item in taken]]),
            reused=False,
            duration_ms=self.clock.monotonic_ms() - started,
            queue_ms=0,
            memory_peak_mb=_megabytes(self.worker.peak_bytes),
            facts={},
            media=media,
        )

    async def _probe_copy(
        self, copy: Artifact, recorded: str, progress: Progress, *, require_audio: bool
    ) -> MediaInfo:
        """Probe what was copied in; what is wrong with it is told of the person's file, by its name."""
        path = self.artifacts.path(copy.sha256)
        try:
            return await self.probe(path, progress, require_audio=require_audio)
        except CafError as fault:
            fault.message = fault.message.replace(str(path), recorded)
            raise

    async def _copy_in(self, job: Job, effect: RunStage, role: str) -> Artifact:
        recorded = job.source if role == "source" else job.reference or ""
        path = source_path(self.workspace, recorded)
        try:
            with self._scratch(job, effect) as aside:
                return await anyio.to_thread.run_sync(self.artifacts.take_in, path, role, aside)
        except FileNotFoundError as fault:
            raise MediaError(
                f"The {role} {path} is not there any more.",
                remedy="Put it back, or answer with another file.",
                kind="media_missing",
            ) from fault
        except IsADirectoryError as fault:
            raise MediaError(
                f"The {role} {path} is a folder.", remedy="Give a clip or an image.", kind="media_unreadable"
            ) from fault

    async def _find_poses(
        self, effect: RunStage, job: Job, inputs: dict[str, tuple[str, str]], progress: Progress
    ) -> Computed:
        model, _ = await self.model()
        started = self.clock.monotonic_ms()
        with self._scratch(job, effect) as out:
            request = PoseRequest(video=inputs["source"][1], model=model, out_dir=str(out))
            found: PoseResult = await self._call("pose", request, job, progress)
            artifact = await anyio.to_thread.run_sync(self.artifacts.adopt, Path(found.landmarks), "pose")
        return Computed(
            artifacts=(artifact,),
            facts={"frames": found.frames, "detected": found.detected},
            duration_ms=self.clock.monotonic_ms() - started,
            memory_peak_mb=_megabytes(self.worker.peak_bytes),
        )

    async def _run_engine(
        self, effect: RunStage, job: Job, inputs: dict[str, tuple[str, str]], progress: Progress
    ) -> Computed:
        target = job.target
        assert target is not None, "the artifact stage has probed the source"
        started = self.clock.monotonic_ms()
        with self._scratch(job, effect) as out:
            request = StageRequest(
                stage=effect.stage,
                inputs={role: path for role, (_, path) in inputs.items()},
                parameters=effect.parameters,
                target=target,
                out_dir=str(out),
                log=str(log_path(self.workspace, job.spec.job_id, job.attempt.id, effect.stage)),
            )
            result = await self._engine(effect.engine).run(request, progress)
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
        return Computed(
            artifacts=artifacts,
            facts=result.facts,
            duration_ms=self.clock.monotonic_ms() - started,
            memory_peak_mb=_megabytes(self.worker.peak_bytes),
        )

    async def _inputs(self, stage: str, job: Job) -> dict[str, tuple[str, str]]:
        """Role to digest and path, each proved; poses only where enough frames have one."""
        found: dict[str, tuple[str, str]] = {}
        for role in INPUTS[stage]:
            artifact = job.artifact(role)
            if artifact is None or (role == "pose" and _fallback(job)):
                continue
            await self._prove(artifact, job)
            found[role] = (artifact.sha256, str(self.artifacts.path(artifact.sha256)))
        return found

    async def _prove(self, artifact: Artifact, job: Job) -> None:
        """Raises `InputError` for an artifact that has other bytes than the log says, or none."""
        problem = await anyio.to_thread.run_sync(self.artifacts.check, artifact)
        if problem is not None:
            raise InputError(
                f"The {artifact.role} of job {job.spec.job_id} is damaged: {problem}.",
                remedy=f"Run its stage again: caf answer {job.spec.job_id} retry --from artifact",
                kind="artifact_corrupted",
            )

    async def _spoilt(self, artifacts: tuple[Artifact, ...]) -> bool:
        """True when one of them is not what was recorded: then its work is done again, which mends it."""
        for artifact in artifacts:
            if await anyio.to_thread.run_sync(self.artifacts.check, artifact) is not None:
                return True
        return False

    def _engine(self, engine_id: str) -> Engine:
        engine = self.engines.get(engine_id)
        if engine is None:
            raise InputError(
                f"There is no engine {engine_id!r} here; there is {', '.join(sorted(self.engines))}.",
                remedy="Choose a workflow of one of these engines.",
                kind="unknown_engine",
            )
        return engine

    async def _call(self, task: str, request: msgspec.Struct, job: Job, progress: Progress) -> Any:
        return await self.worker.call(
            task,
            request,
            progress=progress,
            stall_s=self.limits.stall_s,
            deadline_s=self.limits.deadline_s,
            log=log_path(self.workspace, job.spec.job_id, job.attempt.id, task),
        )

    @contextmanager
    def _scratch(self, job: Job, effect: RunStage) -> Iterator[Path]:
        root = self.workspace / ".caf" / "tmp"
        with disk_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=root, prefix=f"{job.spec.job_id}.{effect.stage}."))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def log_path(workspace: Path, job_id: str, attempt: AttemptId, task: str) -> Path:
    """Where a worker's own noise goes."""
    folder = workspace / ".caf" / "logs" / job_id
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{attempt}.{task}.log"


def _fallback(job: Job) -> bool:
    pose = job.attempt.pose
    return pose is None or pose.fallback_active


def _coverage(effect: RunStage, job: Job, facts: dict[str, Parameter]) -> PoseCoverageMeasured:
    frames, detected = facts["frames"], facts["detected"]
    assert isinstance(frames, int)
    assert isinstance(detected, int)
    ratio = detected / frames if frames else 0.0
    threshold = job.spec.pose_coverage_threshold
    return PoseCoverageMeasured(
        attempt_id=effect.attempt_id,
        frames=frames,
        detected=detected,
        ratio=ratio,
        threshold=threshold,
        fallback_active=ratio < threshold,
    )


def _key(effect: RunStage, version: str, inputs: Mapping[str, tuple[str, str]], job: Job) -> str:
    target = msgspec.to_builtins(job.target) if effect.stage != "pose" else None
    digests = {role: digest for role, (digest, _) in sorted(inputs.items())}
    return _digest([effect.stage, effect.engine, version, digests, effect.parameters, target])


def _digest(value: object) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def _megabytes(peak_bytes: int) -> float | None:
    return round(peak_bytes / 2**20, 1) if peak_bytes else None
