"""The lines between a pose task and its helpers: one JSON document a line."""

from msgspec import Struct

from caf.worker.protocol import Fault

__all__ = ["SpanEnded", "SpanFailed", "SpanFound", "SpanRequest", "SpanSays"]


class SpanRequest(Struct, frozen=True, kw_only=True):
    """Follow the clip from `start_s` to its end, with a tracker that knows nothing of what was before."""

    video: str
    model: str
    start_s: float
    most: int
    decoders: int = 0
    """Threads that decode; 0: as many as the decoder likes."""


class SpanFound(Struct, frozen=True, kw_only=True, tag="found"):
    """The poses of the next frame: `poses` is (P, 33, 4) float32, little-endian."""

    time_s: float
    width: int
    height: int
    poses: bytes
    look: int
    peak_bytes: int


class SpanEnded(Struct, frozen=True, tag="ended"):
    """There are no more frames."""


class SpanFailed(Struct, frozen=True, tag="failed"):
    """Why there are none, though the clip goes on."""

    fault: Fault


SpanSays = SpanFound | SpanEnded | SpanFailed
