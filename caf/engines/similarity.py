"""Similarities between two sets of points: what most agree on, refined to a small part of a pixel."""

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Points", "agreed_similarity", "agreement", "refit"]

Points = NDArray[np.float64]
"""(n, 2) x, y in px."""

_MIN_POINTS = 8
_ROUNDS = 5
_FLOOR_PX = 0.05


def agreed_similarity(
    old: Points, new: Points, within_px: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The similarity most points agree on, refined by Tukey-weighted least squares; and who agrees."""
    matrix, mask = cv2.estimateAffinePartial2D(
        old,
        new,
        method=cv2.RANSAC,
        ransacReprojThreshold=within_px,
        maxIters=800,
        confidence=0.999,
        refineIters=0,
    )
    if matrix is None:
        return np.zeros(4), np.zeros(len(old), bool)
    start = np.array([matrix[0, 0], matrix[1, 0], matrix[0, 2], matrix[1, 2]])
    solution = _refined(start, old, new, mask.ravel().astype(bool))
    return _as_motion(solution), np.linalg.norm(_moved(solution, old) - new, axis=1) < within_px


def agreement(motion: NDArray[np.float64], old: Points, new: Points, within_px: float) -> NDArray[np.bool_]:
    """(n,) whether `motion` takes a point to within so many px of where it went."""
    return np.asarray(np.linalg.norm(_moved(_as_solution(motion), old) - new, axis=1) < within_px)


def refit(motion: NDArray[np.float64], old: Points, new: Points, within_px: float) -> NDArray[np.float64]:
    """The motion fitted again to these points, starting from `motion`; unchanged where too few are near it."""
    start = _as_solution(motion)
    near = np.linalg.norm(_moved(start, old) - new, axis=1) < within_px
    return motion if near.sum() < _MIN_POINTS else _as_motion(_refined(start, old, new, near))


def _refined(
    solution: NDArray[np.float64], old: Points, new: Points, held: NDArray[np.bool_]
) -> NDArray[np.float64]:
    for _ in range(_ROUNDS):
        error = np.linalg.norm(_moved(solution, old) - new, axis=1)
        # Tukey's constant on the robust spread; the floor is what sub-pixel tracking can resolve.
        scale = max(_FLOOR_PX, 1.4826 * float(np.median(error[held])) * 4.685)
        weight = np.where(error < scale, (1 - (error / scale) ** 2) ** 2, 0.0)
        held = weight > 0
        if held.sum() < 3:
            break
        solution = _least_squares(old, new, weight)
    return solution


def _as_solution(motion: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, roll, log_zoom = motion
    return np.array([np.exp(log_zoom) * np.cos(roll), np.exp(log_zoom) * np.sin(roll), x, y])


def _as_motion(solution: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b, x, y = solution
    return np.array([x, y, np.arctan2(b, a), np.log(max(1e-6, np.hypot(a, b)))])


def _moved(solution: NDArray[np.float64], points: Points) -> Points:
    a, b, x, y = solution
    return np.column_stack((a * points[:, 0] - b * points[:, 1] + x, b * points[:, 0] + a * points[:, 1] + y))


def _least_squares(old: Points, new: Points, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Closed form of the weighted similarity. Source: Umeyama 1991, without reflection."""
    total = weight.sum()
    mean_old, mean_new = weight @ old / total, weight @ new / total
    p, q = old - mean_old, new - mean_new
    power = max(float(weight @ (p * p).sum(axis=1)), 1e-9)
    a = float(weight @ (p * q).sum(axis=1)) / power
    b = float(weight @ (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0])) / power
    x = mean_new[0] - a * mean_old[0] + b * mean_old[1]
    y = mean_new[1] - b * mean_old[0] - a * mean_old[1]
    return np.array([a, b, x, y])
