"""Small sums that every frame needs several times: what OpenCV and NumPy do for pictures of any size, but sooner."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["cell_means", "middle", "middles"]

Floats = NDArray[np.float32]


def cell_means(picture: Floats, cells: int) -> Floats:
    """(..., cells, cells) means of (..., H, W), parts of pixels counting as parts: what INTER_AREA gives."""
    height, width = picture.shape[-2:]
    return np.asarray(_shares(height, cells) @ picture @ _shares(width, cells).T, dtype=np.float32)


@lru_cache(maxsize=32)
def _shares(side: int, cells: int) -> Floats:
    """(cells, side) how much of each cell each pixel is."""
    edges = np.linspace(0, side, cells + 1)
    pixels = np.arange(side)
    inside = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return np.asarray(np.clip(inside, 0, None) * (cells / side), dtype=np.float32)


def middle(values: NDArray[np.floating]) -> float:
    """The median of at least one finite number."""
    ordered = np.sort(values, axis=None)
    half = len(ordered) // 2
    return float(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)


def middles(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """As `numpy.median` over the first axis of finite numbers, in a quarter of the time."""
    ordered = np.sort(values, axis=0)
    half = len(ordered) // 2
    return np.asarray(ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2)
