"""H.264 encoders in hardware: which of them works here, and how each is told a quality."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from typing import Final

import av
import av.error
import numpy as np
from av.codec.codec import UnknownCodecError
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from caf.errors import UnavailableError

__all__ = ["HARDWARE", "SOFTWARE", "chosen", "quality_of", "working"]

SOFTWARE: Final = "libx264"
HARDWARE: Final = ("h264_nvenc", "h264_qsv", "h264_amf")
"""Nvidia's, Intel's and AMD's: those that PyAV's libraries know and that can hold one quality."""
_SIDE_PX = 256  # smaller pictures are refused by some of them


def chosen(wanted: str, candidates: Sequence[str] = HARDWARE) -> str:
    """The encoder for `libx264`, `hardware`, or `hardware_or_libx264`; the last alone may be another than was named.

    Raises:
        UnavailableError: `no_hardware_encoder`: hardware was asked for, and none works here.
    """
    if wanted == SOFTWARE:
        return SOFTWARE
    faults = {name: _fault(name) for name in candidates}
    found = next((name for name, fault in faults.items() if fault is None), None)
    if found is not None:
        return found
    if wanted == "hardware_or_libx264":
        return SOFTWARE
    tried = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
    raise UnavailableError(
        f"No hardware encoder works on this machine ({tried}).",
        remedy="Set encoder to libx264, or to hardware_or_libx264 to take whichever is there.",
        kind="no_hardware_encoder",
    )


def working(candidates: Sequence[str] = HARDWARE) -> tuple[str, ...]:
    """Those that encode a picture here, in the order given."""
    return tuple(name for name in candidates if _fault(name) is None)


@cache
def _fault(name: str) -> str | None:
    """Why the encoder does not work: only an attempt tells, as libraries know encoders whose device is absent."""
    try:
        context = av.CodecContext.create(name, "w")
        assert isinstance(context, VideoCodecContext)
        context.width = context.height = _SIDE_PX
        context.pix_fmt = "nv12"
        context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
        grey = VideoFrame.from_ndarray(np.full((_SIDE_PX, _SIDE_PX, 3), 128, np.uint8), format="bgr24")
        frame = grey.reformat(format="nv12")
        frame.pts = 0
        packets = [*context.encode(frame), *context.encode(None)]
    except UnknownCodecError:
        return "these libraries do not have it"
    except (av.error.FFmpegError, OSError, ValueError) as fault:
        return str(getattr(fault, "strerror", None) or fault)
    return None if packets else "it gives nothing"


def quality_of(encoder: str, crf: int) -> Mapping[str, str]:
    """The encoder's own options for a quality on x264's scale; the scales are near each other, not the same."""
    match encoder:
        case "h264_nvenc":
            return {"rc": "vbr", "cq": str(max(1, crf)), "b": "0"}
        case "h264_qsv":
            return {"global_quality": str(max(1, crf))}
        case "h264_amf":
            return {"rc": "cqp", "qp_i": str(crf), "qp_p": str(crf), "qp_b": str(crf)}
        case _:
            return {"crf": str(crf)}
