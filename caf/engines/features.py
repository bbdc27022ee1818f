"""What of a frame is followed: its gray picture, made even, and the features in it (Shi and Tomasi 1994)."""

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.engines.follow import Picture
from caf.engines.scene import FLAT_STD

__all__ = ["ANALYSIS_SIDE_PX", "CELLS", "GRID", "Seen", "normalised", "seen_in"]

GRID = (8, 6)
"""Columns and rows of the cells in which motion is summarised."""
CELLS = GRID[0] * GRID[1]
ANALYSIS_SIDE_PX = 960
_WORTH_HALVING_PX = 200
_LEAST_SIDE_PX = 24
_STRONG: Final = 0.9
"""What is stronger than so much of a picture's features counts no more than the weakest of these. Source: of 14 shaken
clips of known camera, as coded at crf 20 to 40, a cap at the strongest feature lost more in the good ones."""


class Seen(NamedTuple):
    """A frame made ready to be followed, for which no other frame is needed."""

    picture: Picture
    small: NDArray[np.float32]
    """(36, 64) of it."""
    features: NDArray[np.float32]
    """(n, 2) px of what can be followed well."""
    rank: NDArray[np.intp]
    """(n,) how many in its cell are stronger."""
    worth: NDArray[np.float32]
    """(n,) 0..1: how much each counts where they are told apart: as the root of its strength, which is a gradient.

    As its strength, which suits errors that are noise, it would take more of the lag away, and go wrong more often.
    """


def seen_in(image: NDArray[np.uint8], scale: float) -> Seen:
    """Of a frame (H, W, 3), looked at in so much of its size."""
    gray = normalised(image, scale)
    small = cv2.resize(gray, (64, 36), interpolation=cv2.INTER_AREA).astype(np.float32)
    return Seen(Picture(gray), small, *_features(gray))


def normalised(image: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    """Gray at analysis size with fixed mean and contrast, so that flicker does not look like motion."""
    gray = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    if scale < 1.0:
        gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    mean, std = (float(v[0, 0]) for v in cv2.meanStdDev(gray))
    if std < FLAT_STD:
        return np.asarray(gray, dtype=np.uint8)
    return np.asarray(cv2.convertScaleAbs(gray, alpha=48.0 / std, beta=112.0 - mean * 48.0 / std), np.uint8)


def _features(
    gray: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.intp], NDArray[np.float32]]:
    """The features, their ranks and their worth, found in a picture of half the size, which takes a quarter.

    Where a coder has left weak texture where it was, or noise lies over it, strong features alone tell a motion.
    """
    height, width = gray.shape
    none = np.empty((0, 2), np.float32), np.empty(0, np.intp), np.empty(0, np.float32)
    if min(height, width) < _LEAST_SIDE_PX:
        return none
    shrink = 2 if min(height, width) >= _WORTH_HALVING_PX else 1
    small = cv2.resize(gray, (width // shrink, height // shrink), interpolation=cv2.INTER_AREA)
    apart = max(4.0, width / 96) / shrink
    block = 5 if shrink == 1 else 3
    found, strength = cv2.goodFeaturesToTrackWithQuality(small, 1600, 0.002, apart, None, blockSize=block)
    if found is None:
        return none
    scale = np.array([width / (width // shrink), height / (height // shrink)], np.float32)
    places = (found.reshape(-1, 2) + np.float32(0.5)) * scale - np.float32(0.5)
    column, row = (places * np.array(GRID) / (width, height)).astype(np.intp).T
    cell = row * GRID[0] + column
    order = np.argsort(cell, kind="stable")  # they come strongest first
    rank = np.empty(len(order), np.intp)
    rank[order] = np.arange(len(order)) - np.searchsorted(cell[order], cell[order])
    strength = strength.ravel()
    worth = np.sqrt(np.minimum(1.0, strength / np.quantile(strength, _STRONG)))
    return places, rank, worth.astype(np.float32)
