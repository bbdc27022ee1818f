"""Medians and quantiles of small series: numpy's own take many times as long as the sorting."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["median", "quantile"]


def median(values: NDArray[np.floating[Any]]) -> float:
    """The middle one of (n,), the upper one of an even number; not a number if there is none."""
    return quantile(values, 0.5)


def quantile(values: NDArray[np.floating[Any]], share: float) -> float:
    """The value of (n,) that `share` 0..1 of them lie below; not a number if there is none."""
    if not len(values):
        return float("nan")
    rank = min(len(values) - 1, int(share * len(values)))
    return float(np.partition(values, rank)[rank])
