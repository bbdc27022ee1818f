"""Similarities between two sets of points: what most agree on, refined to a small part of a pixel."""

import cmath
import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.engines.ranks import median
from caf.media.compiled import NATIVE

__all__ = ["Points", "agreed_similarity", "agreement", "refit", "strays"]

Points = NDArray[np.float64]
"""(n, 2) x, y in px."""
_Places = NDArray[np.complex128]

_MIN_POINTS = 8
_ROUNDS = 5
_FLOOR_PX = 0.05
_TUKEY = 4.5
"""From so many times the median error on nothing counts (Tukey's biweight). With 7 of them a body that hardly moves
counts as background, with 4 what coding leaves of a drawn picture counts too little."""
_SETTLED_PX, _REACH_PX = 1e-3, 500.0
"""A round that changes less than this, so far from the centre, is the last."""


def agreed_similarity(
    old: Points, new: Points, within_px: float, worth: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The similarity most points agree on, refined by Tukey-weighted least squares; and who agrees.

    `worth` (n,) is how much each counts among those which agree; all alike without it.
    """
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
    start = _Turn(complex(matrix[0, 0], matrix[1, 0]), complex(matrix[0, 2], matrix[1, 2]))
    here, there = _plane(old), _plane(new)
    found = _refined(start, here, there, mask.ravel().astype(bool), worth)
    return _as_motion(found), _error(found, here, there) < within_px


def agreement(motion: NDArray[np.float64], old: Points, new: Points, within_px: float) -> NDArray[np.bool_]:
    """(n,) whether `motion` takes a point to within so many px of where it went."""
    return np.asarray(_error(_as_turn(motion), _plane(old), _plane(new)) < within_px)


def strays(motion: NDArray[np.float64], old: Points, new: Points) -> NDArray[np.complex128]:
    """(n,) x + i y px: how far from where each point went `motion` takes it."""
    return _strays(_as_turn(motion), _plane(old), _plane(new))


def refit(
    motion: NDArray[np.float64],
    old: Points,
    new: Points,
    within_px: float,
    worth: NDArray[np.float32] | None = None,
) -> NDArray[np.float64]:
    """The motion fitted again to these points, starting from `motion`; unchanged where too few are near it."""
    start, here, there = _as_turn(motion), _plane(old), _plane(new)
    near = _error(start, here, there) < within_px
    if np.count_nonzero(near) < _MIN_POINTS:
        return motion
    return _as_motion(_refined(start, here, there, near, worth))


class _Turn(NamedTuple):
    """z -> factor z + shift in the complex plane: a similarity without reflection."""

    factor: complex
    shift: complex


def _plane(points: Points) -> _Places:
    """(n,) x + i y: one number a point, which is quicker for few of them."""
    return np.ascontiguousarray(points, np.float64).view(np.complex128).ravel()


def _refined(
    turn: _Turn,
    old: _Places,
    new: _Places,
    held: NDArray[np.bool_],
    worth: NDArray[np.float32] | None,
) -> _Turn:
    by = np.ones(len(old)) if worth is None else worth.astype(np.float64)
    if NATIVE is None:
        return _plainly_refined(turn, old, new, held, by)
    start = (turn.factor.real, turn.factor.imag, turn.shift.real, turn.shift.imag)
    end = NATIVE.refined(start, old, new, held.copy(), by, _ROUNDS, _FLOOR_PX, _TUKEY, _SETTLED_PX, _REACH_PX)
    return _Turn(complex(end[0], end[1]), complex(end[2], end[3]))


def _plainly_refined(
    turn: _Turn, old: _Places, new: _Places, held: NDArray[np.bool_], worth: NDArray[np.float64]
) -> _Turn:
    """`_refined` without compiled code."""
    for _ in range(_ROUNDS):
        error = _error(turn, old, new)
        # The floor is what sub-pixel tracking can resolve.
        scale = max(_FLOOR_PX, _TUKEY * median(error[held]))
        near = np.maximum(0.0, 1.0 - (error / scale) ** 2) ** 2
        held, weight = near > 0, near * worth
        if np.count_nonzero(held) < 3:
            break
        turn, before = _least_squares(old, new, weight), turn
        if abs(turn.shift - before.shift) + _REACH_PX * abs(turn.factor - before.factor) < _SETTLED_PX:
            break
    return turn


def _as_turn(motion: NDArray[np.float64]) -> _Turn:
    x, y, roll, log_zoom = (float(value) for value in motion)
    return _Turn(cmath.exp(complex(log_zoom, roll)), complex(x, y))


def _as_motion(turn: _Turn) -> NDArray[np.float64]:
    factor, shift = turn
    return np.array([shift.real, shift.imag, cmath.phase(factor), math.log(max(1e-6, abs(factor)))])


def _error(turn: _Turn, old: _Places, new: _Places) -> NDArray[np.float64]:
    return np.abs(_strays(turn, old, new))


def _strays(turn: _Turn, old: _Places, new: _Places) -> _Places:
    return np.asarray(turn.factor * old + turn.shift - new)


def _least_squares(old: _Places, new: _Places, weight: NDArray[np.float64]) -> _Turn:
    """Closed form of the weighted similarity. Source: Umeyama 1991, without reflection."""
    total = float(weight.sum())
    mean_old, mean_new = complex(weight @ old) / total, complex(weight @ new) / total
    from_old = old - mean_old
    weighted = weight * from_old.conj()
    power = max(float((weighted @ from_old).real), 1e-9)
    factor = complex(weighted @ (new - mean_new)) / power
    return _Turn(factor, mean_new - factor * mean_old)
