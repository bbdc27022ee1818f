"""Smooth courses of measured series: robust local regression, within shots."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["high_pass_rms", "shots", "smooth"]

_ROUNDS = 3
_LONG_KERNEL = 2048
_DENSEST = 4
"""So many even times for each frame at most, where some frames are shown for far longer than others."""
_BISQUARE = 6.0  # Cleveland (1979): residuals beyond six medians count nothing

Series = NDArray[np.float64]


def shots(length: int, cuts: Sequence[int]) -> list[slice]:
    """The stretches between hard cuts; `cuts` are the first frames of new shots."""
    edges = [0, *sorted({c for c in cuts if 0 < c < length}), length]
    return [slice(a, b) for a, b in pairwise(edges) if b > a]


def smooth(
    values: Series,
    sigma: float,
    *,
    cuts: Sequence[int] = (),
    robust: bool = True,
    at: NDArray[np.float64] | None = None,
) -> Series:
    """The smooth course of `values` (T, D): a local line under a Gaussian of `sigma` frames, per shot.

    Lines and the ends of a shot are kept; with `robust`, single outliers do not pull the course. `at` (T,) is when each
    frame is shown, in frames of usual length, where they are not all as long.
    Source: Cleveland 1979, Robust locally weighted regression and smoothing scatterplots.
    """
    out = np.array(values, dtype=np.float64)
    for shot in shots(len(values), cuts):
        if at is None or shot.stop - shot.start < 3:
            out[shot] = _course(out[shot], sigma, robust)
            continue
        ticks, step = _ticks(at[shot])
        course = _course(_between(ticks, at[shot], out[shot]), sigma / step, robust)
        out[shot] = _between(at[shot], ticks, course)
    return out


def _course(part: Series, sigma: float, robust: bool) -> Series:
    trust = np.ones(len(part))
    course = _local_line(part, sigma, trust)
    for _ in range(_ROUNDS if robust and len(part) > 4 else 0):
        error = np.linalg.norm(part - course, axis=1)
        scale = _BISQUARE * max(float(np.median(error)), 1e-9)
        # Never zero: where everything is an outlier the line must still exist.
        trust = np.maximum(1e-3, (1 - np.minimum(error / scale, 1.0) ** 2) ** 2)
        course = _local_line(part, sigma, trust)
    return course


def _ticks(at: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Even times from the first of these to the last, as dense as the densest of them or nearly so, and their step."""
    span = float(at[-1] - at[0])
    step = max(float(np.diff(at).min()), span / (_DENSEST * len(at)))
    count = round(span / step) + 1
    return np.linspace(at[0], at[-1], count), span / (count - 1)


def _between(wanted: NDArray[np.float64], at: NDArray[np.float64], values: Series) -> Series:
    return np.column_stack([np.interp(wanted, at, column) for column in values.T])


def _local_line(values: Series, sigma: float, trust: NDArray[np.float64]) -> Series:
    length = len(values)
    if length < 3 or sigma <= 0:
        return values.copy()
    reach = min(length - 1, int(np.ceil(3.5 * sigma)))
    offset = np.arange(-reach, reach + 1, dtype=np.float64)
    kernel = np.exp(-0.5 * (offset / sigma) ** 2)

    def moment(power: int, series: NDArray[np.float64]) -> NDArray[np.float64]:
        # Correlation, so the kernel goes in reversed; "full" cut by hand works for short shots too.
        return _convolved(series, (kernel * offset**power)[::-1])[reach : reach + length]

    m0, m1, m2 = (moment(power, trust) for power in (0, 1, 2))
    spread = m0 * m2 - m1 * m1
    spread = np.where(spread > 1e-9 * m0 * m0, spread, np.inf)
    out = np.empty_like(values, dtype=np.float64)
    for column in range(values.shape[1]):
        weighted = trust * values[:, column]
        v0, v1 = moment(0, weighted), moment(1, weighted)
        mean = v0 / m0
        slope = (m0 * v1 - m1 * v0) / spread
        out[:, column] = mean - slope * m1 / m0
    return out


def _convolved(series: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    """In full; by way of frequencies where a kernel of minutes would make it quadratic in the length of the clip."""
    if len(kernel) < _LONG_KERNEL:
        return np.convolve(series, kernel, mode="full")
    whole = len(series) + len(kernel) - 1
    size = 1 << (whole - 1).bit_length()
    return np.fft.irfft(np.fft.rfft(series, size) * np.fft.rfft(kernel, size), size)[:whole]


def high_pass_rms(values: Series, sigma: float, *, cuts: Sequence[int] = ()) -> float:
    """Root mean square distance of `values` (T, D) from their smooth course: what jitters or flickers."""
    if len(values) < 3:
        return 0.0
    rest = values - smooth(values, sigma, cuts=cuts, robust=False)
    return float(np.sqrt(np.mean(np.sum(rest**2, axis=1))))
