"""The edge: performs effects and tells what came of them as events. Every effect is safe to do twice."""

from collections.abc import Callable
from pathlib import Path
from typing import assert_never

import anyio
import anyio.to_thread

from caf.actors.effects import (
    Effect,
    MeasureStage,
    PreparePayloads,
    PublishOutput,
    RemoveDocument,
    RunStage,
    WriteDocument,
)
from caf.actors.stages import ROLE_OF, Stages
from caf.artifacts import ArtifactStore, disk_errors, write_atomically
from caf.contracts.times import timestamp
from caf.errors import CafError, TryAgainError
from caf.events import Artifact, Event, Failure, HandoffPrepared, QCFailed, QCPassed, StageFailed
from caf.job import Job
from caf.log import Entry
from caf.outside import given_files
from caf.ports import Clock, Measurement, Outside, Progress
from caf.qc.gates import evaluate
from caf.qc.metrics.catalogue import EXTRAS, METRICS

__all__ = ["Edge"]

HALTING = frozenset({"bad_setting", "model_unavailable", "system_library_missing", "workspace_read_only"})
"""Kinds of failure that are about this machine and not about the job: the run stops and can be resumed."""

ALSO_MEASURED = {"frame": ("sharpness", "feline_presence", "human_presence")}
"""Measured beside a stage's gates, for the metrics document."""


class Edge:
    """Performs the effects of one workspace's jobs."""

    def __init__(
        self,
        *,
        workspace: Path,
        artifacts: ArtifactStore,
        stages: Stages,
        clock: Clock,
        outside: Callable[[RunStage, Entry], Outside],
        progress: Callable[[str, str, int, int | None], None] = lambda job_id, stage, done, total: None,
    ) -> None:
        self.workspace = workspace
        self.artifacts = artifacts
        self.stages = stages
        self.clock = clock
        self.outside = outside
        self.progress = progress

    async def perform(self, effect: Effect, entry: Entry) -> list[Event]:
        """Do it; the events say what came of it. Raises `CafError` when this machine cannot work now."""
        match effect:
            case RunStage():
                return await self._run_stage(effect, entry)
            case MeasureStage():
                return await self._measure(effect, entry.job)
            case WriteDocument():
                await self._write(effect)
                return []
            case RemoveDocument(path=path):
                await anyio.to_thread.run_sync(self._remove, self.workspace / path)
                return []
            case PublishOutput():
                place = self.workspace / effect.path
                await anyio.to_thread.run_sync(self.artifacts.export, effect.final_sha256, place)
                for document in effect.documents:
                    await self._write(document)
                return []
            case PreparePayloads():
                for document in effect.documents:
                    await self._write(document)
                paths = tuple(document.path for document in effect.documents)
                return [HandoffPrepared(platforms=effect.platforms, documents=paths)]
            case _:
                assert_never(effect)

    async def _write(self, document: WriteDocument) -> None:
        await anyio.to_thread.run_sync(write_atomically, self.workspace / document.path, document.content)

    def _remove(self, path: Path) -> None:
        with disk_errors(path):
            path.unlink(missing_ok=True)

    async def _run_stage(self, effect: RunStage, entry: Entry) -> list[Event]:
        job = entry.job
        started = self.clock.monotonic_ms()
        try:
            return await self.stages.run(
                effect, job, self._progress(job, effect.stage), self.outside(effect, entry)
            )
        except TryAgainError:
            raise
        except CafError as error:
            if error.kind in HALTING:
                raise
            return [
                StageFailed(
                    stage=effect.stage,
                    attempt_id=effect.attempt_id,
                    failure=Failure(
                        kind=error.kind,
                        message=self._by_their_names(job, error.message),
                        remedy=error.remedy,
                        transient=error.transient,
                    ),
                    duration_ms=self.clock.monotonic_ms() - started,
                )
            ]

    async def _measure(self, effect: MeasureStage, job: Job) -> list[Event]:
        started = self.clock.monotonic_ms()
        spec = job.spec
        measurements, series = await self._measurements(effect, job)
        measured = {item.metric: item for item in measurements}
        costume = measured.get("costume_fidelity")
        report = evaluate(
            spec.policy,
            {metric: seen.score if (seen := measured.get(metric)) else None for metric in effect.metrics},
            targets=spec.targets,
            costume_required=spec.costume_required,
            costume_pass=None if costume is None or costume.score is None else costume.score >= 1.0,
            only=frozenset(effect.metrics),
            reasons={item.metric: item.reason for item in measurements},
            job_id=spec.job_id,
            generated_at=timestamp(self.clock.now_ms()),
            inputs={
                role: found.sha256
                for role in (ROLE_OF[effect.stage], "source")
                if (found := job.artifact(role))
            },
        )
        verdict = QCPassed if report.overall.passed else QCFailed
        return [
            verdict(
                stage=effect.stage,
                attempt_id=effect.attempt_id,
                report=report,
                measurements=measurements,
                duration_ms=self.clock.monotonic_ms() - started,
                series=series,
            )
        ]

    async def _measurements(
        self, effect: MeasureStage, job: Job
    ) -> tuple[tuple[Measurement, ...], Artifact | None]:
        """What QC saw. A metric that a policy gates and nobody here knows says nothing of the others."""
        if not effect.metrics:
            return (), None
        wanted = dict.fromkeys((*effect.metrics, *ALSO_MEASURED.get(effect.stage, ())))
        known = tuple(name for name in wanted if name in METRICS | EXTRAS)
        seen, series = await self._measurements_of(known, effect, job)
        strange = (
            _not_measured(name, f"There is no metric named {name}.") for name in wanted if name not in known
        )
        return (*seen, *strange), series

    async def _measurements_of(
        self, wanted: tuple[str, ...], effect: MeasureStage, job: Job
    ) -> tuple[tuple[Measurement, ...], Artifact | None]:
        """When the measuring itself breaks, every metric is unknown and says why."""
        why = ""
        for last in (False, True):
            try:
                return await self.stages.measure(
                    effect, wanted, job, self._progress(job, f"{effect.stage} QC")
                )
            except TryAgainError:
                raise
            except CafError as error:
                if error.kind in HALTING:
                    raise
                if error.transient and not last:
                    continue  # a worker that died says nothing about what it looked at
                why = self._by_their_names(job, error.message)
                break
        return tuple(_not_measured(name, why) for name in wanted), None

    def _by_their_names(self, job: Job, message: str) -> str:
        """What is wrong with the copy of a person's file, told of their file."""
        for role, recorded in given_files(job).items():
            artifact = job.artifact(role)
            if artifact is not None:
                message = message.replace(str(self.artifacts.path(artifact.sha256)), recorded)
        return message

    def _progress(self, job: Job, doing: str) -> Progress:
        """Ticks of one job; measuring streams and knows no end, so the source's length stands in."""
        frames = job.media.frames if job.media else None
        return lambda done, total: self.progress(job.spec.job_id, doing, done, total or frames)


def _not_measured(metric: str, why: str) -> Measurement:
    return Measurement(metric=metric, version=0, score=None, reason=f"Not measured: {why}")
