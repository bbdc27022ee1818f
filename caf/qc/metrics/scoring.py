"""From a physical quantity to a score, and from a score to a measurement that never holds a NaN."""

import math
from collections.abc import Mapping, Sequence

from caf.ports import Measurement
from caf.qc.metrics.catalogue import info_of

__all__ = ["Calibration", "calibrate", "measured", "unmeasured"]

Calibration = Sequence[tuple[float, float]]
"""Support points (quantity, score), quantities rising; between them straight lines, outside them flat."""


def calibrate(quantity: float, table: Calibration) -> float:
    """The score, 0..1, that `table` gives `quantity`."""
    below = table[0]
    if quantity <= below[0]:
        return below[1]
    for above in table[1:]:
        if quantity <= above[0]:
            share = (quantity - below[0]) / (above[0] - below[0])
            return below[1] + share * (above[1] - below[1])
        below = above
    return below[1]


def measured(
    metric: str,
    score: float,
    reason: str,
    raw: Mapping[str, float],
    worst_frames: Sequence[int] = (),
) -> Measurement:
    """A measurement with its score; raw quantities that came out NaN or infinite are left out.

    A score that is not a number becomes "not measured": a default would be a lie.
    """
    clean = {name: round(float(value), 6) for name, value in raw.items() if math.isfinite(value)}
    if not math.isfinite(score):
        return unmeasured(metric, "The numbers of this clip do not allow a measurement.", clean)
    return Measurement(
        metric=metric,
        version=info_of(metric).version,
        score=round(min(1.0, max(0.0, float(score))), 6),
        reason=reason,
        raw=clean,
        worst_frames=tuple(int(index) for index in worst_frames),
    )


def unmeasured(metric: str, reason: str, raw: Mapping[str, float] | None = None) -> Measurement:
    """A measurement without a score, because `reason`."""
    return Measurement(
        metric=metric, version=info_of(metric).version, score=None, reason=reason, raw=dict(raw or {})
    )
