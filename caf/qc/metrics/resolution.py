"""resolution: has the clip the detail that its size promises, or was it made small and large again?"""

import numpy as np

from caf.qc.metrics.exposure import COMPARED_S
from caf.qc.metrics.findings import Finding
from caf.qc.metrics.scoring import Calibration, calibrate, measured, unmeasured
from caf.qc.metrics.sharpness import Crispness

__all__ = ["resolution"]

# Factor of fine detail lost against the source, relative to coarse detail. Coding the same frames once more: 1.00 to
# 1.05; enlarged by 1.5: 1.1 to 1.3, by 2: 1.3 to 1.8.
_LOST: Calibration = ((1.0, 1.0), (1.05, 0.93), (1.1, 0.8), (1.2, 0.62), (1.5, 0.4), (2.5, 0.15), (5.0, 0.0))


def resolution(crisp: Crispness, source: Crispness | None) -> Finding:
    """Calibrated loss of fine detail against the source, over the first two seconds of both.

    Detail is taken relative to four times coarser detail, so that light and framing do not matter.
    raw: `detail_lost_factor` (1 = none), `detail` (logarithm of fine over coarse).
    """
    name = "resolution"
    if len(crisp.fine) == 0:
        return Finding(unmeasured(name, "The clip has no frame to look at."))
    if source is None or len(source.fine) == 0:
        return Finding(
            unmeasured(
                name, "There is no source to compare with; a clip alone does not tell how sharp it was."
            )
        )
    here, there = _early(crisp), _early(source)
    lost = float(np.exp(there - here))
    score = calibrate(lost, _LOST)
    reason = (
        "The clip has its source's detail."
        if score >= 0.7
        else f"Fine detail is {lost:.2f} times weaker than in the source, as after enlarging."
    )
    return Finding(measured(name, score, reason, {"detail_lost_factor": lost, "detail": here}))


def _early(crisp: Crispness) -> float:
    """Logarithm of fine over coarse detail, mean of the richer half of the cells."""
    early = crisp.time_s <= COMPARED_S
    detail = np.median(crisp.detail()[early], axis=0)
    richness = np.median(crisp.coarse[early], axis=0)
    richest = np.argsort(-richness, kind="stable")[: len(richness) // 2]
    return float(np.mean(detail[richest]))
