"""The pose stage's landmarks, read for where the subject's head is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from caf.errors import InputError
from caf.qc.metrics.faces import Box
from caf.qc.metrics.samples import Sample

__all__ = ["PosePoints", "head_box", "load_pose"]

_HEAD = slice(0, 11)
_LEFT_SHOULDER, _RIGHT_SHOULDER = 11, 12


@dataclass(frozen=True, slots=True)
class PosePoints:
    """`points` (T, 33, 4) float32 x, y in pixels, z, visibility; `detected` (T,) bool."""

    points: NDArray[np.float32]
    detected: NDArray[np.bool_]


def load_pose(path: str) -> PosePoints:
    """Read the pose stage's .npz.

    Raises:
        InputError: not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return PosePoints(stored["points"].astype(np.float32), stored["detected"].astype(bool))
    except (OSError, KeyError, ValueError) as fault:
        raise InputError(
            f"The pose landmarks in {path} cannot be read.",
            remedy="Run the pose stage again.",
            kind="pose_unreadable",
        ) from fault


def head_box(pose: PosePoints, sample: Sample) -> Box | None:
    """The head in the sample's pixels, a square as wide as the shoulders, or None without a pose there."""
    if sample.index >= len(pose.detected) or not pose.detected[sample.index]:
        return None
    points = pose.points[sample.index, :, :2] * sample.scale
    head = points[_HEAD]
    side = float(np.linalg.norm(points[_LEFT_SHOULDER] - points[_RIGHT_SHOULDER]))
    side = max(side, 1.6 * float(np.ptp(head[:, 0])))
    if not np.all(np.isfinite(head)) or not np.isfinite(side) or side < 10:
        return None
    x, y = head.mean(axis=0)
    return Box(float(x) - side / 2, float(y) - side / 2, side, side)
