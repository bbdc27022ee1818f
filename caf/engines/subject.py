"""Where the subject is, frame by frame, from the pose landmarks."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from caf.errors import InputError

__all__ = ["subject_boxes"]

_MARGIN = 0.15
_VISIBLE = 0.5


def subject_boxes(landmarks: str | Path) -> list[NDArray[np.float64] | None]:
    """Per frame x0, y0, x1, y1 px around the visible landmarks, with a margin; None where no pose was found.

    Raises:
        InputError: `bad_pose`: not the .npz that the pose stage writes.
    """
    try:
        with np.load(landmarks) as data:
            points, detected = np.asarray(data["points"], np.float64), np.asarray(data["detected"], bool)
    except (OSError, ValueError, KeyError) as fault:
        raise InputError(
            f"The pose file {landmarks} cannot be read.",
            remedy="Run the pose stage again.",
            kind="bad_pose",
        ) from fault
    boxes: list[NDArray[np.float64] | None] = []
    for frame, found in zip(points, detected, strict=True):
        seen = (
            frame[(frame[:, 3] >= _VISIBLE) & np.isfinite(frame[:, :2]).all(axis=1), :2]
            if found
            else frame[:0]
        )
        if len(seen) < 3:
            boxes.append(None)
            continue
        low, high = seen.min(axis=0), seen.max(axis=0)
        margin = _MARGIN * (high - low) + 2.0
        boxes.append(np.concatenate((low - margin, high + margin)))
    return boxes
