"""The documents that a job's folders hold, made from the job's recorded facts alone. Pure."""

import msgspec

from caf.contracts import (
    EngineMetrics,
    FelineDetected,
    HumanDetected,
    JobDocument,
    ProductionMetrics,
    QCReport,
    VisualMetrics,
    Workflow,
    platform_payload,
)
from caf.contracts.read import write_document
from caf.events import STAGES, Stage
from caf.job import Job
from caf.places import final_path
from caf.ports import Measurement, Parameter
from caf.qc.gates import overall

__all__ = [
    "engine_of",
    "payload",
    "production_metrics",
    "qc_report",
    "result",
    "workflow_of",
    "written",
]

FELINE_PRESENT = 0.5
"""Share of sampled frames with a cat face from which a clip counts as showing a cat."""


def written(document: msgspec.Struct) -> bytes:
    """A document as it is stored in a job's folder."""
    return write_document(document)


def workflow_of(job: Job, workflow_id: str) -> Workflow:
    """A workflow of the registry that the job was submitted with; its presence was checked then."""
    return next(flow for flow in job.spec.registry.workflows if flow.workflow_id == workflow_id)


def engine_of(job: Job, stage: Stage) -> str:
    """Who runs a stage: caf itself takes the input in, MediaPipe finds poses, the workflow's engine the rest."""
    if stage == "artifact":
        return "caf"
    if stage == "pose":
        return "mediapipe"
    return workflow_of(job, job.attempt.workflow_id).engine


def qc_report(job: Job, at: str) -> bytes:
    """All gates judged so far in the current attempt as one report, in the policy's order."""
    found = {gate.gate_id: gate for seen in job.attempt.gates for gate in seen.report.gates}
    gates = tuple(found[gate.gate_id] for gate in job.spec.policy.gates if gate.gate_id in found)
    inputs: dict[str, str | None] = {}
    for seen in job.attempt.gates:
        inputs |= seen.report.inputs
    return written(
        QCReport(
            job_id=job.spec.job_id,
            generated_at=at,
            inputs=inputs,
            gates=gates,
            overall=overall(job.spec.policy, gates),
        )
    )


def production_metrics(job: Job, at: str) -> bytes:
    """production_metrics.v1 of the current attempt; what was not measured is left out."""
    attempt = job.attempt
    final = attempt.stages.get("video")
    facts = final.facts if final else {}
    width, height = facts.get("width_px"), facts.get("height_px")
    sized = isinstance(width, int) and isinstance(height, int) and height > 0
    measured = {item.metric: item for seen in attempt.gates for item in seen.measurements}
    visual = VisualMetrics(
        image_resolution=f"{width}x{height}" if sized else None,
        aspect_ratio=round(width / height, 6)
        if isinstance(width, int) and isinstance(height, int) and sized
        else None,
        feline_detected=_feline(job, measured),
        human_detected=_human(measured),
        pose_score=attempt.pose.ratio if attempt.pose else None,
        motion_score=_score(measured, "temporal_stability"),
        blur_score=_score(measured, "sharpness"),
        identity_similarity_score=_score(measured, "identity_consistency"),
    )
    return written(
        ProductionMetrics(
            job_id=job.spec.job_id,
            attempt_id=attempt.id,
            ts=at,
            visual_metrics=visual,
            engine_metrics=_engine_metrics(job),
            quality_gate_passed=all(seen.passed for seen in attempt.gates) if attempt.gates else None,
        )
    )


def result(job: Job, at: str) -> bytes:
    """A short account of a finished job for scripts: what came out, and how it came about."""
    account = {
        "job_id": job.spec.job_id,
        "status": job.status,
        "attempt_id": job.attempt.id,
        "attempts": len(job.attempts),
        "final": {"path": final_path(job.spec.job_id), "sha256": job.final_sha256},
        "completed_at": at,
        "decisions": [
            {
                "attempt_id": attempt.id,
                "stage": taken.stage,
                "action": taken.decision.action,
                "reasoning": taken.decision.reasoning,
                "reasoned_by": taken.reasoned_by,
            }
            for attempt in job.attempts
            for taken in attempt.decisions
        ],
        "scores": {gate.metric: gate.score for seen in job.attempt.gates for gate in seen.report.gates},
    }
    return msgspec.json.format(msgspec.json.encode(account), indent=2) + b"\n"


def payload(job: Job, platform: str) -> bytes:
    """What a publishing tool needs to post the finished clip on one platform."""
    document = msgspec.convert({**job.spec.document, "job_id": job.spec.job_id}, JobDocument)
    return written(platform_payload(document, platform, final_path(job.spec.job_id)))


def _feline(job: Job, measured: dict[str, Measurement]) -> FelineDetected | None:
    share = _score(measured, "feline_presence")
    pose = job.attempt.pose
    if share is None and pose is None:
        return None
    return FelineDetected(
        present=share >= FELINE_PRESENT if share is not None else None,
        confidence=share,
        pose_detection_ratio=pose.ratio if pose else None,
        pose_fallback_active=pose.fallback_active if pose else None,
    )


def _human(measured: dict[str, Measurement]) -> HumanDetected | None:
    share = _score(measured, "human_presence")
    return None if share is None else HumanDetected(present=share >= FELINE_PRESENT, confidence=share)


def _score(measured: dict[str, Measurement], metric: str) -> float | None:
    found = measured.get(metric)
    return found.score if found else None


def _engine_metrics(job: Job) -> EngineMetrics:
    done = [job.attempt.stages[stage] for stage in STAGES if stage in job.attempt.stages]
    names = {"pose": "preprocessing_mediapipe"}
    durations = {names.get(item.stage, item.stage): item.duration_ms / 1000 for item in done}
    peaks = [item.memory_peak_mb for item in done if item.memory_peak_mb is not None]
    outside = next((item.facts for item in done if "workflow_sha256" in item.facts), {})
    durations |= _render_durations(outside)
    flags = {attempt.failure.kind for attempt in job.attempts if attempt.failure}
    flags |= {
        name
        for attempt in job.attempts
        for seen in attempt.gates
        for name in seen.report.overall.failed_failure_classes
    }
    return EngineMetrics(
        engine_id=engine_of(job, "video"),
        execution_time_seconds=round(sum(item.duration_ms for item in done) / 1000, 3),
        memory_peak_mb=max(peaks) if peaks else None,
        queue_wait_time_seconds=round(sum(item.queue_ms for item in done) / 1000, 3),
        stage_durations=durations,
        failure_flags=tuple(sorted(flags)),
        server_version=_text(outside, "server_version"),
        device=_text(outside, "device"),
        vram_peak_mb=_number(outside, "vram_peak_mb"),
        workflow_sha256=_text(outside, "workflow_sha256"),
        models=tuple(models.split(", ")) if (models := _text(outside, "models")) else None,
        model_versions=_model_versions(outside) or None,
    )


def _render_durations(facts: dict[str, Parameter]) -> dict[str, float]:
    """Seconds of a render on a server: in all, beside it, by frame and by node."""
    names = {
        "render_ms": "comfyui_render",
        "submission_ms": "comfyui_submission",
        "frame_mean_ms": "comfyui_frame_mean",
        "prompt_longest_ms": "comfyui_prompt_longest",
    }
    found = {name: _number(facts, key) for key, name in names.items()}
    found |= {
        f"comfyui_node_{key.removeprefix('node_ms.')}": _number(facts, key)
        for key in facts
        if key.startswith("node_ms.")
    }
    return {name: round(value / 1000, 4) for name, value in found.items() if value is not None}


def _model_versions(facts: dict[str, Parameter]) -> dict[str, str]:
    return {key.removeprefix("model."): str(facts[key]) for key in facts if key.startswith("model.")}


def _text(facts: dict[str, Parameter], name: str) -> str | None:
    found = facts.get(name)
    return found if isinstance(found, str) and found else None


def _number(facts: dict[str, Parameter], name: str) -> float | None:
    found = facts.get(name)
    return float(found) if isinstance(found, int | float) else None
