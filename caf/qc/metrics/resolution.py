"""resolution: has the clip the detail that its size promises, or was it made small and large again?"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.course import EMPTY_LEVELS
from caf.qc.metrics.exposure import COMPARED_S
from caf.qc.metrics.findings import Finding, Floats
from caf.qc.metrics.scoring import Calibration, calibrate, measured, unmeasured
from caf.qc.metrics.sharpness import Crispness

__all__ = ["resolution"]

# Factor of fine detail lost against the source, relative to coarse detail. Coding the same frames once more: 1.00 to
# 1.05; enlarged by 1.5: 1.1 to 1.3, by 2: 1.3 to 1.8.
_LOST: Calibration = ((1.0, 1.0), (1.05, 0.93), (1.1, 0.8), (1.2, 0.62), (1.5, 0.4), (2.5, 0.15), (5.0, 0.0))
# Factor of coarse detail lost beyond contrast, in the cells that have most of it. Of 16 real clips coded again, darker,
# smaller, larger, cut out or with bars up to 1.7; blurred by 4 px at 640 px 1.4 to 3.9, by 8 px 1.6 to 6.5, by 16 px up
# to 10. Beyond that fine detail over coarse tells nothing: neither is left.
_COARSE_LOST: Calibration = ((2.2, 1.0), (3.0, 0.7), (4.5, 0.4), (10.0, 0.1), (20.0, 0.0))
_RICHEST = 6


def resolution(crisp: Crispness, source: Crispness | None) -> Finding:
    """Calibrated loss of fine or coarse detail against the source, over the first two seconds of both.

    Fine detail is taken relative to four times coarser detail, and that to the contrast, so that light and framing do
    not matter; as much is lost as both the richer half of either picture and most of their common places say. Of a
    source that shows something nothing is left where the clip shows nothing; one that shows nothing has none to lose.
    raw: `detail_lost_factor` and `coarse_lost_factor` (1 = none), `detail` (logarithm of fine over coarse).
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
    if there.spread < EMPTY_LEVELS:
        nothing = "The source shows nothing whose detail could be lost."
        return Finding(measured(name, 1.0, nothing, {"detail": here.mean()}))
    lost = float(np.exp(min(there.mean() - here.mean(), _lost_in_place(here, there))))
    coarse = float(np.exp(there.coarse - here.coarse))
    parts = {
        "Nothing is drawn in the picture, where the source shows something.": float(
            here.spread >= EMPTY_LEVELS
        ),
        f"Coarse detail is {coarse:.1f} times weaker than in the source: the picture is blurred.": calibrate(
            coarse, _COARSE_LOST
        ),
        f"Fine detail is {lost:.2f} times weaker than in the source, as after enlarging.": calibrate(
            lost, _LOST
        ),
    }
    said = min(parts, key=lambda words: parts[words])
    score = parts[said]
    reason = "The clip has its source's detail." if score >= 0.7 else said
    raw = {"detail_lost_factor": lost, "coarse_lost_factor": coarse, "detail": here.mean()}
    return Finding(measured(name, score, reason, raw))


class _Early(NamedTuple):
    """Of the first two seconds."""

    detail: Floats
    """(cells,) logarithm of fine over coarse detail."""
    richness: Floats
    """(cells,) logarithm of coarse detail."""
    coarse: float
    """Logarithm of coarse detail over contrast, mean of the richest cells."""
    spread: float
    """Standard deviation of the grey levels."""

    def mean(self) -> float:
        """That of the detail in the richer half of the cells."""
        return float(np.mean(self.detail[_richer(self.richness)]))


def _early(crisp: Crispness) -> _Early:
    early = crisp.time_s <= COMPARED_S
    richness = np.median(crisp.coarse[early], axis=0)
    spread = float(np.median(crisp.spread[early]))
    coarse = float(np.mean(np.sort(richness)[-_RICHEST:])) - float(np.log(spread + 0.5))
    return _Early(np.median(crisp.detail()[early], axis=0), richness, coarse, spread)


def _lost_in_place(here: _Early, there: _Early) -> float:
    """Logarithm of the detail lost in most of the cells that are rich in both: the edge of a bar, or of words, which is
    richer than what it covers and has less fine detail, tells of its own cells alone."""
    both = _richer(np.minimum(here.richness, there.richness))
    return float(np.median((there.detail - here.detail)[both]))


def _richer(richness: Floats) -> NDArray[np.intp]:
    return np.argsort(-richness, kind="stable")[: len(richness) // 2]
