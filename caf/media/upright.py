"""Decoded frames as displayed: turned, mirrored, square pixels, BGR."""

import struct
from collections.abc import Mapping
from fractions import Fraction
from typing import cast

import cv2
import numpy as np
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from msgspec import Struct
from numpy.typing import NDArray

from caf.media.conversion import converted
from caf.media.tone import is_hdr, tone_mapped

__all__ = ["Orientation", "Turns", "as_coded", "displayed_size", "matrix_of", "orientation", "upright"]

_BT709 = 1
_UNSPECIFIED = 2
_FULL_RANGE = 2
_HD_LINES = 720  # players assume BT.709 from here on when the file does not say; BT.601 below
_SQUARE_TOLERANCE = 0.01


class Orientation(Struct, frozen=True):
    """How a decoded frame is turned for display: mirrored first, then `quarter_turns` counter-clockwise."""

    quarter_turns: int = 0
    mirrored: bool = False

    @property
    def clockwise_deg(self) -> int:
        """0, 90, 180 or 270."""
        return -90 * self.quarter_turns % 360


def orientation(frame: VideoFrame) -> Orientation:
    """The frame's display matrix as quarter turns and a mirror flag; other angles go to a quarter."""
    try:
        data = cast("Mapping[SideDataType, SideData]", frame.side_data).get(SideDataType.DISPLAYMATRIX)
    except ValueError:  # side data that PyAV has no name for, e.g. a photo's EXIF block
        return Orientation(round(frame.rotation / 90.0) % 4)
    if data is None:
        return Orientation()
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data)[:36])
    mirrored = a * d - b * c < 0
    if mirrored:  # the mirror acts first, so undo it on the left column
        a, b = -a, -b
    turn = np.degrees(np.arctan2(b, a))  # the matrix maps (x, y) by rows in y-down coordinates: clockwise
    return Orientation(round(-turn / 90.0) % 4, mirrored)


class Turns:
    """The orientations of one clip's frames: each angle is looked at closely once.

    PyAV ties a frame whose side data are asked for to itself, so that its memory is not free before the next garbage
    collection: at 1080x1920 half a gigabyte of them.
    """

    def __init__(self) -> None:
        self._known: dict[float, Orientation] = {}

    def of(self, frame: VideoFrame) -> Orientation:
        angle = frame.rotation
        if angle not in self._known:
            self._known[angle] = orientation(frame)
        return self._known[angle]


def displayed_size(width: int, height: int, aspect: Fraction | None, turn: Orientation) -> tuple[int, int]:
    """Width and height on screen for a coded size and its sample aspect ratio."""
    if aspect and abs(float(aspect) - 1.0) > _SQUARE_TOLERANCE and 0.1 < aspect < 10:
        width = max(1, round(width * float(aspect)))
    return (height, width) if turn.quarter_turns % 2 else (width, height)


def matrix_of(frame: VideoFrame) -> int:
    """By which matrix a frame's colours were made; what players take it for where the file does not say."""
    unsaid = frame.colorspace == _UNSPECIFIED and frame.height >= _HD_LINES
    return _BT709 if unsaid else frame.colorspace


def as_coded(frame: VideoFrame, size: tuple[int, int], turn: Orientation) -> bool:
    """Whether the frame shows what its pixels are: not turned, not stretched, not transparent, not HDR."""
    return (
        (frame.width, frame.height) == size
        and turn == Orientation()
        and not _alpha(frame)
        and not is_hdr(frame)
    )


def _alpha(frame: VideoFrame) -> bool:
    return any(c.is_alpha for c in frame.format.components) or "pal" in frame.format.name


def upright(frame: VideoFrame, size: tuple[int, int], turn: Orientation) -> NDArray[np.uint8]:
    """The frame as (H, W, 3) uint8 BGR of the displayed `size`; transparent pixels are laid on black.

    HDR is brought to what an ordinary screen shows.
    """
    alpha = _alpha(frame)
    if is_hdr(frame) and not alpha:
        return _displayed(tone_mapped(frame, matrix_of(frame)), size, turn)
    image = converted(frame, "bgra" if alpha else "bgr24", src_colorspace=matrix_of(frame)).to_ndarray()
    if alpha:
        weight = image[:, :, 3:4].astype(np.uint16)
        image = ((image[:, :, :3] * weight + 127) // 255).astype(np.uint8)
    return _displayed(np.asarray(image, dtype=np.uint8), size, turn)


def _displayed(image: NDArray[np.uint8], size: tuple[int, int], turn: Orientation) -> NDArray[np.uint8]:
    """Turned, and of its size on screen."""
    if turn.mirrored:
        image = image[:, ::-1]
    if turn.quarter_turns:
        image = np.rot90(image, turn.quarter_turns)
    if (image.shape[1], image.shape[0]) != size:
        image = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(image, dtype=np.uint8)
