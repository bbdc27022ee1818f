"""Where the pose model comes from, and what was got; light, because the caller's side imports it too."""

from msgspec import Struct

__all__ = ["FetchedModel", "ModelSource"]


class ModelSource(Struct, frozen=True, kw_only=True):
    """What the user configured; without anything the model is built from a pinned wheel."""

    path: str | None = None
    """A `.task` file of the user's own."""
    url: str | None = None
    """http, https or file; needs `sha256`."""
    sha256: str | None = None
    cache_dir: str | None = None


class FetchedModel(Struct, frozen=True, kw_only=True):
    path: str
    sha256: str
