"""HDR clips made by code: pictures for an ordinary screen, written as PQ or HLG would have them."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]

__all__ = ["HLG", "PQ", "hlg_code", "pq_code", "write_hdr_clip"]

PQ, HLG = 16, 18
_BT2020_PRIMARIES = _BT2020_MATRIX = 9
_FROM_BT709 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def pq_code(light: Floats | float) -> Floats:
    """0..1 of cd/m2. Source: ITU-R BT.2100-2, table 4, the inverse function."""
    power = (np.asarray(light, np.float64) / 10_000) ** (2610 / 16384)
    return np.asarray(((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32))


def hlg_code(light: Floats | float) -> Floats:
    """0..1 of cd/m2 on a screen of 1000 cd/m2. Source: ITU-R BT.2100-2, table 5."""
    scene = (np.asarray(light, np.float64) / 1000) ** (1 / 1.2)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    high = a * np.log(np.maximum(12 * scene - b, 1e-9)) + c
    return np.asarray(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high))


def write_hdr_clip(
    path: str | Path, images: Sequence[Image], transfer: int, *, fps: int = 24, white_cd_m2: float = 203.0
) -> Path:
    """BGR frames, (H, W, 3) uint8, on a screen of gamma 2.4 whose white is `white_cd_m2`; BT.2020 and 10 bits."""
    to_code = pq_code if transfer == PQ else hlg_code
    height, width = images[0].shape[:2]
    with av.open(str(path), "w") as out:
        options = {"crf": "12", "preset": "veryfast", "x264-params": "cpu-independent=1"}
        stream = out.add_stream("libx264", rate=Fraction(fps), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p10le"
        context = stream.codec_context
        context.color_primaries, context.color_trc = _BT2020_PRIMARIES, transfer
        context.colorspace, context.color_range = _BT2020_MATRIX, 1
        for index, image in enumerate(images):
            light = (image[..., ::-1] / 255.0) ** 2.4 * white_cd_m2 @ _FROM_BT709.T
            code = np.ascontiguousarray(np.round(65535 * to_code(light)).astype(np.uint16))
            frame = VideoFrame.from_ndarray(code, format="rgb48le")
            frame = frame.reformat(format="yuv420p10le", dst_colorspace=_BT2020_MATRIX, dst_color_range=1)
            frame.color_primaries, frame.color_trc = _BT2020_PRIMARIES, transfer
            frame.pts, frame.time_base = index, Fraction(1, fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return Path(path)
