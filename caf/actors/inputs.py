"""What a stage works on: the job's own files copied in and probed, and earlier artifacts, each proved."""

from pathlib import Path
from typing import Any, Final, Protocol

import anyio.to_thread
import msgspec

from caf.actors.effects import RunStage
from caf.actors.scratch import scratch
from caf.artifacts import ArtifactStore
from caf.errors import CafError, InputError, MediaError
from caf.events import Artifact
from caf.job import Job
from caf.outside import pose_video
from caf.ports import MediaInfo, ProbeRequest, Progress

__all__ = ["Inputs", "Probe", "source_path"]

INPUTS: Final[dict[str, tuple[str, ...]]] = {
    "pose": ("source",),
    "frame": ("source", "reference", "pose"),
    "motion": ("frames", "pose", "source"),
    "video": ("motion", "source"),
}


class Probe(Protocol):
    """Asks a worker for one task; see `caf.worker.Worker.call`."""

    async def __call__(self, task: str, request: msgspec.Struct, *, progress: Progress) -> Any: ...


def source_path(workspace: Path, recorded: str) -> Path:
    """Where a recorded input is: absolute as given, else below the workspace."""
    return workspace / recorded


class Inputs:
    """The inputs of one workspace's jobs."""

    def __init__(self, workspace: Path, artifacts: ArtifactStore, ask: Probe) -> None:
        self.workspace = workspace
        self.artifacts = artifacts
        self.ask = ask

    async def taken_in(
        self, job: Job, effect: RunStage, progress: Progress
    ) -> tuple[list[Artifact], MediaInfo]:
        """Copies of the source and what else the job names, and what the source is. Raises `CafError`."""
        source = await self._copy_in(job, effect, "source", job.source)
        media = await self._probe_copy(source, job.source, progress, require_audio=job.spec.audio_required)
        taken = [source]
        poses = pose_video(job.spec.document, job.spec.workflows)
        for role, recorded in (("reference", job.reference), ("pose_video", poses)):
            if recorded is not None:
                copy = await self._copy_in(job, effect, role, recorded)
                await self._probe_copy(copy, recorded, progress, require_audio=False)
                taken.append(copy)
        return taken, media

    async def probe(self, path: Path, progress: Progress, *, require_audio: bool) -> MediaInfo:
        """What the worker finds in a file. Raises `MediaError` and other `CafError`s."""
        request = ProbeRequest(path=str(path), require_audio=require_audio)
        info: MediaInfo = await self.ask("probe", request, progress=progress)
        return info

    async def of(self, stage: str, job: Job, also: tuple[str, ...] = ()) -> dict[str, tuple[str, str]]:
        """Role to digest and path, each proved; poses only where enough frames have one."""
        found: dict[str, tuple[str, str]] = {}
        for role in dict.fromkeys((*INPUTS[stage], *also)):
            artifact = job.artifact(role)
            if artifact is None or (role == "pose" and _fallback(job)):
                continue
            await self.prove(artifact, job)
            found[role] = (artifact.sha256, str(self.artifacts.path(artifact.sha256)))
        return found

    async def prove(self, artifact: Artifact, job: Job) -> None:
        """Raises `InputError` for an artifact that has other bytes than the log says, or none."""
        problem = await anyio.to_thread.run_sync(self.artifacts.check, artifact)
        if problem is not None:
            raise InputError(
                f"The {artifact.role} of job {job.spec.job_id} is damaged: {problem}.",
                remedy=f"Run its stage again: caf answer {job.spec.job_id} retry --from artifact",
                kind="artifact_corrupted",
            )

    async def spoilt(self, artifacts: tuple[Artifact, ...]) -> bool:
        """True when one of them is not what was recorded: then its work is done again, which mends it."""
        for artifact in artifacts:
            if await anyio.to_thread.run_sync(self.artifacts.check, artifact) is not None:
                return True
        return False

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

    async def _copy_in(self, job: Job, effect: RunStage, role: str, recorded: str) -> Artifact:
        path = source_path(self.workspace, recorded)
        other = "" if role == "pose_video" else ", or answer with another file"
        try:
            async with scratch(self.workspace, job.spec.job_id, effect.stage) as aside:
                return await anyio.to_thread.run_sync(self.artifacts.take_in, path, role, aside)
        except FileNotFoundError as fault:
            raise MediaError(
                f"The {role.replace('_', ' ')} {path} is not there any more.",
                remedy=f"Put it back{other}.",
                kind="media_missing",
            ) from fault
        except PermissionError as fault:
            raise MediaError(
                f"The {role.replace('_', ' ')} {path} may not be read by this process.",
                remedy=f"Let the account that caf runs under read it{other}.",
                kind="media_unreadable",
            ) from fault
        except IsADirectoryError as fault:
            raise MediaError(
                f"The {role.replace('_', ' ')} {path} is a folder.",
                remedy="Give a clip or an image.",
                kind="media_unreadable",
            ) from fault


def _fallback(job: Job) -> bool:
    pose = job.attempt.pose
    return pose is None or pose.fallback_active
