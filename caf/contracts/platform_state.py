"""What a publishing tool says of one post: `<platform>.state.json`."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from caf.contracts.types import JobIdText, Platform, Text

__all__ = ["POSTED", "PlatformState"]

POSTED: Final = "POSTED"
"""The only status that is terminal."""


class PlatformState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Written by publishing tools, read here. {job_id, platform} is its idempotency key."""

    job_id: JobIdText
    platform: Platform
    status: Text
    attempts: Annotated[int, Meta(ge=0)] | None = None
    last_attempt_at: str | None = None
    """As the tool wrote it; `times.to_utc` reads it."""
    platform_post_id: str | None = None
    post_url: str | None = None
