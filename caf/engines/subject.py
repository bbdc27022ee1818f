"""Where the subject is, frame by frame, from the pose landmarks of the job's source."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from caf.ports import MediaInfo
from caf.pose.landmarks import VISIBLE, given_landmarks, pose_at, scale_to

__all__ = ["Subject", "subject_of"]

_MARGIN = 0.15

Box = NDArray[np.float64]


class Subject:
    """A box around the visible landmarks for each pose, x0, y0, x1, y1 px of the clip, with a margin."""

    def __init__(self, boxes: Sequence[Box | None], times_s: NDArray[np.float64] | None) -> None:
        self._boxes, self._times_s = boxes, times_s

    def box(self, index: int, time_s: float) -> Box | None:
        """That of the clip's frame `index`, shown at `time_s`; None where no pose was found."""
        place = pose_at(self._times_s, len(self._boxes), index, time_s)
        return None if place is None else self._boxes[place]


_NOBODY: Final = Subject([], None)


def subject_of(landmarks: str | Path | None, clip: MediaInfo, source: MediaInfo | None = None) -> Subject:
    """The subject in a clip that was made of `source`, None: it is the source; nobody where no poses are given.

    Nobody either where the clip has another shape. One of as many frames as there are poses has one for each, whatever
    its times.

    Raises:
        InputError: `pose_unreadable`: not the .npz that the pose stage writes.
    """
    if landmarks is None:
        return _NOBODY
    found = given_landmarks(Path(landmarks))
    size = clip.width, clip.height
    scale = scale_to(size if source is None else (source.width, source.height), size)
    if scale is None:
        return _NOBODY
    boxes: list[Box | None] = []
    for frame, seen in zip(found.points.astype(np.float64), found.detected, strict=True):
        there = (frame[:, 3] >= VISIBLE) & np.isfinite(frame[:, :2]).all(axis=1)
        points = frame[there, :2] * scale[:2] if seen else frame[:0, :2]
        if len(points) < 3:
            boxes.append(None)
            continue
        low, high = points.min(axis=0), points.max(axis=0)
        margin = _MARGIN * (high - low) + 2.0
        boxes.append(np.concatenate((low - margin, high + margin)))
    return Subject(boxes, None if source is None or clip.frames == len(boxes) else found.times_s)
