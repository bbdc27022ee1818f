"""Whether what is followed is one thing: it stays together for longer than a frame, and nothing as good goes elsewhere.

A similarity that holds for an arm, a kettle and a cup to a pixel a frame is nobody's. Over some frames they part, and
a background does not. So does a room seen by a camera that goes through it; but there all choices agree.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from caf.engines.background import Motion, rival_motions
from caf.engines.camera import Step
from caf.engines.similarity import agreed_similarity

__all__ = ["keeps_together", "rivals_part"]

_LEAST_FRAMES, _LEAST_POINTS = 4, 12
_NEAR_PX, _TOGETHER = 1.5, 0.5
"""What was background in a key frame is still one picture, to within so much, in so much of it: of parts that only
go alike from frame to frame 0.24 to 0.35 are, before one background 0.7 to 0.97."""
_APART_PX, _APART_SHARE = 1.5, 0.05
"""RMS at the frame's corners by which two choices differ, in so much of the frames."""


def keeps_together(steps: Sequence[Step], camera: Motion) -> bool:
    """Whether most of what is said to be background still moves as one picture when its key frame is given up.

    True where no key frame lasts long enough to tell.
    """
    shares = []
    for index, step in enumerate(steps):
        last = index + 1 == len(steps) or steps[index + 1].key_frames <= 1
        if not last or step.key_frames < _LEAST_FRAMES:
            continue
        points = step.key_points[camera.background[index - step.key_frames][step.key_cells]]
        if len(points) < _LEAST_POINTS:
            shares.append(0.0)
            continue
        old, new = (np.ascontiguousarray(side, np.float64) for side in (points[:, :2], points[:, 2:]))
        shares.append(float(agreed_similarity(old, new, _NEAR_PX)[1].mean()))
    return not shares or float(np.median(shares)) >= _TOGETHER


def rivals_part(steps: Sequence[Step], camera: Motion, sigma: float, size: tuple[int, int]) -> bool:
    """Whether another way to tell the background, as `camera_motion` tries them, finds another camera now and then."""
    inner = [index for index, step in enumerate(steps) if index > 0 and not step.cut]
    for rival in rival_motions(steps, sigma):
        apart = _corners_apart(camera.steps[inner], rival.steps[inner], size)
        if inner and float((apart > _APART_PX).mean()) > _APART_SHARE:
            return True
    return False


def _corners_apart(
    one: NDArray[np.float64], other: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.float64]:
    """(n,) px RMS at the frame's corners between two (n, 4) motions."""
    first, second = (np.exp(m[:, 3] + 1j * m[:, 2]) for m in (one, other))
    shift = (one[:, :2] - other[:, :2]) @ np.array([1.0, 1j])
    return np.asarray(np.hypot(np.abs(shift), np.abs(first - second) * np.hypot(*size) / 2))
