"""Where the background's picture has moved since its shot began: from key frame to key frame, step by step between."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from caf.engines.background import Motion
from caf.engines.camera import Step, cells_of
from caf.engines.course import Path, after
from caf.engines.similarity import agreed_similarity
from caf.engines.smooth import shots

__all__ = ["NOTHING", "background_path"]

NOTHING = 0.15
"""A step of less confidence is not believed."""
_POINTS, _NEAR_PX, _AGREE = 16, 0.6, 0.6
_STEP_PX, _UNKNOWN_STEP_PX = 0.05, 3.0
"""Standard error of a step at the frame's corners, and of one that was bridged."""
_LOOK_PX, _FARTHEST_PX = 0.1, 0.25
"""Standard error of a look back to the key frame; one that is further off saw something pass, and is not counted."""
_ROUNDS = 6


def background_path(
    steps: Sequence[Step], camera: Motion, cuts: Sequence[int], size: tuple[int, int]
) -> Path:
    """Where the background's picture has moved since its shot began, (T, 4); doubtful steps are bridged.

    Steps drift, looks back to a key frame are deceived where something passes before the background: both count, by
    their errors, over all frames that look back to the same key frame.
    """
    path = np.zeros_like(camera.steps)
    for shot in shots(len(steps), cuts):
        index = np.arange(shot.start, shot.stop)[1:]
        sure = camera.confidence[index] >= NOTHING
        bridged = np.zeros_like(camera.steps)
        if sure.any():
            for column in range(4):
                bridged[index, column] = np.interp(index, index[sure], camera.steps[index[sure], column])
        for t in index[sure]:
            lasted = steps[t].lasted
            bridged[max(t - lasted, shot.start) + 1 : t + 1] = camera.steps[t] / lasted
        step_px = np.where(camera.confidence >= NOTHING, _STEP_PX, _UNKNOWN_STEP_PX)
        start = shot.start + 1
        while start < shot.stop:
            key = start - max(1, steps[start].key_frames)
            stop = start + 1
            while stop < shot.stop and stop - steps[stop].key_frames == key:
                stop += 1
            for t in range(start, stop):
                path[t] = after(path[t - 1], bridged[t])
            if key == start - 1 and steps[start].key_frames:
                seen = _looks_back(steps[start:stop], camera.background[key:stop], path[key], size)
                path[start:stop] += _drift(seen - path[start:stop], step_px[start:stop], size)
            start = stop
    return path


def _looks_back(
    steps: Sequence[Step], seen: NDArray[np.bool_], key: Path, size: tuple[int, int]
) -> NDArray[np.float64]:
    """(n, 4) the places on the path by what was background in the key frame, at `key`, and is now; NaN: not enough.

    `seen`, (n + 1, CELLS), begins with the key frame's.
    """
    out = np.full((len(steps), 4), np.nan)
    for index, step in enumerate(steps[1:], 1):
        points = step.key_points.astype(np.float64)
        usual = seen[0][step.key_cells] & seen[index + 1][cells_of(points[:, 2:], size)]
        points, worth = points[usual], None if step.key_worth is None else step.key_worth[usual]
        if len(points) < _POINTS:
            continue
        old, new = np.ascontiguousarray(points[:, :2]), np.ascontiguousarray(points[:, 2:])
        motion, held = agreed_similarity(old, new, _NEAR_PX, worth)
        if held.mean() >= _AGREE:
            out[index] = after(key, motion)
    return out


def _drift(apart: NDArray[np.float64], step_px: NDArray[np.float64], size: tuple[int, int]) -> Path:
    """(n, 4) how far the steps since the key frame have drifted, from how far the looks back are `apart` from them.

    A walk whose steps err by `step_px`, seen with an error of its own; looks that are far off count nothing (Tukey's
    biweight).
    """
    known = ~np.isnan(apart[:, 0])
    corner = float(np.hypot(*size)) / 2
    unit = np.array([1.0, 1.0, corner, corner])
    goal = np.where(known[:, None], apart, 0.0) * unit
    stiff = 1.0 / step_px**2
    walk = np.diag(stiff + np.append(stiff[1:], 0.0)) - np.diag(stiff[1:], 1) - np.diag(stiff[1:], -1)
    trust = known.astype(np.float64)
    drift = np.zeros_like(goal)
    for _ in range(_ROUNDS if known.any() else 0):
        look = trust / _LOOK_PX**2
        drift = np.linalg.solve(walk + np.diag(look), look[:, None] * goal)
        off = np.linalg.norm(drift - goal, axis=1) / _FARTHEST_PX
        trust = np.where(known & (off < 1.0), (1.0 - off**2) ** 2, 0.0)
    return np.asarray(drift / unit)
