"""Which of the motions in a frame is the camera's: judged over the whole clip, with a confidence per frame.

A subject's picture moves by the camera and by itself, so over time the parts that tremble least are the
background; and the background reaches the frame's rim. Where neither tells, the confidence is low.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.engines.camera import Step, shared
from caf.engines.features import CELLS, GRID
from caf.engines.similarity import agreed_similarity, agreement, refit, strays
from caf.engines.smooth import high_pass_rms, shots, smooth

__all__ = ["SURE", "Motion", "camera_motion", "cell_tremor", "corners_dissent", "rival_motions"]

SURE: Final = 0.6
"""A step of less confidence may be a subject's."""
_QUIET_SHARE = 0.2  # the tremor that the quietest fifth of the cells stays below is the camera's own
_MIN_CELLS = 6  # below, it may be a watermark, which never trembles
_CLEARLY = 0.9
_AROUND = 7
_MOST, _PARTLY = 0.6, 0.4
_SECOND_THOUGHTS = 2
_REFIT_PX = 1.5
_MIN_POINTS = 12
_MOST_AGREE = 0.7
_FEW_AGREE = 0.3
_SPREAD = 0.2
_AGREEMENT = 0.5
_ACROSS = 0.5
"""Of width and height: one dancer before a plain wall, who is all that can be followed, fills less."""
_CORNERS = 3
_DISSENT_PX, _ALIKE, _MOSTLY = 1.0, 0.5, 0.5
"""Corners go another way if they are so far off, by the same to within half of it, in most frames: in nine of ten
beside a stiff body, in two of a hundred before a wide lens that is turned."""


class Motion(NamedTuple):
    """The camera over a clip: (T, 4) as in `Candidate`, (T,) confidence 0..1, (T, CELLS) where it was seen."""

    steps: NDArray[np.float64]
    confidence: NDArray[np.float64]
    background: NDArray[np.bool_]


def camera_motion(steps: Sequence[Step], sigma: float) -> Motion:
    """The background's motion in every frame; confidence 0 where there is nothing to hold on to, and at cuts.

    `sigma`: frames; movement slower than this is not tremor.
    """
    cuts = [i for i, step in enumerate(steps) if step.cut]
    best: _Choice | None = None
    for choice in _choices(steps, cuts, sigma):
        if best is None or (choice.cells >= _MIN_CELLS and choice.tremor < _CLEARLY * best.tremor):
            best = choice
    assert best is not None
    return _thought_over(steps, best, cuts)


def rival_motions(steps: Sequence[Step], sigma: float) -> list[Motion]:
    """What `camera_motion` chooses from: the camera by what is most, by what is calmest, by what is in the corners."""
    cuts = [i for i, step in enumerate(steps) if step.cut]
    return [_thought_over(steps, choice, cuts) for choice in _choices(steps, cuts, sigma)]


def _thought_over(steps: Sequence[Step], best: "_Choice", cuts: Sequence[int]) -> Motion:
    """The motion of what a choice says is background, after what it is in the frames around."""
    for _ in range(_SECOND_THOUGHTS):
        best = _chosen_again(steps, best, _usual_share(best.held, cuts))
    motion, confidence = best.motion, np.zeros(len(steps))
    share = _usual_share(best.held, cuts)
    nearby, partly = share >= _MOST, share >= _PARTLY
    for index, step in enumerate(steps):
        # Where a subject happens to move like the camera the two blend; where it mostly is, is left out.
        usable = partly[index][step.cells]
        points = step.points[usable].astype(np.float64)
        worth = None if step.worth is None else step.worth[usable]
        motion[index], agrees = _fitted(motion[index], points, worth)
        if agrees.any() and agrees.mean() >= _FEW_AGREE:
            # By what the fitted motion holds for: the candidate it began with may have been the subject's.
            both = shared(step.cells[usable], step.cells[usable][agrees])
            confidence[index] = _confidence(both, np.unique(step.cells), best.weight) if len(both) else 0.0
    return Motion(motion, confidence, nearby)


def corners_dissent(steps: Sequence[Step], camera: Motion) -> bool:
    """Whether three of the frame's four corners mostly go another way, and the same, than the camera is said to.

    A stiff body that leaves no more than them free looks like a background: it reaches across, and trembles as one.
    Before a wide lens that is turned, too, corners go other ways, but each its own.
    """
    last = CELLS - 1
    corners = (0, GRID[0] - 1, last - GRID[0] + 1, last)
    told = [_apart(step, motion, corners) for step, motion in zip(steps, camera.steps, strict=True)]
    known = [apart for apart in told if len(apart) >= _CORNERS]
    return 2 * len(known) > len(steps) and float(np.mean([_together(apart) for apart in known])) > _MOSTLY


def _apart(step: Step, motion: NDArray[np.float64], cells: Sequence[int]) -> NDArray[np.complex128]:
    """(n,) x + i y px: how far the features of those cells that have any are from where the motion takes them."""
    points = step.points.astype(np.float64)
    off = strays(motion, points[:, :2], points[:, 2:])
    inside = [off[step.cells == cell] for cell in cells]
    return np.array([complex(np.median(z.real), np.median(z.imag)) for z in inside if len(z)], np.complex128)


def _together(apart: NDArray[np.complex128]) -> bool:
    usual = complex(np.median(apart.real), np.median(apart.imag))
    alike = np.abs(apart - usual) < _ALIKE * abs(usual)
    return bool(abs(usual) > _DISSENT_PX and alike.sum() >= _CORNERS)


def _fitted(
    motion: NDArray[np.float64], points: NDArray[np.float64], worth: NDArray[np.float32] | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The motion fitted to what is usually background, (n, 4), and which of its points agree; too few: none do."""
    if len(points) < _MIN_POINTS:
        return motion, np.zeros(len(points), np.bool_)
    old, new = np.ascontiguousarray(points[:, :2]), np.ascontiguousarray(points[:, 2:])
    fitted = refit(motion, old, new, _REFIT_PX, worth)
    agrees = agreement(fitted, old, new, _REFIT_PX)
    if agrees.mean() >= _MOST_AGREE:
        return fitted, agrees
    again, held = agreed_similarity(old, new, 1.0, worth)
    return (again, held) if held.mean() > agrees.mean() else (fitted, agrees)


def _usual_share(held: Sequence[NDArray[np.intp]], cuts: Sequence[int]) -> NDArray[np.float64]:
    """(T, CELLS) in how much of the frames around a cell belonged to the background, 0..1."""
    belongs, known = np.zeros((len(held), CELLS)), np.zeros((len(held), 1))
    for index, cells in enumerate(held):
        belongs[index, cells] = 1.0
        known[index] = len(cells) > 0
    out = np.zeros((len(held), CELLS))
    for shot in shots(len(held), cuts):
        for index in range(shot.start, shot.stop):
            near = slice(max(shot.start, index - _AROUND), min(shot.stop, index + _AROUND + 1))
            out[index] = belongs[near].sum(axis=0) / max(1.0, float(known[near].sum()))
    return out


def _chosen_again(steps: Sequence[Step], choice: "_Choice", share: NDArray[np.float64]) -> "_Choice":
    """The choice made again by where the background is in the frames around: a single frame can deceive."""
    motion, held = choice.motion.copy(), list(choice.held)
    for index, step in enumerate(steps):
        if step.candidates:
            scores = [float((share[index, c.cells] - 0.5).sum()) for c in step.candidates]
            chosen = step.candidates[int(np.argmax(scores))]
            motion[index], held[index] = chosen.motion, chosen.cells
    return choice._replace(motion=motion, held=held)


class _Choice(NamedTuple):
    """One way to tell the background by: a weight per cell, and what follows from it."""

    weight: NDArray[np.float64]
    motion: NDArray[np.float64]
    held: list[NDArray[np.intp]]
    cells: float
    tremor: float


def _choose(steps: Sequence[Step], weight: NDArray[np.float64], cuts: Sequence[int], sigma: float) -> _Choice:
    motion = np.zeros((len(steps), 4))
    held: list[NDArray[np.intp]] = []
    for index, step in enumerate(steps):
        scores = [float(weight[c.cells].sum()) for c in step.candidates]
        if not scores:
            held.append(np.empty(0, np.intp))
            continue
        chosen = step.candidates[int(np.argmax(scores))]
        motion[index] = chosen.motion
        held.append(chosen.cells)
    counts = [len(h) for h in held if len(h)]
    tremor = high_pass_rms(motion[:, :2], sigma, cuts=cuts)
    return _Choice(weight, motion, held, float(np.median(counts)) if counts else 0.0, tremor)


def _choices(steps: Sequence[Step], cuts: Sequence[int], sigma: float) -> list[_Choice]:
    return [_choose(steps, weight, cuts, sigma) for weight in _weights(steps, cuts, sigma)]


def _weights(steps: Sequence[Step], cuts: Sequence[int], sigma: float) -> list[NDArray[np.float64]]:
    """Three ways to look for the background: what is most, what is calmest, what is in the corners."""
    corner = np.full((GRID[1], GRID[0]), 0.05)
    corner[np.ix_([0, 1, -2, -1], [0, 1, -2, -1])] = 0.5
    corner[np.ix_([0, -1], [0, -1])] = 1.0
    tremor = cell_tremor(np.array([step.flow for step in steps]), cuts, sigma)
    known = tremor[~np.isnan(tremor)]
    quiet = max(float(np.quantile(known, _QUIET_SHARE)), 0.02) if len(known) else 1.0
    calm = np.minimum(1.0, quiet / np.maximum(np.nan_to_num(tremor, nan=quiet), 1e-9)) ** 4
    return [np.ones(CELLS), calm, corner.ravel()]


def _confidence(held: NDArray[np.intp], seen: NDArray[np.intp], weight: NDArray[np.float64]) -> float:
    """High when the motion holds over much of the frame, across it, in its corners, and for most of what was seen."""
    rows, columns = np.divmod(held, GRID[0])
    corners = {
        (bool(r >= GRID[1] / 2), bool(c >= GRID[0] / 2))
        for r, c in zip(rows, columns, strict=True)
        if (r < 2 or r >= GRID[1] - 2) and (c < 2 or c >= GRID[0] - 2)
    }
    spread = len(held) / CELLS / _SPREAD
    agreement = float(weight[held].sum() / max(weight[seen].sum(), 1e-9)) / _AGREEMENT
    across = min(_reach(rows) / GRID[1], _reach(columns) / GRID[0]) / _ACROSS
    parts = (spread, agreement, max(1, len(corners)) / _CORNERS, across)
    return float(np.prod([min(1.0, part) for part in parts]))


def _reach(lines: NDArray[np.intp]) -> float:
    """Over how many rows or columns most of the cells in these extend: a stray one does not count."""
    ordered = np.sort(lines)
    few = len(ordered) // 10
    return float(ordered[len(ordered) - 1 - few] - ordered[few] + 1)


def cell_tremor(flow: NDArray[np.float64], cuts: Sequence[int], sigma: float) -> NDArray[np.float64]:
    """(CELLS,) px RMS of what is fast in each cell's motion (T, CELLS, 2); NaN where it is seldom known."""
    length = len(flow)
    out = np.full(flow.shape[1], np.nan)
    expected = max(1, length - len(shots(length, cuts)))
    # Cells that are known in the same frames are smoothed together, most of them mostly.
    patterns, which = np.unique(~np.isnan(flow[:, :, 0]), axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        known, cells = np.flatnonzero(pattern), np.flatnonzero(which == number)
        if len(known) < max(3, expected // 2):
            continue
        series = flow[np.ix_(known, cells)].reshape(len(known), -1)
        at = [int(np.searchsorted(known, c)) for c in cuts]
        rest = (series - smooth(series, sigma, cuts=at, robust=False)).reshape(len(known), len(cells), 2)
        out[cells] = np.sqrt(np.mean(np.sum(rest**2, axis=2), axis=0))
    return out
