"""Facts of publishing: what was prepared, what was seen live."""

from msgspec import Struct

__all__ = ["HandoffApproved", "HandoffPrepared", "Posted"]


class HandoffApproved(Struct, frozen=True, kw_only=True, tag="HandoffApproved"):
    """A person let the job go to a platform. Stored shape: change only by upcaster."""

    platform: str
    by: str
    note: str
    observed_from: str
    """`person`, or the workspace-relative inbox file that said so."""


class HandoffPrepared(Struct, frozen=True, kw_only=True, tag="HandoffPrepared"):
    """The platforms' payloads are on disk, workspace-relative. Stored shape: change only by upcaster."""

    platforms: tuple[str, ...]
    documents: tuple[str, ...]


class Posted(Struct, frozen=True, kw_only=True, tag="Posted"):
    """A clip is live; recorded once for each job and platform. Stored shape: change only by upcaster."""

    platform: str
    post_url: str
    posted_at: str
    observed_from: str
    """`person`, or the workspace-relative state file that said so."""
    platform_post_id: str | None = None
    author: str | None = None
    niche: str | None = None
    lane: str | None = None
