"""The series behind the scores of a clip, as a file: what a plot is drawn of, and what a later look goes by."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.findings import Finding, spans

__all__ = ["series_file"]


def series_file(time_s: Sequence[float], findings: Sequence[Finding]) -> bytes:
    """An .npz of `time_s` (T,) float64, `METRIC.SERIES` (T,) float32 and `METRIC.spans` (N, 2) int32, first and
    last frame. The same findings give the same bytes.
    """
    arrays: dict[str, NDArray[Any]] = {"time_s": np.array(time_s, dtype=np.float64)}
    for one in findings:
        name = one.measurement.metric
        arrays |= {f"{name}.{key}": series.astype(np.float32) for key, series in one.series.items()}
        arrays[f"{name}.spans"] = np.array(spans(one.blamed), dtype=np.int32).reshape(-1, 2)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # its other keyword is a bool
    return buffer.getvalue()
