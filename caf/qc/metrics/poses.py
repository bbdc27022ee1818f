"""The pose stage's landmarks of the source, read for where the subject is in the clip."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caf.media.probe import probe
from caf.ports import MeasureRequest, ProbeRequest, Progress
from caf.pose.landmarks import given_landmarks, pose_at, scale_to
from caf.qc.metrics.faces import Box
from caf.qc.metrics.samples import Sample

__all__ = ["PosePoints", "head_box", "load_pose", "pose_of"]

_HEAD = slice(0, 11)
_LEFT_SHOULDER, _RIGHT_SHOULDER = 11, 12


@dataclass(frozen=True, slots=True)
class PosePoints:
    """`points` (T, 33, 4) float32 x, y in pixels, z, visibility; `detected` (T,) bool; `times_s` (T,) since the first.

    Of files written before these were kept, `times_s` is None: then the n-th pose is that of the n-th frame.
    """

    points: NDArray[np.float32]
    detected: NDArray[np.bool_]
    times_s: NDArray[np.float64] | None = None

    def at(self, index: int, time_s: float) -> NDArray[np.float32] | None:
        """(33, 4) the pose at the time of the clip's frame `index`; None where there is none."""
        place = pose_at(self.times_s, len(self.detected), index, time_s)
        return self.points[place] if place is not None and self.detected[place] else None


def pose_of(request: MeasureRequest, progress: Progress) -> PosePoints | None:
    """The source's poses in pixels of the clip; None where none are given, or where the clip has another shape than its
    source: nothing says where its picture went.

    Raises as `load_pose`, and as `probe` does.
    """
    if request.pose is None:
        return None
    pose = load_pose(request.pose)
    if request.source == request.video:
        return pose
    here, there = (probe(ProbeRequest(path=path), progress) for path in (request.video, request.source))
    scale = scale_to((there.width, there.height), (here.width, here.height))
    return None if scale is None else PosePoints(pose.points * scale, pose.detected, pose.times_s)


def load_pose(path: str) -> PosePoints:
    """Read the pose stage's .npz.

    Raises:
        InputError: not such a file.
    """
    stored = given_landmarks(Path(path))
    times_s = stored.times_s
    if times_s is not None and times_s.shape != stored.detected.shape:
        times_s = None
    return PosePoints(stored.points.astype(np.float32), stored.detected.astype(bool), times_s)


def head_box(pose: PosePoints, sample: Sample) -> Box | None:
    """The head in the sample's pixels, a square as wide as the shoulders, or None without a pose there."""
    found = pose.at(sample.index, sample.time_s)
    if found is None:
        return None
    points = found[:, :2] * sample.scale
    head = points[_HEAD]
    side = float(np.linalg.norm(points[_LEFT_SHOULDER] - points[_RIGHT_SHOULDER]))
    side = max(side, 1.6 * float(np.ptp(head[:, 0])))
    if not np.all(np.isfinite(head)) or not np.isfinite(side) or side < 10:
        return None
    x, y = head.mean(axis=0)
    return Box(float(x) - side / 2, float(y) - side / 2, side, side)
