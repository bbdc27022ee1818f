"""How far the background's own places swing about their rest, as when a wall breathes.

Every kept frame, seen from the first frame's camera, is compared with the median of them all: corners of the
background are found in the median picture and looked for in each. What a shift, turn and zoom of the whole explains is
the camera's; what goes along with the camera's path or bends slowly over the clip is parallax. A wall that breathes
takes neighbours along with it: what corners do each on its own, as coding and a passing sleeve make them, is no swing.
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.pose.moments import Poses
from caf.qc.metrics.cells import middles
from caf.qc.metrics.still import BackgroundMap, StillCollector
from caf.qc.metrics.tracks import CameraPath, smoothing_residual

__all__ = ["Swing", "swing_and_background", "without_camera"]

Floats = NDArray[np.float64]

_LEAST_FRAMES, _LEAST_POINTS, _LEAST_CELLS = 12, 8, 4
_SHADING_PX = 8.0
"""Brightness that changes over more than this is shading: a shadow that passes moves what looks like corners of a plain
wall. Pixels of the tiny frame."""
_CELL_PX, _WINDOW_PX = 16, 11
_CORNER = 0.05
"""Share of the strongest direction's contrast that a corner has in its weakest one; on door frames 0.001 to 0.02."""
_FARTHEST_PX, _UNLIKE_LEVELS = 3.0, 12.0
"""A corner that seems further away, or looks so different there, is covered by the subject."""
_COVERED = 0.3
_FADED = 1.25
"""A picture that differs in light from most by more than this factor is in a fade; nothing is to be found there."""
_NOISE_PX = 0.1
_USUAL_SHARE = 0.9
_SUSPICIOUS_PERMILLE, _SUSPICIOUS_TOGETHER = 1.0, 0.4
"""From here on figures are looked for: somebody who stands and nods swings as a wall does that breathes. By corners
alone, and where neighbours are compared."""
_BESIDE_PX, _AROUND_PX = 6.0, 28.0
"""Neighbours: the nearest corners whose windows have little in common, as far as what bends as one; tiny frame."""
_NEIGHBOURS, _LEAST_NEIGHBOURS, _LEAST_MOMENTS, _LEAST_TOGETHER = 3, 2, 10, 16
_FAR = 90
"""The percentile of the corners that counts: one place that breathes is a tenth of what can be told."""
_ASTRAY_PX = 1
"""As far as breathing by 4 px at 640 px takes a place; pixels of the tiny frame. Two changed no verdict."""


class Swing(NamedTuple):
    """How far the background swings."""

    permille: float | None
    """Per mille of the diagonal: RMS of the cells, their 90th percentile; where corners have neighbours, the geometric
    mean of that and of what these have in common. None: only figures swing."""
    together: bool = False
    """Whether neighbours were compared."""


def swing_and_background(
    path: CameraPath, still: StillCollector, pose: Poses | None = None
) -> tuple[Swing | None, BackgroundMap]:
    """Swing of the background, and what that is.

    What swings far looks like no background, so that a wall that breathes more would leave less to be told. Where too
    little stays in its place the background is therefore what is found close by. Only there: a hand or a cup that
    hardly moves is found close by as well.
    """
    background = still.result(path)
    swing = _swing_of(path, still, background, pose)
    if swing is None:
        wider = still.result(path, _ASTRAY_PX)
        swing = _swing_of(path, still, wider, pose)
        background = background if swing is None else wider
    return swing, background


def _swing_of(
    path: CameraPath, still: StillCollector, background: BackgroundMap, pose: Poses | None = None
) -> Swing | None:
    """Swing of the background's cells.

    Figures with a face or a `pose` are left out where they swing: where too little is in view beside them, as in a
    portrait, nothing is told of the background. None where fewer than eight corners in four cells can be compared in at
    least twelve frames.
    """
    indices, pictures = _lit(*still.aligned(path))
    if len(indices) < _LEAST_FRAMES:
        return None
    pictures = _unshaded(pictures)
    median = np.clip(middles(pictures), 0, 255).astype(np.uint8)
    height, width = median.shape
    corners = cv2.goodFeaturesToTrack(median, 200, 0.002, 4, mask=background.pixels(height, width))
    if corners is None or len(corners) < _LEAST_POINTS:
        return None
    corners = _no_edges(median, np.asarray(corners, dtype=np.float32))
    if len(corners) < _LEAST_POINTS:
        return None
    moved = _moved(median, pictures, corners)
    seen = np.isfinite(moved[..., 0]).mean(axis=0) >= 1 - _COVERED
    if int(seen.sum()) < _LEAST_POINTS:
        return None
    place = corners[seen, 0].astype(np.float64)
    moved, slow = moved[:, seen], _slow(path, indices)
    own = _off_course(without_camera(place, moved), slow)
    diagonal = float(np.hypot(width, height))
    agreed, single = _together(place, own), _worst(place, _about_rest(own))
    if single is None:
        return None
    swing = _permille(agreed, single, diagonal)
    if swing.permille is not None and swing.permille < (
        _SUSPICIOUS_TOGETHER if swing.together else _SUSPICIOUS_PERMILLE
    ):
        return swing
    apart = ~still.figures(path, pose)[place[:, 1].astype(np.int64), place[:, 0].astype(np.int64)]
    if apart.all():
        return swing
    if int(apart.sum()) >= _LEAST_POINTS:
        alone = _off_course(without_camera(place[apart], moved[:, apart]), slow)
    else:
        # Too few for a camera of their own, which they do not need: all the corners together tell where it is.
        alone = own[:, apart]
    return _permille(
        _lesser(_together(place[apart], alone), agreed),
        _lesser(_worst(place[apart], _about_rest(alone)), single),
        diagonal,
    )


def _permille(together: float | None, single: float | None, diagonal: float) -> Swing:
    """px to per mille. Neighbours may have a sleeve in common, and cells coding noise; what breathes has both."""
    if single is None:
        return Swing(None)
    if together is None:
        return Swing(single * 1000 / diagonal)
    return Swing(float(np.sqrt(together * single)) * 1000 / diagonal, together=True)


def _lesser(apart: float | None, every: float | None) -> float | None:
    """Of what swings without the figures and with them; None where nothing is told without them."""
    return apart if apart is None or every is None else min(apart, every)


def _together(place: Floats, own: Floats) -> float | None:
    """px RMS of what corners have in common with their neighbours, `_FAR` of the corners, each without the largest
    tenth of its moments. None where fewer than 16 have two neighbours in ten moments."""
    apart = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1))
    apart[(apart <= _BESIDE_PX) | (apart >= _AROUND_PX)] = np.inf
    nearest = np.argsort(apart, axis=1, kind="stable")[:, :_NEIGHBOURS]
    near = np.zeros_like(apart)
    np.put_along_axis(near, nearest, np.isfinite(np.take_along_axis(apart, nearest, axis=1)), axis=1)
    known = np.isfinite(own[..., 0])
    steps = np.where(known[..., None], own, 0.0)
    count = known @ near.T
    around = np.einsum("ij,tjc->tic", near, steps) / np.maximum(count, 1)[..., None]
    # What each does alone is as often against its neighbours as with them, and sums to nothing.
    common, told = np.sum(steps * around, axis=2), known & (count >= _LEAST_NEIGHBOURS)
    power = [
        float(np.mean(np.sort(common[seen, point])[: int(_USUAL_SHARE * int(seen.sum()))]))
        for point, seen in enumerate(told.T)
        if int(seen.sum()) >= _LEAST_MOMENTS
    ]
    if len(power) < _LEAST_TOGETHER:
        return None
    return float(np.sqrt(max(0.0, float(np.percentile(power, _FAR)))))


def _worst(place: Floats, swings: Floats) -> float | None:
    """The 90th percentile of the cells' swings, px; None where too few cells hold a corner."""
    cells: dict[tuple[int, int], list[float]] = {}
    for (x, y), swing in zip(place, swings, strict=True):
        cells.setdefault((int(y) // _CELL_PX, int(x) // _CELL_PX), []).append(float(swing))
    if len(cells) < _LEAST_CELLS:
        return None
    return float(np.percentile([float(np.median(values)) for values in cells.values()], 90))


def _lit(indices: NDArray[np.int64], pictures: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Those pictures that are in no fade."""
    if len(indices) == 0:
        return indices, pictures
    light = np.median(pictures.reshape(len(pictures), -1), axis=1) + 1.0
    gain = light / float(np.median(light))
    alike = (gain > 1 / _FADED) & (gain < _FADED)
    return indices[alike], pictures[alike]


def _unshaded(pictures: Floats) -> Floats:
    """(K, H, W) their fine differences about a middle grey."""
    fine = [one - cv2.GaussianBlur(one.astype(np.float32), (0, 0), _SHADING_PX) for one in pictures]
    return np.asarray(np.clip(np.stack(fine) + 128.0, 0, 255), dtype=np.float64)


def _no_edges(median: NDArray[np.uint8], corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """Those corners that change in every direction: one on a straight edge slides along it."""
    both = cv2.cornerEigenValsAndVecs(median, _WINDOW_PX, 3)[..., :2]
    x, y = corners[:, 0].astype(np.int64).T
    least, most = both[y, x].min(axis=1), both[y, x].max(axis=1)
    return np.asarray(corners[least > _CORNER * most], dtype=np.float32)


def _moved(median: NDArray[np.uint8], pictures: Floats, corners: NDArray[np.float32]) -> Floats:
    """(K, N, 2) px: where each corner of the median picture is in each picture, from its place; NaN where covered."""
    found = []
    for picture in pictures:
        now = np.clip(picture, 0, 255).astype(np.uint8)
        there, ok, fault = cv2.calcOpticalFlowPyrLK(
            median, now, corners, None, winSize=(_WINDOW_PX, _WINDOW_PX), maxLevel=1, criteria=(3, 20, 0.01)
        )
        step = (there - corners)[:, 0].astype(np.float64)
        lost = (ok[:, 0] == 0) | (fault[:, 0] > _UNLIKE_LEVELS) | (np.abs(step).max(axis=1) > _FARTHEST_PX)
        step[lost] = np.nan
        found.append(step)
    return np.stack(found)


def without_camera(place: Floats, moved: Floats) -> Floats:
    """`moved` less the shift, turn and zoom that most corners of the same picture agree on."""
    x, y = place[:, 0], place[:, 1]
    one, none = np.ones(len(place)), np.zeros(len(place))
    model = np.concatenate([np.stack([x, -y, one, none], 1), np.stack([y, x, none, one], 1)])
    own = np.empty_like(moved)
    for index, steps in enumerate(moved):
        both = np.concatenate([steps[:, 0], steps[:, 1]])
        good = np.isfinite(both)
        weight = np.ones(int(good.sum()))
        solved = np.zeros(4)
        for _ in range(4):
            if len(weight) < 2 * _LEAST_POINTS:
                break
            solved = np.linalg.lstsq(model[good] * weight[:, None], both[good] * weight, rcond=None)[0]
            # Corners that swing shall not draw the camera along.
            weight = 1 / np.sqrt(1 + ((both[good] - model[good] @ solved) / _NOISE_PX) ** 2)
        left = both - model @ solved
        own[index, :, 0], own[index, :, 1] = left[: len(place)], left[len(place) :]
    return own


def _slow(path: CameraPath, indices: NDArray[np.int64]) -> Floats:
    """(K, C) courses that parallax may take: slow bends, and those of a camera that moves."""
    time = np.linspace(-1, 1, len(indices))
    # Only where the camera goes, and smoothly: a wall that breathes makes it seem to turn and zoom in time with it.
    smooth = path.shift[:, :2] - smoothing_residual(path.shift[:, :2])
    camera = smooth[indices]
    courses = np.column_stack([np.ones(len(time)), time, time**2])
    moves = float(camera.std()) > 0.3
    return np.column_stack([courses, camera - camera.mean(axis=0)]) if moves else courses


def _off_course(own: Floats, slow: Floats) -> Floats:
    """(K, N, 2) what the slow courses do not explain, NaN where a corner is covered."""
    result = np.full_like(own, np.nan)
    for point in range(own.shape[1]):
        good = np.isfinite(own[:, point, 0])
        series = own[good, point]
        result[good, point] = series - slow[good] @ np.linalg.lstsq(slow[good], series, rcond=None)[0]
    return result


def _about_rest(own: Floats) -> Floats:
    """(N,) RMS over time of (K, N, 2), of each axis the largest tenth left out."""
    result = np.zeros(own.shape[1])
    for point in range(own.shape[1]):
        power = np.sort(own[np.isfinite(own[:, point, 0]), point] ** 2, axis=0)
        result[point] = float(np.mean(power[: max(1, int(_USUAL_SHARE * len(power)))], axis=0).sum())
    return np.asarray(np.sqrt(result), dtype=np.float64)
