"""Average still areas over neighbouring frames; moving areas are left as they are."""

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.media.read import Frame

__all__ = ["averaged"]

_SOFTEST_LEVELS = 10.0
_MOST = 0.8
"""With more of the neighbours the steps between averages of three become larger again."""


def averaged(frames: Iterable[Frame], strength: float, cuts: Sequence[int] = ()) -> Iterator[Frame]:
    """Each frame mixed with the one before and after it, pixel by pixel as far as they agree.

    `strength` 0..1 sets both how much of a neighbour is taken and how different it may be (up to about ten
    grey levels). Frames of another shot are never mixed in. Three frames are held in memory.
    """
    if strength <= 0:
        yield from frames
        return
    edges = frozenset(cuts)
    source = iter(frames)
    before: Frame | None = None
    now = next(source, None)
    index = 0
    while now is not None:
        after = next(source, None)
        image, total = now.image.astype(np.float32), np.ones(now.image.shape[:2], np.float32)
        if before is not None and index not in edges:
            _mix(image, total, now.image, before.image, strength)
        if after is not None and index + 1 not in edges:
            _mix(image, total, now.image, after.image, strength)
        mixed = np.clip(np.rint(image / total[:, :, None]), 0, 255).astype(np.uint8)
        yield Frame(mixed, now.time_s)
        before, now = now, after
        index += 1


def _mix(
    image: NDArray[np.float32],
    total: NDArray[np.float32],
    now: NDArray[np.uint8],
    other: NDArray[np.uint8],
    strength: float,
) -> None:
    blue, green, red = cv2.split(cv2.blur(cv2.absdiff(now, other), (3, 3)))
    difference = cv2.max(cv2.max(blue, green), red)
    table = min(strength, _MOST) * np.exp(-((np.arange(256.0) / (_SOFTEST_LEVELS * strength)) ** 2))
    weight = np.asarray(cv2.LUT(difference, table.astype(np.float32)), np.float32)
    image += weight[:, :, None] * other
    total += weight
