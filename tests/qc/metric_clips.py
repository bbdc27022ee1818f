"""Clips for the metrics: a real cat from scikit-image, moved by a known camera path, spoiled in known ways."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from caf.qc.metrics.frames import SeenFrame, seen_image

Image = NDArray[np.uint8]
FPS = 24
FRAMES = 72
SIZE = (360, 240)


@cache
def picture(name: str) -> Image:
    """A picture that scikit-image ships, BGR."""
    return np.asarray(cv2.cvtColor(getattr(data, name)(), cv2.COLOR_RGB2BGR), dtype=np.uint8)


def pan(
    source: Image, frames: int = FRAMES, shift: NDArray[np.float64] | None = None, scale: float = 1.0
) -> list[Image]:
    """A camera that drifts on a closed ellipse over `source`; `shift` (frames, 2) px is added to its path.

    `scale` makes the ellipse larger, and so the camera faster.
    """
    width, height = SIZE
    shift = np.zeros((frames, 2)) if shift is None else shift
    reach, scale = scale, 1.08 * max(width / source.shape[1], height / source.shape[0])
    out = []
    for index in range(frames):
        turn = 2 * np.pi * index / frames
        x = source.shape[1] / 2 + 7 * reach * np.cos(turn)
        y = source.shape[0] / 2 + 5 * reach * np.sin(turn)
        matrix = np.array(
            [
                [scale, 0, width / 2 - scale * x + shift[index, 0]],
                [0, scale, height / 2 - scale * y + shift[index, 1]],
            ]
        )
        seen = cv2.warpAffine(source, matrix, SIZE, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        out.append(np.asarray(seen, dtype=np.uint8))
    return out


def lit(frames: list[Image], gains: NDArray[np.float64]) -> list[Image]:
    return [np.clip(frame * gain, 0, 255).astype(np.uint8) for frame, gain in zip(frames, gains, strict=True)]


def seen(frames: list[Image]) -> list[SeenFrame]:
    """Frames as the collectors get them, without a file in between."""
    return [seen_image(index, index / FPS, image) for index, image in enumerate(frames)]


def noise(seconds: float, seed: int = 5) -> NDArray[np.float32]:
    """Sound that is unlike itself at any other time: white noise under a slow swell, 44.1 kHz."""
    count = round(seconds * 44_100)
    swell = 0.6 + 0.4 * np.sin(np.arange(count) / 9_000)
    return (np.random.default_rng(seed).normal(0, 0.12, count) * swell).astype(np.float32)
