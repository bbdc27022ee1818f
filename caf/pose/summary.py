"""What a person, and a stage's recorded facts, are told of a clip's landmarks. Pure."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.ports import PoseGap
from caf.pose.landmarks import VISIBLE, Landmarks

__all__ = ["Summary", "changes_of", "gaps_of", "jitter_of", "summary_of"]

_BODY_POINTS: Final = 4
"""A body's size is told from at least so many visible landmarks: fewer span no area."""
_TRUNK: Final = (11, 12, 23, 24)
"""Shoulders and hips: estimated also where they are hidden, and together the calmest of a body."""
_FAR: Final = 0.5
"""Share of a body's diagonal that no body moves within `_SOON_S`: some 4 m/s across the picture."""
_SOON_S: Final = 0.2


class Summary(NamedTuple):
    """`coverage` and `visibility` 0..1; `visibility` and `jitter` None where no pose was found."""

    coverage: float
    visibility: float | None
    jitter: float | None
    gaps: tuple[PoseGap, ...]
    changes: int


def summary_of(landmarks: Landmarks, times_s: NDArray[np.float64]) -> Summary:
    """The summary of a clip whose frames are shown at `times_s` (T,) seconds.

    `visibility` is the mean of all landmarks of all found poses.
    """
    detected = landmarks.detected
    return Summary(
        coverage=float(detected.mean()) if len(detected) else 0.0,
        visibility=float(landmarks.points[detected, :, 3].mean()) if detected.any() else None,
        jitter=jitter_of(landmarks),
        gaps=gaps_of(detected, times_s),
        changes=changes_of(landmarks, times_s),
    )


def gaps_of(detected: NDArray[np.bool_], times_s: NDArray[np.float64]) -> tuple[PoseGap, ...]:
    """The spans without a pose; each ends where the next pose is, or a typical frame after the last one."""
    if not len(detected):
        return ()
    step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    ends_s = np.append(times_s, times_s[-1] + step_s)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], ~detected, [False])).astype(np.int8)))
    return tuple(
        PoseGap(
            first_frame=int(first),
            frames=int(after - first),
            start_s=round(float(ends_s[first]), 6),
            duration_s=round(float(ends_s[after] - ends_s[first]), 6),
        )
        for first, after in zip(edges[::2], edges[1::2], strict=True)
    )


def jitter_of(landmarks: Landmarks) -> float | None:
    """How restless the landmarks are: 0 for even movement; None where there is nothing to tell it from.

    For each landmark that is visible in three frames on end the length of |p(t+1) - 2 p(t) + p(t-1)| in the
    picture, as a share of the body's size (the diagonal of the box of its visible landmarks, median over
    the clip); of all these the median. A share of the body a frame squared.
    """
    visible = (landmarks.points[..., 3] >= VISIBLE) & landmarks.detected[:, None]
    size_px = _body_px(landmarks.points, visible)
    if size_px is None or len(visible) < 3:
        return None
    xy = landmarks.points[..., :2].astype(np.float64)
    bend_px = np.linalg.norm(xy[2:] - 2 * xy[1:-1] + xy[:-2], axis=2)
    seen = visible[2:] & visible[1:-1] & visible[:-2]
    return float(np.median(bend_px[seen]) / size_px) if seen.any() else None


def changes_of(landmarks: Landmarks, times_s: NDArray[np.float64]) -> int:
    """How often the pose is at once where another body is: its trunk is half a body away within 0.2 s."""
    visible = (landmarks.points[..., 3] >= VISIBLE) & landmarks.detected[:, None]
    size_px = _body_px(landmarks.points, visible)
    if size_px is None:
        return 0
    at_s = times_s[landmarks.detected]
    trunk = landmarks.points[landmarks.detected][:, _TRUNK, :2].astype(np.float64).mean(axis=1)
    step_px = np.linalg.norm(np.diff(trunk, axis=0), axis=1)
    return int(np.count_nonzero((step_px > _FAR * size_px) & (np.diff(at_s) <= _SOON_S)))


def _body_px(points: NDArray[np.float32], visible: NDArray[np.bool_]) -> float | None:
    whole = visible.sum(axis=1) >= _BODY_POINTS
    if not whole.any():
        return None
    xy, seen = points[whole, :, :2], visible[whole, :, None]
    low, high = np.where(seen, xy, np.inf).min(axis=1), np.where(seen, xy, -np.inf).max(axis=1)
    size_px = float(np.median(np.linalg.norm(high - low, axis=1)))
    return size_px if size_px > 0 else None
