"""The request for a clip that shows the poses found; light, because the caller's side imports it too."""

from msgspec import Struct

__all__ = ["SkeletonClip", "SkeletonRequest"]


class SkeletonRequest(Struct, frozen=True, kw_only=True):
    """Draw the landmarks of `landmarks` (an .npz of the pose stage) over the frames of `video`."""

    video: str
    landmarks: str
    out: str
    """The clip to write, .mp4."""
    on_black: bool = False
    """The skeleton alone, as engines that are steered by a pose want it."""


class SkeletonClip(Struct, frozen=True, kw_only=True):
    video: str
    frames: int
