"""An edge that invents what stages give and gates measure: a function of its seed, and nothing is waited for."""

import hashlib
from collections.abc import Callable

import anyio.lowlevel
import msgspec

from caf.actors.effects import (
    Effect,
    MeasureStage,
    PreparePayloads,
    PublishOutput,
    RemoveDocument,
    RunStage,
    WriteDocument,
)
from caf.events import (
    Artifact,
    Event,
    Failure,
    HandoffPrepared,
    PoseCoverageMeasured,
    QCFailed,
    QCPassed,
    StageCompleted,
    StageFailed,
)
from caf.job import Job
from caf.log import Entry
from caf.ports import Measurement
from caf.qc.gates import evaluate
from caf.repairs import DETERMINISTIC_ENGINES
from tests.support.jobs import AT, MEDIA, ROLES

__all__ = ["InventedEdge", "always", "share"]


def share(*parts: object) -> float:
    """A number from 0 to 1 that depends on all parts and on nothing else."""
    return int(digest(*parts)[:12], 16) / 16**12


def digest(*parts: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


def always(score: float) -> Callable[[str, str], float | None]:
    return lambda metric, sha256: score


class InventedEdge:
    """Performs effects in no time. Equal requests give equal artifacts and scores, as engines promise;
    an engine that promises nothing may give others in another attempt.

    `score` is asked (metric, digest of what is judged); `fails` may name the failure of a stage.
    """

    def __init__(
        self,
        *,
        score: Callable[[str, str], float | None],
        fails: Callable[[RunStage], Failure | None] = lambda effect: None,
    ) -> None:
        self.score = score
        self.fails = fails
        self.files: dict[str, bytes] = {}
        self.done: list[Effect] = []

    async def perform(self, effect: Effect, entry: Entry) -> list[Event]:
        await anyio.lowlevel.checkpoint()
        return self.do(effect, entry.job)

    def do(self, effect: Effect, job: Job) -> list[Event]:
        self.done.append(effect)
        match effect:
            case RunStage():
                return self._run(effect, job)
            case MeasureStage():
                return [self._measure(effect, job)]
            case WriteDocument():
                self.files[effect.path] = effect.content
            case RemoveDocument():
                self.files.pop(effect.path, None)
            case PublishOutput():
                self.files[effect.path] = effect.final_sha256.encode()
                for document in effect.documents:
                    self.files[document.path] = document.content
            case PreparePayloads():
                for document in effect.documents:
                    self.files[document.path] = document.content
                paths = tuple(document.path for document in effect.documents)
                return [HandoffPrepared(platforms=effect.platforms, documents=paths)]
        return []

    def _run(self, effect: RunStage, job: Job) -> list[Event]:
        failure = self.fails(effect)
        if failure is not None:
            return [
                StageFailed(stage=effect.stage, attempt_id=effect.attempt_id, failure=failure, duration_ms=5)
            ]
        inputs = [found.sha256 for role in ROLES.values() if (found := job.artifact(role))]
        mood = effect.attempt_id if effect.engine not in {*DETERMINISTIC_ENGINES, "caf", "mediapipe"} else ""
        taken = [job.source, job.reference] if effect.stage == "artifact" else inputs
        key = digest(effect.stage, effect.engine, effect.parameters, taken, mood)
        completed = StageCompleted(
            stage=effect.stage,
            attempt_id=effect.attempt_id,
            engine=effect.engine,
            engine_version="1",
            artifacts=(Artifact(role=ROLES[effect.stage], sha256=key, bytes=100, suffix=".mp4"),),
            key=key,
            reused=False,
            duration_ms=round(1000 * share("duration", key)),
            queue_ms=0,
            memory_peak_mb=None,
            facts={"width_px": 640, "height_px": 360} if effect.stage == "video" else {},
            media=MEDIA if effect.stage == "artifact" else None,
        )
        if effect.stage != "pose":
            return [completed]
        detected = round(100 * share("pose", key))
        threshold = job.spec.pose_coverage_threshold
        coverage = PoseCoverageMeasured(
            attempt_id=effect.attempt_id,
            frames=100,
            detected=detected,
            ratio=detected / 100,
            threshold=threshold,
            fallback_active=detected / 100 < threshold,
        )
        return [coverage, completed]

    def _measure(self, effect: MeasureStage, job: Job) -> QCPassed | QCFailed:
        judged = job.artifact(ROLES[effect.stage])
        assert judged is not None, "a stage was measured that gave nothing"
        scores = {metric: self.score(metric, judged.sha256) for metric in effect.metrics}
        costume = scores.get("costume_fidelity")
        report = evaluate(
            job.spec.policy,
            scores,
            job_id=job.spec.job_id,
            generated_at=AT,
            inputs={ROLES[effect.stage]: judged.sha256},
            targets=job.spec.targets,
            costume_required=job.spec.costume_required,
            costume_pass=None if costume is None else costume >= 1.0,
            only=frozenset(effect.metrics),
        )
        verdict = QCPassed if report.overall.passed else QCFailed
        return verdict(
            stage=effect.stage,
            attempt_id=effect.attempt_id,
            report=report,
            measurements=tuple(
                Measurement(metric=metric, version=1, score=score, reason="invented", raw={"seen": 1.0})
                for metric, score in scores.items()
            ),
            duration_ms=7,
        )
