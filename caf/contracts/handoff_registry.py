"""Everything that is live: `handoff_registry.v1.json`."""

from msgspec import Struct

from caf.contracts.types import JobIdText, Platform, Url, Utc
from caf.contracts.unique import refuse_repeats

__all__ = ["HandoffEntry", "HandoffRegistry"]


class HandoffEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    job_id: JobIdText
    platform: Platform
    post_url: Url
    posted_at: Utc
    platform_post_id: str | None = None
    author: str | None = None
    niche: str | None = None
    lane: str | None = None


class HandoffRegistry(Struct, frozen=True, kw_only=True, tag_field="version", tag="handoff_registry.v1"):
    """One entry for each {job_id, platform}."""

    updated_at: Utc
    entries: tuple[HandoffEntry, ...]

    def __post_init__(self) -> None:
        keys = [f"{entry.job_id} on {entry.platform}" for entry in self.entries]
        refuse_repeats("entries", "{job_id, platform}", keys)
