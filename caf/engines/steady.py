"""From camera steps to corrections: the shaken path, its smooth course, and a crop that hides the edges."""

from collections.abc import Sequence

import cv2
import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from caf.engines.background import camera_motion, cell_tremor
from caf.engines.camera import GRID, Step
from caf.engines.smooth import shots, smooth

__all__ = ["Plan", "plan", "shake_px", "warped"]

SIGMA_S = 1.0
"""Movement slower than about this is meant; faster is tremor. Source: hand tremor lies above 1 Hz."""
SIGMA_UNSURE_S = 0.05
"""Where a subject may have been followed instead: only what is faster than a body moves is taken away."""
SIGMA_LOCKED_S = 60.0
TREMOR_S = 0.3
"""Motion per frame that changes faster than this is counted as tremor."""
_SURE = 0.6
_NOTHING = 0.15
_TIGHTENINGS = 12
_HANDS_ZOOM = 1.3  # a swing wider than a hand makes: a subject that fills the frame, or a whip pan
_LOOP_STEPS = 3.0
_LOOP_PX = 2.0
"""A clip is a loop when its last frame is as near to its first as a few common steps, or two pixels."""
_BETTER = 0.9
_STEADY_PX = 0.03

Path = NDArray[np.float64]


class Plan(Struct, frozen=True, kw_only=True):
    """What to do with each frame: `matrices` (T, 2, 3) from shot to shown pixels, crop included."""

    matrices: NDArray[np.float64]
    active: bool
    reason: str
    """Why nothing is done, or what was."""
    zoom: float
    crop_share: float
    shake_before_px: float
    shake_after_px: float
    unsure_frames: int
    cuts: tuple[int, ...]


def plan(
    steps: Sequence[Step],
    size: tuple[int, int],
    fps: float,
    *,
    weight: float,
    intensity: str,
    max_crop: float,
    closing: Step | None = None,
) -> Plan:
    """Corrections that hold the camera to its smooth path with `weight` 0..1.

    The gain is 1 - (1 - weight)^2, so that 0.95 leaves a four-hundredth of the shake. The result is compared
    with the input on the motion of all parts of the frame, and dropped where it is not clearly steadier.
    `closing` is the step from the last frame back to the first: where it is as small as the others the clip
    is a loop, and its path is smoothed around the seam, so that steadying opens no gap there.
    """
    cuts = tuple(i for i, step in enumerate(steps) if step.cut)
    camera = camera_motion(steps, TREMOR_S * fps)
    inner = np.array([i for i, step in enumerate(steps) if i > 0 and not step.cut], dtype=np.intp)
    parts = camera.background.mean(axis=0) >= 0.5
    before = shake_px(steps, None, size, fps, cuts, parts)
    untouched = Plan(
        matrices=np.tile(np.eye(2, 3), (max(1, len(steps)), 1, 1)),
        active=False,
        reason="not asked for",
        zoom=1.0,
        crop_share=0.0,
        shake_before_px=before,
        shake_after_px=before,
        unsure_frames=int((camera.confidence[inner] < _SURE).sum()),
        cuts=cuts,
    )
    gain = 0.0 if intensity == "high" else 1.0 - (1.0 - weight) ** 2
    if gain <= 0.0:
        return untouched
    if len(steps) < 3:
        return replace(untouched, reason="too few frames")
    typical = float(np.median(camera.confidence[inner])) if len(inner) else 0.0
    if typical < _NOTHING:
        return replace(untouched, reason="too little background to follow the camera by")
    if before < _STEADY_PX:
        return replace(untouched, reason="already steady")
    sure = typical >= _SURE
    sigma = (SIGMA_LOCKED_S if intensity == "low" else SIGMA_S) if sure else SIGMA_UNSURE_S
    path = _path(camera.steps, camera.confidence, cuts)
    turn = _turn(steps, closing, path, TREMOR_S * fps) if not cuts else None
    if sure and intensity != "low":
        swing = _course(path, sigma * fps, cuts, turn) - path
        if np.quantile([_zoom_needed(c, size) for c in swing], 0.95) > _HANDS_ZOOM:
            sure, sigma = False, SIGMA_UNSURE_S
    corrections, zoom = _within_crop(path, sigma * fps, gain, size, max_crop, cuts, turn)
    matrices = np.stack([_matrix(c, zoom, size) for c in corrections])
    after = shake_px(steps, matrices, size, fps, cuts, parts)
    if not after < _BETTER * before:
        return replace(untouched, reason="the picture would not become steadier")
    return replace(
        untouched,
        matrices=matrices,
        active=True,
        reason="steadied" if sure else "only the fastest tremor removed: it may have been the subject's",
        zoom=zoom,
        crop_share=1.0 - 1.0 / zoom,
        shake_after_px=after,
    )


def _path(motion: Path, confidence: NDArray[np.float64], cuts: Sequence[int]) -> Path:
    """Where the background's picture has moved since its shot began, (T, 4); doubtful steps are bridged."""
    path = np.zeros_like(motion)
    for shot in shots(len(motion), cuts):
        index = np.arange(shot.start, shot.stop)[1:]
        known = index[confidence[index] >= _NOTHING]
        if len(known):
            for column in range(4):
                path[index, column] = np.interp(index, known, motion[known, column])
        path[shot] = np.cumsum(path[shot], axis=0)
    return path


def _turn(steps: Sequence[Step], closing: Step | None, path: Path, sigma: float) -> Path | None:
    """(4,) how far the camera is from its start after one round of the loop; None when the clip is no loop."""
    if closing is None or closing.cut:
        return None
    around = camera_motion([*steps, closing], sigma)
    sizes = np.linalg.norm(around.steps[1:, :2], axis=1)
    if around.confidence[-1] < _SURE or sizes[-1] > _LOOP_STEPS * float(np.median(sizes[:-1])) + _LOOP_PX:
        return None
    return np.asarray(path[-1] + around.steps[-1], dtype=np.float64)


def _course(path: Path, sigma: float, cuts: Sequence[int], turn: Path | None, *, robust: bool = True) -> Path:
    """The smooth course of a path; around the seam where the clip is a loop."""
    if turn is None:
        return smooth(path, sigma, cuts=cuts, robust=robust)
    rounds = np.concatenate([path - turn, path, path + turn])
    return smooth(rounds, sigma, robust=robust)[len(path) : 2 * len(path)]


def _within_crop(
    path: Path,
    sigma: float,
    gain: float,
    size: tuple[int, int],
    max_crop: float,
    cuts: Sequence[int],
    turn: Path | None,
) -> tuple[Path, float]:
    """Corrections (T, 4) and the zoom that hides their edges; the course gives way where it would not fit."""
    limit = 1.0 / (1.0 - max_crop)
    course = _course(path, sigma, cuts, turn)
    corrections = gain * (course - path)
    for _ in range(_TIGHTENINGS):
        zooms = np.array([_zoom_needed(c, size) for c in corrections])
        if zooms.max() <= limit:
            break
        # Pull the course back where it would leave the crop, and smooth again what that bent.
        room = np.minimum(1.0, (limit - 1.0) / np.maximum(zooms - 1.0, 1e-9))[:, None]
        course = _course(path + room * (course - path), sigma / 4, cuts, turn, robust=False)
        corrections = gain * (course - path)
    zooms = np.array([_zoom_needed(c, size) for c in corrections])
    room = np.minimum(1.0, (limit - 1.0) / np.maximum(zooms - 1.0, 1e-9))[:, None]
    corrections = corrections * room
    return corrections, max(1.0, *(_zoom_needed(c, size) for c in corrections))


def _zoom_needed(correction: NDArray[np.float64], size: tuple[int, int]) -> float:
    """The smallest zoom about the centre at which the moved frame still covers the picture."""
    x, y, roll, log_zoom = correction
    half = np.array(size) / 2.0
    cos, sin, scale = np.cos(roll), np.sin(roll), np.exp(log_zoom)
    worst = 0.0
    for corner in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
        # A picture corner, zoomed by z, lies at corner / z before the zoom; it must fall inside the frame.
        p = np.array(corner) * half
        back = np.array([cos * p[0] + sin * p[1], -sin * p[0] + cos * p[1]]) / scale
        shift = np.array([cos * x + sin * y, -sin * x + cos * y]) / scale
        room = half - np.abs(shift)
        worst = max(worst, *(abs(back) / np.maximum(room, 1e-6)))
    return float(worst)


def _matrix(correction: NDArray[np.float64], zoom: float, size: tuple[int, int]) -> NDArray[np.float64]:
    x, y, roll, log_zoom = correction
    # Pixel centres: the middle of a w-wide picture is (w - 1) / 2.
    cx, cy = (size[0] - 1) / 2.0, (size[1] - 1) / 2.0
    a = zoom * np.exp(log_zoom) * np.cos(roll)
    b = zoom * np.exp(log_zoom) * np.sin(roll)
    return np.array([[a, -b, cx + zoom * x - a * cx + b * cy], [b, a, cy + zoom * y - b * cx - a * cy]])


def shake_px(
    steps: Sequence[Step],
    matrices: NDArray[np.float64] | None,
    size: tuple[int, int],
    fps: float,
    cuts: Sequence[int],
    parts: NDArray[np.bool_] | None = None,
) -> float:
    """Tremor of the picture's parts in px RMS per frame: the median over the cells in `parts`, or over all.

    With `matrices`, of the corrected picture. Each cell's motion is taken from its own features, not from the
    fitted camera, so a camera that was confused with a subject shows.
    """
    flow = np.array([step.flow for step in steps])  # (T, CELLS, 2)
    centres = np.array(
        [
            ((c + 0.5) * size[0] / GRID[0], (r + 0.5) * size[1] / GRID[1])
            for r in range(GRID[1])
            for c in range(GRID[0])
        ]
    )
    if matrices is not None:
        flow = flow.copy()
        for t in range(1, len(steps)):
            new = _apply(matrices[t], centres + flow[t])
            old = _apply(matrices[t - 1], centres)
            flow[t] = new - old
    tremor = cell_tremor(flow, cuts, TREMOR_S * fps)
    chosen = tremor if parts is None or np.isnan(tremor[parts]).all() else tremor[parts]
    return float(np.nanmedian(chosen)) if not np.isnan(chosen).all() else 0.0


def _apply(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points @ matrix[:, :2].T + matrix[:, 2]


def warped(image: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The frame moved by `matrix` in its own size; what a rounding leaves open at the rim is mirrored."""
    size = (image.shape[1], image.shape[0])
    moved = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, dtype=np.uint8)
