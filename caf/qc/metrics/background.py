"""background_stability: does the background stay rigid and still, the smooth camera motion apart?"""

from collections import defaultdict

import numpy as np

from caf.ports import Measurement
from caf.qc.metrics.bend import Bend
from caf.qc.metrics.findings import LEAST_FRAMES, Flags
from caf.qc.metrics.scoring import calibrate, measured, unmeasured
from caf.qc.metrics.shake import shake_permille
from caf.qc.metrics.still import BackgroundMap
from caf.qc.metrics.swing import Swing
from caf.qc.metrics.tracks import CameraPath

__all__ = ["background_stability"]

# Per mille of the diagonal; 1 is 0.73 px at 640x360. More lenient than `jitter`, as a hand is the camera's fault: of 68
# untouched segments 11 failed for trembling by 1.3 to 3.7.
_TREMBLE = ((0.6, 1.0), (1.2, 0.95), (2.0, 0.87), (2.6, 0.8), (5.0, 0.35), (12.0, 0.0))
# Untouched four-second segments of two dance clips: 0.27-0.58; breathing by 3 px at 640 px: 0.62-1.2, by 8 px: 0.7-5.
_WARP = ((0.45, 1.0), (0.6, 0.87), (0.75, 0.78), (1.0, 0.6), (2.0, 0.35), (5.0, 0.0))
# Untouched three-second segments and scenes: 0.14-0.99, of a clip with a cat put in 0.58-1.05; breathing by 1.3 px at
# 640 px: 0.67-1.2, by 3 px: 1.13-2.9. Sleeves, shadows and chairs that stir in real clips: 1.09-1.16.
_SWING = ((0.0, 1.0), (0.4, 0.95), (0.8, 0.88), (1.2, 0.8), (1.5, 0.6), (2.2, 0.35), (5.0, 0.0))
# The same where neighbours are compared, three-second segments of real clips: 32 untouched ones 0.03-1.28, nine
# tenths of them up to 0.78; breathing by 1.5 px at 640 px 0.24-1.27, by 3 px 0.29-1.93.
_TOGETHER = (
    (0.0, 1.0),
    (0.2, 0.97),
    (0.4, 0.93),
    (0.7, 0.87),
    (1.1, 0.8),
    (1.4, 0.6),
    (2.2, 0.35),
    (5.0, 0.0),
)
# Against the source. The same moments coded again, brighter or smaller: 0.02 to 0.16, other frames of them up to 0.33.
# Breathing, noise and waves by 0.6 to 1.5 px at 640 px: 0.42 to 2.7, by 1.4 to 3 px: 0.48 to 5.
_BEND = ((0.15, 1.0), (0.25, 0.93), (0.36, 0.8), (0.55, 0.65), (1.0, 0.4), (2.1, 0.2), (5.0, 0.0))
_STEADY = 0.8
_HALF_KNOWN = 0.95
"""The most where local warping was not measured: of a picture half known it is not said that nothing is wrong."""
_LEAST_CELLS = 10
"""Of fewer the worst tenth is a single one."""
_LEAST_SWINGING = 12
"""Where fewer show background throughout, as behind dancers for half a minute, corners beside these decide."""
_GRID_PX = 20
"""Side of a cell, pixels of the small frame."""
_SUBJECT_PX = 4.0
"""Sway that no background shows and remains recognisable; pixels of the small frame."""


def background_stability(
    path: CameraPath,
    background: BackgroundMap,
    swing: Swing | None = None,
    apart: Flags | None = None,
    bend: Bend | None = None,
) -> Measurement:
    """The lower of two calibrations: trembling of the whole picture, and swinging of single background cells.

    Where the source shows the same moments, cells are held against it (`bend`), and what swings there as well is none.
    Background is what `still` recognises throughout the clip. Its cells swing as `swing` measures it, and where only
    figures do it is not told whether they warp; where it could not be measured, corners are followed over blocks of
    12 frames, and what is left of their motion without the camera's and without its straight line is their sway.
    Frames `apart` show nothing to follow. Where
    no camera could be followed a swing that shows is the score, and a steady background is unmeasured.
    raw: `tremble_permille`, `swing_permille` (of the diagonal, RMS), `warp_permille` (sway of the worst tenth of the
    cells), `background_cells`, `bend_permille` against the source's same `moments`.
    """
    name = "background_stability"
    if len(path.known) < LEAST_FRAMES:
        return unmeasured(name, f"Too few frames to tell trembling from motion: {len(path.known)}.")
    tremble, worst = shake_permille(path, apart)
    cells = _sway_by_cell(path, background)
    swung = swing.permille if swing is not None and len(cells) >= _LEAST_SWINGING else None
    swings = _TOGETHER if swing is not None and swing.together else _SWING
    figures = swing is not None and swing.permille is None
    # Where all of it warps no points agree on a camera, and yet the places swing that are recognised throughout.
    if tremble is None and bend is None and (swung is None or calibrate(swung, swings) >= _STEADY):
        return unmeasured(name, "The picture has too little texture to follow the background.")
    raw = {"background_cells": float(len(cells))}
    whole = 1.0
    if tremble is not None:
        raw["tremble_permille"] = tremble
        whole = calibrate(tremble, _TREMBLE)
    local, said = _HALF_KNOWN, ""
    if len(cells) >= _LEAST_CELLS and not figures:
        raw["warp_permille"] = float(np.percentile(cells, 90)) * 1000 / path.diagonal_px
        local, said = calibrate(raw["warp_permille"], _WARP), f"sway by {raw['warp_permille']:.1f}"
    if swung is not None:
        raw["swing_permille"] = swung
        local, said = calibrate(swung, swings), f"swing by {swung:.1f}"
    if bend is not None:
        raw |= {"bend_permille": bend.permille, "moments": float(bend.moments)}
        local, said = calibrate(bend.permille, _BEND), f"are bent by {bend.permille:.1f}"
    score = min(whole, local)
    warped = bool(said) and local < whole
    if score >= _STEADY:
        reason = "The background is steady."
    elif warped:
        reason = f"Parts of the background {said} per mille of the picture's diagonal"
        reason += "." if bend is None else " against the source."
    else:
        reason = f"The whole background trembles by {tremble:.1f} per mille of the picture's diagonal."
    if not said:
        reason += " Too little of it is in view throughout, so local warping was not measured."
    return measured(name, score, reason, raw, () if score >= _STEADY or warped else worst)


def _sway_by_cell(path: CameraPath, background: BackgroundMap) -> list[float]:
    """Typical sway of each background cell that was followed in at least a third of the blocks."""
    by_cell: dict[tuple[int, int], list[float]] = defaultdict(list)
    for block in path.blocks:
        chosen = background.holds(block.place, block.start) & (block.sway < _SUBJECT_PX)
        for (x, y), sway in zip(block.place[chosen], block.sway[chosen], strict=True):
            by_cell[int(y) // _GRID_PX, int(x) // _GRID_PX].append(float(sway))
    least = max(2, len(path.blocks) // 3)
    return [float(np.median(sways)) for sways in by_cell.values() if len(sways) >= least]
