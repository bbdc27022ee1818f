"""What a publishing tool needs to post a finished clip: `<platform>.json` beside the state files."""

from msgspec import Struct

from caf.contracts.job import JobDocument, Script
from caf.contracts.types import JobIdText, Platform, Text

__all__ = ["PlatformPayload", "platform_payload"]


class PlatformPayload(Struct, frozen=True, kw_only=True, omit_defaults=True):
    job_id: JobIdText
    platform: Platform
    video: Text
    """Workspace-relative path of the finished clip."""
    niche: str | None = None
    hook: str | None = None
    captions: tuple[str, ...] = ()
    hashtags: tuple[str, ...] = ()


def platform_payload(job: JobDocument, platform: str, video: str) -> PlatformPayload:
    """The payload for one platform, from what the job document itself says and nothing else."""
    hook = job.script.hook if isinstance(job.script, Script) else job.script
    return PlatformPayload(
        job_id=job.job_id,
        platform=platform,
        video=video,
        niche=job.niche,
        hook=hook,
        captions=job.captions,
        hashtags=job.hashtags,
    )
