"""The job document: what a person asks for, `sandbox/jobs/<job_id>.job.json`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from caf.contracts.types import JobIdText, JsonObject, NonNegative, Platform, Text
from caf.ports import Parameter

__all__ = [
    "ComfyBindings",
    "ComfyPoll",
    "ComfySettings",
    "DocumentRef",
    "Hero",
    "JobDocument",
    "Lane",
    "RenderSpec",
    "Script",
    "VideoSpec",
]

Lane = Literal["ai_video", "image_motion", "template_remix", "dance_swap", "golden_baseline", "ltx2_draft"]


class VideoSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the finished clip shall look like; what is not said stays as in the source."""

    length_seconds: Annotated[float, Meta(gt=0)] | None = None
    aspect_ratio: Literal["9:16", "1:1"] | None = None
    fps: Annotated[float, Meta(ge=24, le=60)] | None = None
    resolution: Literal["1080x1920", "1080x1080"] | None = None


class Script(Struct, frozen=True, kw_only=True, omit_defaults=True):
    hook: str | None = None
    voiceover: str | None = None
    ending: str | None = None


class RenderSpec(Struct, frozen=True, kw_only=True, omit_defaults=True):
    background_asset: Text
    """The clip or image to work on, relative to `sandbox/`; read it through `paths.asset_path`."""
    subtitle_style: str | None = None
    output_basename: str | None = None


class Hero(Struct, frozen=True, kw_only=True, omit_defaults=True):
    hero_id: str | None = None
    identity_pack_ref: Text | None = None


class DocumentRef(Struct, frozen=True, kw_only=True):
    """Points at another document; read it through `paths.workspace_path`."""

    relpath: Text


class ComfyBindings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which values go into which nodes of the ComfyUI workflow."""

    positive_prompt: str | None = None
    negative_prompt: str | None = None
    seed: Annotated[int, Meta(ge=0)] | None = None
    positive_nodes: tuple[str, ...] = ()
    negative_nodes: tuple[str, ...] = ()
    seed_nodes: tuple[str, ...] = ()
    parameters: dict[str, dict[str, Parameter]] = {}
    """Node to input to value."""
    identity_image_path: Text | None = None
    pose_video_path: Text | None = None


class ComfyPoll(Struct, frozen=True, kw_only=True, omit_defaults=True):
    timeout_seconds: NonNegative | None = None
    interval_seconds: NonNegative | None = None


class ComfySettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    base_url: Text | None = None
    workflow_id: Text | None = None
    workflow_relpath: Text | None = None
    bindings: ComfyBindings = ComfyBindings()
    poll: ComfyPoll = ComfyPoll()


class JobDocument(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job. `job_id`, `video` and `render.background_asset` are enough for the embedded engine."""

    job_id: JobIdText
    date: str | None = None
    lane: Lane | None = None
    niche: str | None = None
    video: VideoSpec
    script: Script | str | None = None
    shots: tuple[JsonObject, ...] = ()
    captions: tuple[str, ...] = ()
    hashtags: tuple[str, ...] = ()
    render: RenderSpec
    hero: Hero | None = None
    quality_target: DocumentRef | None = None
    quality_policy: DocumentRef | None = None
    continuity_pack: DocumentRef | None = None
    comfyui: ComfySettings | None = None
    platforms: tuple[Platform, ...] = ()
    """Publishing payloads that Handoff writes when the job is done; an addition to the older files."""
