"""The pose stage's landmarks of the source, read for where the subject is in the clip."""

from dataclasses import replace

import numpy as np

from caf.media.probe import probe
from caf.ports import MeasureRequest, ProbeRequest, Progress
from caf.pose.moments import Poses, scale_to
from caf.qc.metrics.faces import Box
from caf.qc.metrics.samples import Sample

__all__ = ["head_box", "pose_of"]

_HEAD = slice(0, 11)
_LEFT_SHOULDER, _RIGHT_SHOULDER = 11, 12


def pose_of(request: MeasureRequest, progress: Progress) -> Poses | None:
    """The source's poses in pixels of the clip; None where none are given, or where the clip has another shape than its
    source: nothing says where its picture went.

    Raises as `Poses.read` and `probe` do.
    """
    if request.pose is None:
        return None
    pose = Poses.read(request.pose)
    if request.source == request.video:
        return pose
    here, there = (probe(ProbeRequest(path=path), progress) for path in (request.video, request.source))
    scale = scale_to((there.width, there.height), (here.width, here.height))
    return None if scale is None else replace(pose, points=pose.points * scale)


def head_box(pose: Poses, sample: Sample) -> Box | None:
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
