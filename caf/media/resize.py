"""Fit a picture into a frame of another shape, by the three resolution policies."""

import math
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["POLICIES", "Placement", "ResolutionPolicy", "fit", "placement"]

ResolutionPolicy = Literal["letterbox", "crop_center", "pad_reflect"]

POLICIES: tuple[ResolutionPolicy, ...] = ("crop_center", "letterbox", "pad_reflect")


class Placement(NamedTuple):
    """Where the scaled picture lies in the target, in pixels; the rest is border."""

    left: int
    top: int
    width: int
    height: int


def placement(width: int, height: int, target: tuple[int, int]) -> Placement:
    """The largest centred rectangle of the picture's shape inside `target` (width, height)."""
    scale = min(target[0] / width, target[1] / height)
    inner_w = min(target[0], max(1, round(width * scale)))
    inner_h = min(target[1], max(1, round(height * scale)))
    return Placement((target[0] - inner_w) // 2, (target[1] - inner_h) // 2, inner_w, inner_h)


def fit(image: NDArray[np.uint8], target: tuple[int, int], policy: ResolutionPolicy) -> NDArray[np.uint8]:
    """The picture (H, W, 3) uint8 at exactly `target` (width, height), never distorted.

    `letterbox` shows all of it on black, `pad_reflect` all of it with mirrored borders, `crop_center` fills
    the target and cuts what stands over. Any size goes, down to one pixel.
    """
    height, width = image.shape[:2]
    if (width, height) == target:
        return image
    if policy == "crop_center":
        return _cropped(image, target)
    place = placement(width, height, target)
    inner = _scaled(image, (place.width, place.height))
    right, bottom = target[0] - place.left - place.width, target[1] - place.top - place.height
    border = cv2.BORDER_CONSTANT if policy == "letterbox" else cv2.BORDER_REFLECT_101
    return np.asarray(
        cv2.copyMakeBorder(inner, place.top, bottom, place.left, right, border, value=(0, 0, 0)),
        dtype=np.uint8,
    )


def _cropped(image: NDArray[np.uint8], target: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = max(target[0] / width, target[1] / height)
    # Cut before scaling, or a thin strip would grow to gigabytes; a pixel more keeps the scale exact.
    part_w, part_h = (min(s, math.ceil(t / scale) + 1) for s, t in ((width, target[0]), (height, target[1])))
    part_w, part_h = part_w + (width - part_w) % 2, part_h + (height - part_h) % 2
    left, top = (width - part_w) // 2, (height - part_h) // 2
    part = image[top : top + part_h, left : left + part_w]
    size = (max(target[0], round(part_w * scale)), max(target[1], round(part_h * scale)))
    grown = _scaled(part, size)
    left, top = (size[0] - target[0]) // 2, (size[1] - target[1]) // 2
    return np.ascontiguousarray(grown[top : top + target[1], left : left + target[0]])


def _scaled(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if (image.shape[1], image.shape[0]) == size:
        return image
    smaller = size[0] * size[1] < image.shape[0] * image.shape[1]
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)
