"""exposure: are the light ends cut off, or is everything too dark?"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.findings import Finding, Flags, places, worst_of
from caf.qc.metrics.frames import SeenFrame
from caf.qc.metrics.piece import WHOLE, Piece
from caf.qc.metrics.scoring import Calibration, calibrate, measured, unmeasured

__all__ = ["COMPARED_S", "Exposure", "ExposureCollector", "exposure"]

Floats = NDArray[np.float64]

COMPARED_S = 2.0
"""Of the source only so much is looked at."""
# Share of the picture that is burnt out, median over the frames. A lit wall or a white sky is a tenth or two.
_BURNT: Calibration = ((0.0, 1.0), (0.05, 0.93), (0.15, 0.8), (0.3, 0.6), (0.6, 0.2), (0.9, 0.0))
# Grey level that the lightest twentieth reaches, median over the frames: a picture without light.
_LIGHTEST: Calibration = ((10.0, 0.0), (35.0, 0.3), (70.0, 0.65), (110.0, 0.88), (170.0, 1.0))
# Stops (doublings of light) that the clip is lighter or darker than what it was made from.
_STOPS: Calibration = ((0.0, 1.0), (0.1, 0.94), (0.3, 0.72), (0.6, 0.5), (1.2, 0.2), (2.0, 0.0))
_BURNT_LEVEL, _DARK_LEVEL, _BAR_LEVEL = 250, 70, 6


@dataclass(frozen=True, slots=True)
class Exposure:
    """Per-frame series (T,): burnt-out share, 95th percentile of the grey levels, mean of those above black."""

    burnt: Floats
    lightest: Floats
    luma: Floats
    time_s: Floats


class ExposureCollector:
    """Four numbers per frame, of every fourth pixel of a picture with its long side at most 320."""

    def __init__(self, piece: Piece = WHOLE) -> None:
        self._piece = piece
        self._rows: list[tuple[float, float, float, float]] = []

    def add(self, frame: SeenFrame) -> None:
        if not self._piece.holds(frame.index):
            return
        some = np.ascontiguousarray(frame.small[::2, ::2])
        counts = np.asarray(cv2.calcHist([some], [0], None, [256], [0, 256]), dtype=np.float64)[:, 0]
        share = counts / counts.sum()
        lightest = float(np.searchsorted(np.cumsum(share), 0.95))
        burnt = float(share[_BURNT_LEVEL:].sum())
        # Bars are no part of the picture.
        drawn = share[_BAR_LEVEL:]
        luma = float(drawn @ np.arange(_BAR_LEVEL, 256)) / max(float(drawn.sum()), 1e-9)
        self._rows.append((burnt, lightest, luma, frame.time_s))

    def extend(self, later: Self) -> None:
        """Joins what was gathered of the piece after this one."""
        self._rows += later._rows

    def result(self) -> Exposure:
        return Exposure(*np.array(self._rows, dtype=np.float64).reshape(-1, 4).T)


def exposure(seen: Exposure, source: Exposure | None) -> Finding:
    """The lowest of the calibrated burnt-out share, the lightest twentieth's level and, against a source, its light.

    raw: `burnt_share`, `lightest_levels` (0..255), and `stops_off` where there is a source to compare with.
    """
    name = "exposure"
    if len(seen.luma) == 0:
        return Finding(unmeasured(name, "The clip has no frame to look at."))
    burnt, lightest = float(np.median(seen.burnt)), float(np.median(seen.lightest))
    # What each is worth, and the frames to blame for it.
    parts: dict[str, tuple[float, Flags | None]] = {
        f"{100 * burnt:.0f} % of the picture is burnt out": (calibrate(burnt, _BURNT), seen.burnt > 0.3),
        f"the lightest parts reach {lightest:.0f} of 255": (
            calibrate(lightest, _LIGHTEST),
            seen.lightest < _DARK_LEVEL,
        ),
    }
    raw = {"burnt_share": burnt, "lightest_levels": lightest}
    stops = _stops(seen, source) if source is not None else None
    if stops is not None:
        raw["stops_off"] = stops
        word = "lighter" if stops > 0 else "darker"
        parts[f"it is {abs(stops):.1f} stops {word} than its source"] = calibrate(abs(stops), _STOPS), None
    said = min(parts, key=lambda key: parts[key][0])
    score, wrong = parts[said]
    blamed = places(wrong) if score < 0.7 and wrong is not None else ()
    reason = "The picture is well exposed." if score >= 0.7 else f"The exposure is off: {said}."
    badness = seen.burnt + (255 - seen.lightest) / 255
    found = measured(name, score, reason, raw, worst_of(blamed, badness))
    return Finding(found, blamed, {"burnt_share": seen.burnt, "lightest_levels": seen.lightest})


def _stops(seen: Exposure, source: Exposure) -> float | None:
    """Doublings of mean light against the source in the first two seconds; None where the source has none."""
    here = seen.luma[seen.time_s <= COMPARED_S]
    there = source.luma[source.time_s <= COMPARED_S]
    if len(here) == 0 or len(there) == 0 or float(np.median(there)) < 4.0:
        return None
    return float(np.log2((np.median(here) + 1.0) / (np.median(there) + 1.0)))
