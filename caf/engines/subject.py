"""Where the subject is, frame by frame, from the pose landmarks of the job's source."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from caf.ports import MediaInfo
from caf.pose.landmarks import VISIBLE
from caf.pose.moments import Poses, scale_to

__all__ = ["Subject", "settled", "subject_of"]

_MARGIN: Final = 0.15
_FEWEST: Final = 3
"""Landmarks that have to be visible."""
_AROUND: Final = 4
"""Frames before and after; with fewer, landmarks that tremble change what of a wall counts as the subject."""

Box = NDArray[np.float64]


class Subject:
    """A box around the visible landmarks for each pose, x0, y0, x1, y1 px of the clip, with a margin."""

    def __init__(self, poses: Poses | None, scale: NDArray[np.float32]) -> None:
        self._poses, self._scale = poses, scale

    def box(self, index: int, time_s: float) -> Box | None:
        """That of the clip's frame `index`, shown at `time_s`; None where no pose was found."""
        found = None if self._poses is None else self._poses.at(index, time_s)
        if found is None:
            return None
        there = (found[:, 3] >= VISIBLE) & np.isfinite(found[:, :2]).all(axis=1)
        points = found[there, :2].astype(np.float64) * self._scale[:2]
        if len(points) < _FEWEST:
            return None
        low, high = points.min(axis=0), points.max(axis=0)
        margin = _MARGIN * (high - low) + 2.0
        return np.concatenate((low - margin, high + margin))


def settled(boxes: Sequence[Box | None]) -> list[Box | None]:
    """The boxes of frames one after another without tremor: the median of those around, and where there is none, of
    what is between those before and after.
    """
    known = [index for index, box in enumerate(boxes) if box is not None]
    if not known:
        return list(boxes)
    sides = np.array([boxes[index] for index in known], np.float64).T
    every = [np.pad(np.interp(np.arange(len(boxes)), known, side), _AROUND, mode="edge") for side in sides]
    around = np.lib.stride_tricks.sliding_window_view(np.array(every), 2 * _AROUND + 1, axis=1)
    return list(np.median(around, axis=2).T)


_NOBODY: Final = Subject(None, np.ones(4, np.float32))


def subject_of(landmarks: str | Path | None, clip: MediaInfo, source: MediaInfo | None = None) -> Subject:
    """The subject in a clip that was made of `source`, None: it is the source; nobody where no poses are given.

    Nobody either where the clip has another shape. One of as many frames as there are poses has one for each, whatever
    its times.

    Raises:
        InputError: `pose_unreadable`: not the .npz that the pose stage writes.
    """
    if landmarks is None:
        return _NOBODY
    poses = Poses.read(landmarks)
    size = clip.width, clip.height
    scale = scale_to(size if source is None else (source.width, source.height), size)
    if scale is None:
        return _NOBODY
    if source is None or clip.frames == len(poses.detected):
        poses = replace(poses, times_s=None)
    return Subject(poses, scale)
