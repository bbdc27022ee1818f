"""Measure the extra metrics that a request names: the one place that knows which there are."""

from typing import Final

import numpy as np

from caf.ports import ExtraMetric, ExtraSeen, MeasureRequest, Progress
from caf.qc.extras.embedding import IdentityEmbedding
from caf.qc.extras.vmaf import Vmaf
from caf.qc.metrics.findings import Finding
from caf.qc.metrics.scoring import unmeasured

__all__ = ["measured_extras"]

_ALL: Final[tuple[ExtraMetric, ...]] = (Vmaf(), IdentityEmbedding())


def measured_extras(request: MeasureRequest, frames: int, progress: Progress) -> dict[str, Finding]:
    """Name to finding of each that is asked for; without a score and with the reason where it cannot be measured.

    Series are as long as the clip, `frames`; NaN where nothing was to compare.
    """
    found = {}
    for extra in _ALL:
        if extra.name in request.metrics:
            why = extra.missing(request)
            seen = (
                extra.measure(request, progress)
                if why is None
                else ExtraSeen(measurement=unmeasured(extra.name, why))
            )
            found[extra.name] = _finding(seen, frames)
    return found


def _finding(seen: ExtraSeen, frames: int) -> Finding:
    series = {}
    for name, values in seen.series.items():
        padded = np.full(frames, np.nan)
        padded[: len(values)] = values[:frames]
        series[name] = padded
    return Finding(seen.measurement, tuple(at for at in seen.blamed if at < frames), series)
