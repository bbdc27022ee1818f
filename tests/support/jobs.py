"""Events and jobs with short names: everything has a default, a test says only what it is about."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from caf.actors.effects import Cause, Effect
from caf.contracts import (
    Action,
    Decision,
    FailureClass,
    FailureClassification,
    Gate,
    Preset,
    ProductionDecision,
    QCPolicy,
    QCReport,
    Routing,
    UserActionRequired,
    Workflow,
    WorkflowPresets,
    WorkflowRegistry,
)
from caf.events import (
    Artifact,
    AttemptStarted,
    Escalated,
    EscalationAnswered,
    Event,
    Failure,
    JobAborted,
    JobCancelled,
    JobCompleted,
    JobId,
    JobSubmitted,
    PoseCoverageMeasured,
    Posted,
    QCFailed,
    QCPassed,
    RepairDecided,
    Stage,
    StageCompleted,
    StageFailed,
    StageStarted,
    attempt_id,
)
from caf.job import INITIAL, Job, evolve
from caf.policies import DEFAULT_POLICY, DEFAULT_REGISTRY, LOCAL_WORKFLOW
from caf.ports import Measurement, MediaInfo
from caf.qc.gates import evaluate
from caf.qc.stages import metrics_of

JOB_ID: Final = JobId("cat-dances-01")
AT: Final = "2026-02-05T10:00:00.000Z"
CAUSE: Final = Cause(event_id="6b1f0a52-0000-5000-8000-000000000001", version=1, recorded_at=AT)
RUN_1: Final = attempt_id(1)
ROLES: Final[dict[Stage, str]] = {
    "artifact": "source",
    "pose": "pose",
    "frame": "frames",
    "motion": "motion",
    "video": "final",
}
MEDIA: Final = MediaInfo(
    kind="clip",
    container="mp4",
    codec="h264",
    width=640,
    height=360,
    rotation_deg=0,
    pixel_format="yuv420p",
    frames=90,
    fps=30.0,
    variable_fps=False,
    duration_s=3.0,
    has_audio=True,
    bytes=1000,
)


def submitted(**changes: Any) -> JobSubmitted:
    return JobSubmitted(
        **{
            "job_id": JOB_ID,
            "document": {
                "job_id": JOB_ID,
                "video": {},
                "render": {"background_asset": "clip.mp4"},
                "niche": "cats",
            },
            "document_sha256": "d" * 64,
            "source": "/clips/clip.mp4",
            "reference": None,
            "costume_required": False,
            "audio_required": False,
            "target": None,
            "workflow_id": LOCAL_WORKFLOW,
            "parameters": {},
            "pose_coverage_threshold": 0.3,
            "platforms": (),
            "policy": DEFAULT_POLICY,
            "policy_sha256": "p" * 64,
            "registry": DEFAULT_REGISTRY,
            "registry_sha256": "r" * 64,
            "targets": {},
            **changes,
        }
    )


def attempt(number: int = 1, **changes: Any) -> AttemptStarted:
    return AttemptStarted(
        **{
            "attempt_id": attempt_id(number),
            "from_stage": "artifact",
            "workflow_id": LOCAL_WORKFLOW,
            "parameters": {},
            "decided_by": None if number == 1 else CAUSE.event_id,
            **changes,
        }
    )


def started(stage: Stage, number: int = 1) -> StageStarted:
    return StageStarted(stage=stage, attempt_id=attempt_id(number), engine="local", parameters={})


def completed(stage: Stage, number: int = 1, **changes: Any) -> StageCompleted:
    return StageCompleted(
        **{
            "stage": stage,
            "attempt_id": attempt_id(number),
            "engine": "local",
            "engine_version": "1",
            "artifacts": (Artifact(role=ROLES[stage], sha256=f"{stage}-{number}", bytes=10, suffix=".mp4"),),
            "key": f"key-{stage}",
            "reused": False,
            "duration_ms": 1500,
            "queue_ms": 20,
            "memory_peak_mb": 300.0,
            "facts": {},
            "media": MEDIA if stage == "artifact" else None,
            **changes,
        }
    )


def failed(
    stage: Stage, number: int = 1, *, kind: str = "worker_died", transient: bool = True
) -> StageFailed:
    return StageFailed(
        stage=stage,
        attempt_id=attempt_id(number),
        failure=Failure(kind=kind, message="It broke.", remedy="Mend it.", transient=transient),
        duration_ms=10,
    )


def coverage(number: int = 1, *, ratio: float = 0.8) -> PoseCoverageMeasured:
    return PoseCoverageMeasured(
        attempt_id=attempt_id(number),
        frames=100,
        detected=round(ratio * 100),
        ratio=ratio,
        threshold=0.3,
        fallback_active=ratio < 0.3,
    )


def report(spec: JobSubmitted, stage: Stage, scores: dict[str, float | None]) -> QCReport:
    """What QC reports on a stage; a metric that `scores` does not name has the score 1."""
    metrics = metrics_of(spec.policy, stage)
    seen = {metric: scores.get(metric, 1.0) for metric in metrics}
    costume = seen.get("costume_fidelity")
    return evaluate(
        spec.policy,
        seen,
        job_id=spec.job_id,
        generated_at=AT,
        inputs={ROLES[stage]: "a" * 64},
        targets=spec.targets,
        costume_required=spec.costume_required,
        costume_pass=None if costume is None else costume >= 1.0,
        only=frozenset(metrics),
    )


def judged(spec: JobSubmitted, stage: Stage, number: int = 1, **scores: float | None) -> QCPassed | QCFailed:
    """The gate's event for these scores."""
    told = report(spec, stage, scores)
    kind = QCPassed if told.overall.passed else QCFailed
    return kind(
        stage=stage,
        attempt_id=attempt_id(number),
        report=told,
        measurements=tuple(
            Measurement(
                metric=gate.metric,
                version=1,
                score=gate.score,
                reason="seen",
                raw={"shift_px": 0.5},
                worst_frames=() if gate.status == "PASS" else (9, 3),
                spans=() if gate.status == "PASS" else ((3, 5), (9, 9)),
            )
            for gate in told.gates
        ),
        duration_ms=40,
        series=Artifact(role="series", sha256="5" * 64, bytes=900, suffix=".npz")
        if stage == "motion"
        else None,
    )


def decided(stage: Stage, number: int = 1, action: str = "PROCEED", **changes: Any) -> RepairDecided:
    decision = msgspec.convert({"action": action, "reasoning": "because", **changes}, Decision)
    return RepairDecided(
        attempt_id=attempt_id(number),
        stage=stage,
        decision=ProductionDecision(job_id=JOB_ID, attempt_id=attempt_id(number), decision=decision),
        reasoned_by="policy",
        alternatives=(action,),
    )


def escalated(stage: Stage, number: int = 1) -> Escalated:
    return Escalated(
        attempt_id=attempt_id(number),
        stage=stage,
        request=UserActionRequired(
            job_id=JOB_ID,
            reason="IDENTITY_CONFLICT",
            required_artifact="reference picture",
            expected_format="a picture",
            escalation_ts=AT,
        ),
        detail="The cat is another one.",
    )


def answered(action: str, stage: Stage, **changes: Any) -> EscalationAnswered:
    return EscalationAnswered(**{"action": action, "stage": stage, "by": "ada", "note": "", **changes})


def job_completed(number: int = 1) -> JobCompleted:
    return JobCompleted(attempt_id=attempt_id(number), final_sha256=f"video-{number}")


def job_cancelled() -> JobCancelled:
    return JobCancelled(by="ada", reason="no longer wanted")


def job_aborted(number: int = 1) -> JobAborted:
    failure = Failure(kind="given_up", message="It is hopeless.", remedy="Submit another.")
    return JobAborted(attempt_id=attempt_id(number), failure=failure)


def posted(platform: str = "youtube", **changes: Any) -> Posted:
    return Posted(
        **{
            "platform": platform,
            "post_url": f"https://example.org/{platform}/1",
            "posted_at": AT,
            "observed_from": "person",
            **changes,
        }
    )


def fold(*events: Event) -> Job:
    job = INITIAL
    for event in events:
        job = evolve(job, event)
    return job


def up_to(stage: Stage, spec: JobSubmitted | None = None, number: int = 1, **first: Any) -> list[Event]:
    """A first attempt from its submission up to a completed stage, every gate before it passed."""
    spec = spec or submitted()
    events: list[Event] = [spec, attempt(number, **first)]
    for current in ("artifact", "pose", "frame", "motion", "video"):
        name = msgspec.convert(current, Stage)
        events += [started(name, number)]
        events += [coverage(number)] if name == "pose" else []
        events += [completed(name, number)]
        if name == stage:
            return events
        if name in ("frame", "motion"):
            events += [judged(spec, name, number), decided(name, number)]
    return events


def events_in(reaction: Iterable[Event | Effect]) -> list[Event]:
    return [item for item in reaction if not isinstance(item, Effect)]


def effects_in(reaction: Iterable[Event | Effect]) -> list[Effect]:
    return [item for item in reaction if isinstance(item, Effect)]


def gate(metric: str, **changes: Any) -> Gate:
    return Gate(
        **{
            "gate_id": f"{metric}_gate",
            "metric": metric,
            "dimension": "motion",
            "threshold": 0.5,
            "severity": "MEDIUM",
            "repairable": True,
            "failure_action": "RETRY_STAGE",
            "target_stage": "motion",
            **changes,
        }
    )


def policy_of(
    *gates: Gate,
    classes: Iterable[FailureClass] = (),
    presets: Iterable[Preset] = (),
    retries: int = 2,
    missing: Action = "ESCALATE_USER",
    priority: tuple[Action, ...] = ("ABORT", "ESCALATE_USER", "RETRY_STAGE", "SWITCH_POLICY", "PROCEED"),
    fallback: Action = "ESCALATE_USER",
) -> QCPolicy:
    return QCPolicy(
        policy_id="for_tests",
        max_retries_default=retries,
        default_action_on_missing_report=missing,
        gates=gates,
        routing=Routing(failure_action_priority=priority, fallback_action=fallback),
        failure_classification=FailureClassification(classes=tuple(classes)),
        workflow_presets=WorkflowPresets(class_to_preset=tuple(presets)),
    )


def preset(class_id: str, preset_id: str, workflow_id: str = LOCAL_WORKFLOW, **overrides: Any) -> Preset:
    return Preset(
        class_id=class_id, preset_id=preset_id, workflow_id=workflow_id, parameter_overrides=overrides
    )


def workflow(workflow_id: str, engine: str = "local", **defaults: Any) -> Workflow:
    return Workflow(workflow_id=workflow_id, engine=engine, tags=(), default_parameters=defaults)


def registry_of(*workflows: Workflow) -> WorkflowRegistry:
    return WorkflowRegistry(workflows=tuple(workflows))
