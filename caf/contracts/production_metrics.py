"""What one attempt measured, for the Supervisor and for people: `production_metrics.v1.json`."""

from typing import Annotated

from msgspec import Meta, Struct

from caf.contracts.types import AttemptIdText, JobIdText, NonNegative, Unit, Utc

__all__ = ["EngineMetrics", "FelineDetected", "HumanDetected", "ProductionMetrics", "VisualMetrics"]

_Size = Annotated[
    str, Meta(pattern=r"^[0-9]+x[0-9]+(?!\n)$", description="width x height in pixels, like 1080x1920")
]


class FelineDetected(Struct, frozen=True, kw_only=True, omit_defaults=True):
    present: bool | None = None
    confidence: Unit | None = None
    pose_detection_ratio: Unit | None = None
    """Share of frames with a valid pose."""
    pose_fallback_active: bool | None = None
    """Raw frames were used because coverage was low."""


class HumanDetected(Struct, frozen=True, kw_only=True, omit_defaults=True):
    present: bool | None = None
    confidence: Unit | None = None


class VisualMetrics(Struct, frozen=True, kw_only=True, omit_defaults=True):
    image_resolution: _Size | None = None
    """`WxH` in pixels, as displayed."""
    aspect_ratio: Annotated[float, Meta(gt=0)] | None = None
    """Width over height."""
    feline_detected: FelineDetected | None = None
    human_detected: HumanDetected | None = None
    pose_score: Unit | None = None
    motion_score: Unit | None = None
    blur_score: Unit | None = None
    identity_similarity_score: Unit | None = None


class EngineMetrics(Struct, frozen=True, kw_only=True, omit_defaults=True):
    engine_id: str | None = None
    execution_time_seconds: NonNegative | None = None
    memory_peak_mb: NonNegative | None = None
    queue_wait_time_seconds: NonNegative | None = None
    stage_durations: dict[str, NonNegative] | None = None
    """Seconds; `preprocessing_mediapipe`, `comfyui_submission`, `comfyui_render` and the stages' names."""
    failure_flags: tuple[str, ...] | None = None
    """An empty list says that nothing failed; left out, that nobody looked."""
    server_version: str | None = None
    """Of the ComfyUI server that rendered; like those below an addition to the older files."""
    device: str | None = None
    vram_peak_mb: NonNegative | None = None
    """The most that was seen to be in use on the server's cards while it rendered, whoever used it."""
    workflow_sha256: str | None = None
    models: tuple[str, ...] | None = None
    """The model files that the workflow names."""
    model_versions: dict[str, str] | None = None
    """By name: folder, bytes, time of change and the digest that the file tells of itself, if the server says."""


class ProductionMetrics(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="version", tag="1.0"
):
    """Every value is measured; a value that was not measured is left out."""

    job_id: JobIdText
    attempt_id: AttemptIdText
    ts: Utc
    visual_metrics: VisualMetrics
    engine_metrics: EngineMetrics | None = None
    is_hallucination: bool | None = None
    quality_gate_passed: bool | None = None
