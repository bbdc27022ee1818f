"""background_stability: does the background stay rigid and still, the smooth camera motion apart?"""

import numpy as np

from caf.ports import Measurement
from caf.qc.metrics.scoring import calibrate, measured, unmeasured
from caf.qc.metrics.temporal import LEAST_FRAMES, shake_permille
from caf.qc.metrics.tracks import CameraPath

__all__ = ["background_stability"]

# Per mille of the diagonal; 1 is 0.73 px at 640x360. Clean AI clips: tremble 0.05-0.25, warp 0.25-0.6.
_TREMBLE = ((0.5, 1.0), (1.0, 0.85), (2.0, 0.6), (5.0, 0.2), (12.0, 0.0))
_WARP = ((0.8, 1.0), (1.2, 0.85), (2.0, 0.5), (4.0, 0.15), (8.0, 0.0))
_LEAST_CELLS = 4
_CALM_PX = 1.2
"""Cells that at times move by more than this (of a 320 px wide picture) belong to the subject."""


def background_stability(path: CameraPath) -> Measurement:
    """The lower of two calibrations: trembling of the whole picture, and swaying of single background cells.

    Background cells are those of a 9x16 grid where followed corners move little in nearly every block of 12
    frames. raw: `tremble_permille`, `warp_permille` (of the diagonal, RMS), `background_cells`.
    """
    name = "background_stability"
    if len(path.known) < LEAST_FRAMES:
        return unmeasured(name, f"{len(path.known)} frames are too few to tell trembling from motion.")
    tremble, worst = shake_permille(path)
    cells = _calm_cells(path)
    if tremble is None:
        return unmeasured(name, "The picture has too little texture to follow the background.")
    raw = {"tremble_permille": tremble, "background_cells": len(cells)}
    score = calibrate(tremble, _TREMBLE)
    warped = False
    if len(cells) >= _LEAST_CELLS:
        warp = float(np.percentile(cells, 90)) * 1000 / path.diagonal_px
        raw["warp_permille"] = warp
        warped = calibrate(warp, _WARP) < score
        score = min(score, calibrate(warp, _WARP))
    if score >= 0.8:
        reason = "The background is steady."
    elif warped:
        reason = (
            f"Parts of the background sway by {raw['warp_permille']:.1f} per mille of the picture's diagonal."
        )
    else:
        reason = f"The whole background trembles by {tremble:.1f} per mille of the picture's diagonal."
    if len(cells) < _LEAST_CELLS:
        reason += " The subject covers nearly all of it, so local warping was not measured."
    return measured(name, score, reason, raw, () if score >= 0.8 or warped else worst)


def _calm_cells(path: CameraPath) -> list[float]:
    """Typical sway, in pixels of the small frame, of each cell that looks like background."""
    if not path.blocks:
        return []
    cell = np.concatenate([block.cell for block in path.blocks])
    sway = np.concatenate([block.sway for block in path.blocks])
    calm = []
    for index in np.unique(cell):
        values = sway[cell == index]
        if len(values) < max(2, len(path.blocks) // 3):
            continue
        if np.percentile(values, 80) <= _CALM_PX:
            calm.append(float(np.median(values)))
    return calm
