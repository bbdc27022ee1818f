"""Burnt-out highlights of frames that are dimmed: what is known of them from the frames beside, and the rest softened.

A channel at the top has lost what went beyond it. Dimmed with the rest it would be too dark by that, and a wall whose
red is burnt would turn green for a frame.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["recovered", "softened"]

_SHOULDER = 250
_KEPT_BURNT = 0.3
_BURNT_SOFTNESS_PX = 1.5
_NEARLY = 244
"""From here on a level may be a burnt one that the coder lowered."""
_ALIKE, _UNLIKE = 5.0, 14.0
"""Levels by which the same place may differ in the frame beside; further off it shows something else."""
_AROUND_PX = (5, 5)

Image = NDArray[np.uint8]
_Map = NDArray[np.float32]


def softened(image: Image, even: Image) -> Image:
    """`even`, the dimmed `image`, with its burnt-out pixels dimmed less, all channels alike: no grey-green patches."""
    top = _highest(image)
    if not (top > _SHOULDER).any():
        return even
    burnt = cv2.GaussianBlur(cv2.LUT(top, _KEPT_BURNT * _rise(_SHOULDER)), (0, 0), _BURNT_SOFTNESS_PX)
    return np.asarray(cv2.blendLinear(image, even, burnt, 1.0 - burnt), np.uint8)


def recovered(image: Image, even: Image, soft: Image, beside: Sequence[Image]) -> Image:
    """`soft`, and burnt channels of `image` as bright as in the evened frames `beside` where these show the same.

    All (H, W, 3) uint8 BGR; `even` is the dimmed frame, `soft` the same with what is burnt dimmed less.
    """
    where = _bounds(_highest(image) > _SHOULDER)
    if where is None:
        return soft
    plain, part = even[where], np.asarray(soft[where], np.float32)
    burnt = np.asarray(cv2.LUT(np.ascontiguousarray(image[where]), _rise(_NEARLY)), np.float32)
    known, sure = np.asarray(plain, np.float32), np.zeros(plain.shape[:2], np.float32)
    for other in beside:
        same = _same(plain, other[where], burnt)
        missing = np.asarray(cv2.subtract(other[where], plain), np.float32)
        known = np.maximum(known, plain + missing * burnt * same[:, :, None])
        sure = np.maximum(sure, same)
    part += sure[:, :, None] * (known - part)
    out = soft.copy()
    out[where] = np.clip(np.rint(part), 0, 255).astype(np.uint8)
    return out


def _same(plain: Image, other: Image, burnt: _Map) -> _Map:
    """(H, W) 0..1: both show the same, as far as `plain` tells: a burnt channel may be brighter in `other`."""
    apart = cv2.subtract(other, plain) * (1.0 - burnt) + cv2.subtract(plain, other)
    blue, green, red = cv2.split(cv2.blur(apart, _AROUND_PX))
    beyond = (cv2.max(cv2.max(blue, green), red) - _ALIKE) / (_UNLIKE - _ALIKE)
    return np.asarray(1.0 - np.clip(beyond, 0.0, 1.0), np.float32)


def _highest(image: Image) -> Image:
    blue, green, red = cv2.split(image)
    return np.asarray(cv2.max(cv2.max(blue, green), red), np.uint8)


def _rise(start: int) -> _Map:
    """(256,) 0 up to `start`, 1 at the top, smooth."""
    rise = np.clip((np.arange(256.0) - start) / (255.0 - start), 0.0, 1.0)
    return np.asarray(rise * rise * (3.0 - 2.0 * rise), np.float32)


def _bounds(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """The smallest rectangle around what is true, with room for what is looked at around it."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    margin = _AROUND_PX[0]
    return (
        slice(max(0, int(rows[0]) - margin), int(rows[-1]) + margin + 1),
        slice(max(0, int(columns[0]) - margin), int(columns[-1]) + margin + 1),
    )
