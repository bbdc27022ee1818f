"""The planes of a decoded frame as they are: brightness without a conversion, colours where they are wanted."""

from typing import Final, NamedTuple

import cv2
import numpy as np
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from caf.media.read import Shown
from caf.media.tone import is_hdr
from caf.media.upright import Orientation, matrix_of

__all__ = ["FULL_COLOURS", "FULL_LEVELS", "Planes", "planes_of", "shrunk"]

_PLANAR: Final = frozenset(
    f"yuv{range_}{chroma}p" for range_ in ("", "j") for chroma in ("420", "422", "444")
)
"""Eight bits, brightness in a plane of its own."""
_FULL_RANGE: Final = 2
_WEIGHTS_601: Final = (0.299, 0.114)
_WEIGHTS: Final = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""What red and blue weigh in the brightness, by the matrix. Source: ITU-T H.273, table 4; all others as BT.601."""

FULL_LEVELS: Final[NDArray[np.uint8]] = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(
    np.uint8
)
"""From the levels that video is coded in (16 black, 235 white) to 0..255."""

FULL_COLOURS: Final[NDArray[np.uint8]] = np.clip(
    np.rint((np.arange(256) - 128) * (255 / 224) + 128), 0, 255
).astype(np.uint8)
"""The same of the colours, about 128."""


class Planes(NamedTuple):
    """One frame as displayed, in the levels that it is coded in; views of the decoder's own memory if they can be."""

    luma: NDArray[np.uint8]
    """(H, W)."""
    red: NDArray[np.uint8]
    """(h, w) Cr, of the coded size, which may be a half of the luma's or all of it; turned as it."""
    blue: NDArray[np.uint8]
    """(h, w) Cb."""
    full_range: bool
    matrix: int

    def bgr(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """(H, W, 3) BGR of `size` (width, height), which is at most the frame's; made small before it is coloured."""
        planes = [_resized(plane, size) for plane in (self.luma, self.blue, self.red)]
        return np.asarray(cv2.transform(cv2.merge(planes), self._to_bgr()), dtype=np.uint8)

    def _to_bgr(self) -> NDArray[np.float32]:
        """(3, 4) from Y, Cb, Cr and 1."""
        of_red, of_blue = _WEIGHTS.get(self.matrix, _WEIGHTS_601)
        of_green = 1 - of_red - of_blue
        gain, black = (1.0, 0.0) if self.full_range else (255 / 219, 16.0)
        reach = 1.0 if self.full_range else 255 / 224
        from_blue, from_red = 2 * (1 - of_blue) * reach, 2 * (1 - of_red) * reach
        rows = np.array(
            [
                [gain, from_blue, 0],
                [gain, -from_blue * of_blue / of_green, -from_red * of_red / of_green],
                [gain, 0, from_red],
            ]
        )
        return np.column_stack([rows, -rows @ np.array([black, 128, 128])]).astype(np.float32)


def shrunk(plane: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """`plane` (H, W) made small to `size` (width, height): halved as often as that goes, which costs a quarter."""
    while plane.shape[1] >= 2 * size[0] and plane.shape[0] >= 2 * size[1]:
        half = (plane.shape[1] // 2, plane.shape[0] // 2)
        plane = np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if (plane.shape[1], plane.shape[0]) == size:
        return plane
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def planes_of(shown: Shown) -> Planes | None:
    """None for a frame that is coded in another way: colours, transparency, more than eight bits, or HDR."""
    frame = shown.frame
    if frame.format.name not in _PLANAR or is_hdr(frame):
        return None
    luma, blue, red = (_plane(plane, shown.turn) for plane in frame.planes[:3])
    if (luma.shape[1], luma.shape[0]) != shown.size:
        luma = np.asarray(cv2.resize(luma, shown.size, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    full = frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")
    return Planes(luma, red, blue, full, matrix_of(frame))


def _plane(plane: VideoPlane, turn: Orientation) -> NDArray[np.uint8]:
    seen = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[
        : plane.height, : plane.width
    ]
    if turn.mirrored:
        seen = seen[:, ::-1]
    if turn.quarter_turns:
        seen = np.rot90(seen, turn.quarter_turns)
    return np.ascontiguousarray(seen) if turn.mirrored or turn.quarter_turns else seen


def _resized(plane: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if plane.shape[1] >= size[0] and plane.shape[0] >= size[1]:
        return shrunk(plane, size)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
