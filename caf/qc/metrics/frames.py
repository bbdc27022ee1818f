"""Frames as the metrics see them: one decode, every picture in the sizes that are needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.media.read import read_frames

__all__ = ["Gray", "Image", "SeenFrame", "deterministic_cv2", "see", "shrink_to_area", "shrink_to_side"]

Image = NDArray[np.uint8]
"""(H, W, 3) uint8, BGR."""
Gray = NDArray[np.uint8]
"""(H, W) uint8."""

MOTION_SIDE_PX = 320
STEP_SIDE_PX = 160


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """One decoded frame in the sizes that the collectors share."""

    index: int
    time_s: float
    image: Image
    """Full size, BGR."""
    gray: Gray
    """Full size."""
    small: Gray
    """Long side at most 320: camera and background motion."""
    tiny: NDArray[np.float32]
    """Long side at most 160: frame to frame steps."""


def shrink_to_side(picture: Image | Gray, side_px: int) -> NDArray[np.uint8]:
    """`picture` with its long side at most `side_px`; never enlarged."""
    height, width = picture.shape[:2]
    scale = side_px / max(height, width)
    if scale >= 1:
        return picture
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def shrink_to_area(picture: Image, area_px: int) -> Image:
    """`picture` with at most `area_px` pixels; never enlarged."""
    height, width = picture.shape[:2]
    scale = float(np.sqrt(area_px / (height * width)))
    return picture if scale >= 1 else shrink_to_side(picture, round(max(height, width) * scale))


def see(path: str) -> Iterator[SeenFrame]:
    """Decode `path` once, frame by frame; nothing is kept here.

    Raises:
        MediaError: the file cannot be read as a clip or picture.
    """
    for index, frame in enumerate(read_frames(path)):
        gray = np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        small = shrink_to_side(gray, MOTION_SIDE_PX)
        tiny = shrink_to_side(small, STEP_SIDE_PX).astype(np.float32)
        yield SeenFrame(index, frame.time_s, frame.image, gray, small, tiny)


@contextmanager
def deterministic_cv2() -> Iterator[None]:
    """Run OpenCV on one thread with a fixed seed, so that the same clip gives the same bits."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    cv2.setRNGSeed(20)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
