"""Where one shot ends and the next begins."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["FLAT_STD", "is_cut"]

FLAT_STD = 2.0
"""Grey levels; a picture that varies less holds nothing to compare."""
_CORRELATION = 0.35


def is_cut(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    """True for two small grey pictures of different scenes; brighter, darker or a little moved is the same."""
    flat_before, flat_after = float(before.std()) < FLAT_STD, float(after.std()) < FLAT_STD
    if flat_before or flat_after:
        return flat_before != flat_after
    product = (before - before.mean()) * (after - after.mean())
    return float(np.mean(product) / (before.std() * after.std())) < _CORRELATION
