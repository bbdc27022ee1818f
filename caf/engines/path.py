"""Where the background's picture has moved since its shot began: from key frame to key frame, step by step between."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from caf.engines.background import Motion
from caf.engines.camera import Step, cells_of
from caf.engines.course import Path, after, between
from caf.engines.similarity import agreed_similarity
from caf.engines.smooth import shots

__all__ = ["NOTHING", "background_path"]

NOTHING = 0.15
"""A step of less confidence is not believed."""
_POINTS, _NEAR_PX, _AGREE = 16, 0.6, 0.6
_DRIFT_PX = 0.25
"""How far a chain of steps drifts, times the root of their number."""


def background_path(
    steps: Sequence[Step], camera: Motion, cuts: Sequence[int], size: tuple[int, int]
) -> Path:
    """Where the background's picture has moved since its shot began, (T, 4); doubtful steps are bridged.

    As far as possible from key frame to frame, so that the small errors of the steps do not add up.
    """
    bridged = np.zeros_like(camera.steps)
    path = np.zeros_like(camera.steps)
    for shot in shots(len(steps), cuts):
        index = np.arange(shot.start, shot.stop)[1:]
        known = index[camera.confidence[index] >= NOTHING]
        if len(known):
            for column in range(4):
                bridged[index, column] = np.interp(index, known, camera.steps[known, column])
        chain = path[shot.start]  # by the steps alone since the key frame, so that the two can be compared
        for t in range(shot.start + 1, shot.stop):
            key = t - steps[t].key_frames
            chain = after(path[t - 1] if key == t - 1 else chain, bridged[t])
            path[t] = chain
            if shot.start <= key < t - 1:
                seen = camera.background[key], camera.background[t]
                path[t] = _from_key(steps[t], path[key], chain, seen, size)
    return path


def _from_key(
    step: Step,
    key: Path,
    chain: Path,
    seen: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    size: tuple[int, int],
) -> Path:
    """The place on the path by what was background in the key frame and is now: `seen`, (CELLS,) each.

    The chain of steps drifts, but no faster than chance; where the two are further apart, something passes
    before the background, and the steps are believed.
    """
    points = step.key_points.astype(np.float64)
    points = points[seen[0][step.key_cells] & seen[1][cells_of(points[:, 2:], size)]]
    if len(points) < _POINTS:
        return chain
    old, new = np.ascontiguousarray(points[:, :2]), np.ascontiguousarray(points[:, 2:])
    motion, held = agreed_similarity(old, new, _NEAR_PX)
    apart = motion - between(key, chain)
    far = np.hypot(apart[0], apart[1]) + np.hypot(*size) / 2 * np.hypot(apart[2], apart[3])
    believed = held.mean() >= _AGREE and far <= _DRIFT_PX * np.sqrt(step.key_frames)
    return after(key, motion) if believed else chain
