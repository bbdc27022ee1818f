"""How far parts of a picture are displaced against the source's same moments: a background that was bent on the way.

A place of the picture is held against itself, so what stirs in both (a sleeve, leaves, a camera that is carried) is no
fault, and what was done to it since is all there is left. That only holds at the same moment. Whether it is the same
shows in what moves: a picture that comes late displaces everything along its own motion.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.frames import Gray, Image
from caf.qc.metrics.moments import Moment
from caf.qc.metrics.samples import Sample
from caf.qc.metrics.swing import without_camera

__all__ = ["Bend", "bend_of"]

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]

_CORNERS, _QUALITY, _APART_PX = 600, 0.002, 6
_WINDOW_PX, _LEVELS = 15, 2
_LEAST_DETAIL = 6e-3
"""OpenCV's measure of a corner's weakest direction: weaker ones wander by a pixel from one coding to the next."""
_BACK_PX, _UNLIKE_LEVELS = 0.3, 12.0
"""A corner that does not lead back, or looks so different there, is not the same any more."""
_ANOTHER_PX = 1.5
"""Further off at a corner of the picture it is another camera's, as after steadying."""
_ROUGHLY = 4.0
"""So many times as far and as unlike, while it is not known yet how the other camera sees it."""
_UNLIKE_COLOUR = 6.0
"""Levels of Cr or Cb beyond what most corners differ by: where something else was put, or another colour."""
_SAME_LIGHT = 0.02
_GRID = (16, 9)
_MOVES_PX = 1.0
"""Within the tenth of a second before; half a pixel a frame at 640 px."""
_STANDS_PX = 0.25
_LATE, _SURELY = 0.25, 0.05
"""Of that tenth of a second. Untouched clips, at the same moment: 0.00 to 0.02; a frame late at 30 a second 0.3."""
_ALONG = 0.6
"""Cosine: what comes late is displaced along its own motion or against it, 0.77 to 1; what is bent, any way."""
_TELLING = 30
"""Corners that move, and can tell by their motion that it is the same moment."""
_FEW, _LEAST_POINTS, _LEAST_MOMENTS, _LEAST_CELLS = 8, 16, 4, 20
_FOLLOWED, _OFTEN = 0.35, 0.4
_AS_WELL = 0.75
"""At the same moment what moves is found again as well as what stands: 0.9 to 1 of it; at another 0.1 to 0.63."""
_FAR = 90
"""The percentile of the cells that counts: a bend of a tenth of what can be compared shows."""


class Bend(NamedTuple):
    """What the moments say together."""

    permille: float
    """RMS displacement from a cell's usual one, its farthest moment left out, of the picture's diagonal: the 90th
    percentile of the cells."""
    moments: int
    cells: int


class _Followed(NamedTuple):
    """Corners of one picture in another, the camera's own motion taken away."""

    step: Floats
    """(N, 2) px; NaN where `good` is False."""
    good: Marks


def bend_of(samples: Sequence[Sample], moments: Mapping[int, Moment]) -> Bend | None:
    """None where fewer than four moments can be compared, or in fewer than twenty cells of 144.

    Compared is what stands in the source, beside its camera; where enough moves to be sure of the moment, also what
    moves by less than half a pixel a frame.
    """
    found = [_displaced(one.image, moments[one.index]) for one in samples if one.index in moments]
    rows = np.array([cells for cells in found if cells is not None])
    if len(rows) < _LEAST_MOMENTS:
        return None
    often = np.isfinite(rows[..., 0]).sum(axis=0) >= max(3.0, _OFTEN * len(rows))
    if int(often.sum()) < _LEAST_CELLS:
        return None
    moved = rows[:, often] - np.nanmedian(rows[:, often], axis=0)
    cells = _without_farthest((moved**2).sum(axis=2))
    height, width = samples[0].image.shape[:2]
    return Bend(
        float(np.percentile(cells, _FAR)) * 1000 / float(np.hypot(width, height)), len(rows), len(cells)
    )


def _without_farthest(power: Floats) -> Floats:
    """(N,) root mean square over (moments, N), NaN where nothing is known, without the largest of each.

    A bend shows in every moment; what shows in one is a moment that was not the same.
    """
    known = np.isfinite(power).sum(axis=0)
    rest = np.nansum(power, axis=0) - np.nanmax(power, axis=0)
    return np.asarray(np.sqrt(np.maximum(rest, 0.0) / (known - 1)), dtype=np.float64)


def _displaced(image: Image, moment: Moment) -> Floats | None:
    """(144, 2) px: the middle displacement of each cell, NaN where nothing can be compared; None of another moment."""
    if moment.earlier is None:
        return None
    before, earlier = _grey(moment.picture), _grey(moment.earlier)
    corners = cv2.goodFeaturesToTrack(before, _CORNERS, _QUALITY, _APART_PX)
    if corners is None or len(corners) < _LEAST_POINTS:
        return None
    frame = (before.shape[1], before.shape[0])
    seen = _grey(image)
    flow = _flow(before, seen, corners)
    other = _other_camera(corners, flow, frame)
    if other is not None:
        # Seen as the source's camera would show it.
        image = np.asarray(cv2.warpAffine(image, other, frame, flags=cv2.INTER_CUBIC), dtype=np.uint8)
        flow = _flow(before, _grey(image), corners)
    elif (lit := _lit_as(before, seen)) is not seen:
        flow = _flow(before, lit, corners)
    own, here = _own(corners, _flow(before, earlier, corners)), _own(corners, flow)
    size = np.hypot(own.step[:, 0], own.step[:, 1])
    moves, stands = own.good & (size > _MOVES_PX), own.good & (size <= _MOVES_PX)
    if int(stands.sum()) < _LEAST_POINTS or float(here.good[stands].mean()) < _FOLLOWED:
        return None
    if int(moves.sum()) > _FEW and float(here.good[moves].mean()) < _AS_WELL * float(
        here.good[stands].mean()
    ):
        return None
    late = _lateness(own.step[moves & here.good], here.step[moves & here.good])
    if abs(late) > _LATE:
        return None
    surely = abs(late) < _SURELY and int((moves & here.good).sum()) >= _TELLING
    same = here.good & (stands if surely else stands & (size < _STANDS_PX))
    if int(same.sum()) < _LEAST_POINTS:
        return None
    same &= _same_colour(image, moment.picture, corners, same)
    return _by_cell(corners[:, 0], here.step, same, frame)


def _lit_as(before: Gray, seen: Gray) -> Gray:
    """The picture with the light and contrast of the one before it, itself where it has them: what is brighter is not
    displaced."""
    mean, spread, wanted, usual = *_light(seen), *_light(before)
    if spread < 1.0 or max(abs(usual / spread - 1.0), abs(wanted - mean) / 128.0) < _SAME_LIGHT:
        return seen
    gain = usual / spread
    return np.asarray(cv2.convertScaleAbs(seen, alpha=gain, beta=wanted - gain * mean), dtype=np.uint8)


def _light(picture: Gray) -> tuple[float, float]:
    mean, spread = cv2.meanStdDev(picture)
    return float(mean[0, 0]), float(spread[0, 0])


def _grey(image: Image) -> Gray:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def _other_camera(corners: NDArray[np.float32], flow: "_Flow", size: tuple[int, int]) -> Floats | None:
    """(2, 3) from the clip's picture to the source's; None where the clip was not made another camera's."""
    # A picture that is zoomed or turned looks less like the other wherever it is.
    good = flow.good(_ROUGHLY)
    if int(good.sum()) < _LEAST_POINTS:
        return None
    there = flow.there[good]
    matrix, _ = cv2.estimateAffinePartial2D(there, corners[good], ransacReprojThreshold=_ANOTHER_PX)
    width, height = size
    rim = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]], np.float64)
    if matrix is None or float(np.abs(rim @ matrix.T - rim[:, :2]).max()) < _ANOTHER_PX:
        return None
    return np.asarray(matrix, dtype=np.float64)


class _Flow(NamedTuple):
    """Where corners of one picture are in another, (N, 1, 2), and what tells whether they are there at all."""

    there: NDArray[np.float32]
    found: Marks
    fault: NDArray[np.float32]
    """(N,) levels that they look different by."""
    astray: NDArray[np.float32]
    """(N,) px from where they came, after following them back."""

    def good(self, roughly: float = 1.0) -> Marks:
        """(N,) which of them are there."""
        near = (self.fault < roughly * _UNLIKE_LEVELS) & (self.astray < roughly * _BACK_PX)
        return np.asarray(self.found & near)


def _flow(one: Gray, other: Gray, corners: NDArray[np.float32]) -> _Flow:
    there, ok, fault = _led(one, other, corners)
    back, ok_back, _ = _led(other, one, there)
    astray = np.abs(back - corners).max(axis=(1, 2))
    return _Flow(there, (ok[:, 0] > 0) & (ok_back[:, 0] > 0), fault[:, 0], astray)


def _led(
    one: Gray, other: Gray, corners: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
    return cv2.calcOpticalFlowPyrLK(
        one,
        other,
        corners,
        None,
        winSize=(_WINDOW_PX, _WINDOW_PX),
        maxLevel=_LEVELS,
        criteria=(3, 30, 0.01),
        minEigThreshold=_LEAST_DETAIL,
    )


def _own(corners: NDArray[np.float32], flow: _Flow) -> _Followed:
    good = flow.good()
    step = (flow.there - corners)[:, 0].astype(np.float64)
    step[~good] = np.nan
    return _Followed(without_camera(corners[:, 0].astype(np.float64), step[None])[0], good)


def _lateness(own: Floats, here: Floats) -> float:
    """By which share of the motion before it what moves is displaced; 0 where too little moves to tell."""
    if len(own) <= _FEW:
        return 0.0
    both = (own * here).sum(axis=1)
    along = both / np.maximum(np.sqrt((own**2).sum(axis=1) * (here**2).sum(axis=1)), 1e-9)
    return float(np.median(both / (own**2).sum(axis=1))) if abs(float(np.median(along))) > _ALONG else 0.0


def _same_colour(image: Image, before: Image, corners: NDArray[np.float32], chosen: Marks) -> Marks:
    """(N,) where the clip has the source's colours all around, but for what most of the `chosen` corners differ by."""
    x, y = np.rint(corners[:, 0]).astype(np.int64).T
    one, other = (
        cv2.blur(cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb)[..., 1:].astype(np.float32), (5, 5))
        for picture in (image, before)
    )
    apart = one - other
    apart -= np.median(apart[y[chosen], x[chosen]], axis=0)
    around = cv2.dilate(np.abs(apart).max(axis=2), np.ones((_WINDOW_PX, _WINDOW_PX), np.uint8))
    return np.asarray(around[y, x] < _UNLIKE_COLOUR)


def _by_cell(place: NDArray[np.float32], step: Floats, chosen: Marks, size: tuple[int, int]) -> Floats:
    columns, rows = _GRID
    x = (place[:, 0] * columns / size[0]).astype(np.int64)
    y = (place[:, 1] * rows / size[1]).astype(np.int64)
    cell = y * columns + x
    out = np.full((rows * columns, 2), np.nan)
    for one in np.unique(cell[chosen]):
        out[one] = np.median(step[chosen & (cell == one)], axis=0)
    return out
