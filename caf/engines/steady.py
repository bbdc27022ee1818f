"""From camera steps to corrections: the shaken path, its smooth course, and a crop that hides the edges."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from caf.engines.background import SURE, Motion, camera_motion, cell_tremor, corners_dissent
from caf.engines.camera import Step
from caf.engines.course import Path, as_matrices, course_within, zoom_needed
from caf.engines.features import GRID
from caf.engines.lag import weighed
from caf.engines.path import NOTHING, background_path
from caf.engines.rim import Rim
from caf.engines.smooth import smooth
from caf.engines.together import keeps_together, rivals_part

__all__ = ["Plan", "plan", "shake_px"]

SIGMA_S = 1.0
"""Movement slower than about this is meant; faster is tremor. Source: hand tremor lies above 1 Hz."""
SIGMA_UNSURE_S = 0.05
"""Where a subject may have been followed instead: only what is faster than a body moves is taken away."""
SIGMA_LOCKED_S = 60.0
TREMOR_S = 0.3
"""Motion per frame that changes faster than this is counted as tremor."""
_HANDS_ZOOM = 1.2  # a swing wider than a hand makes: a subject that fills the frame, or a whip pan
_LOOP_STEPS = 3.0
_LOOP_PX = 2.0
"""A clip is a loop when its last frame is as near to its first as a few common steps, or two pixels."""
_BETTER = 0.9
_TIGHT = 0.995
_LOOSER = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_STEADY_PX = 0.03
_RIM_PX = 0.5
_SHORTEST = 0.25
"""Of the usual length of a frame; what errs in one that is shown for less would pass for tremor."""


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
    rim: Callable[[], Rim | None] = lambda: None,
    times_s: NDArray[np.float64] | None = None,
    alive: Callable[[], None] = lambda: None,
) -> Plan:
    """Corrections that hold the camera to its smooth path with `weight` 0..1.

    The gain is 1 - (1 - weight)^2, so that 0.95 leaves a four-hundredth of the shake. The result is compared
    with the input on the motion of the background's parts, and of all where these are in doubt, and dropped where
    it is not clearly steadier.
    `closing` is the step from the last frame back to the first: where it is as small as the others the clip is a loop,
    and its path is smoothed around the seam, so that steadying opens no gap there. `rim` is asked where the steps do
    not tell the camera: how it moved by the rim alone, the first frame once more at the end. `times_s` (T,) is when
    each frame is shown, where they are not all as long; `alive` is called now and then.
    """
    cuts = tuple(i for i, step in enumerate(steps) if step.cut)
    clip = _Clip(size, fps, cuts, None if times_s is None else (times_s - times_s[0]) * fps, alive)
    steps, closing, camera = weighed(steps, closing, TREMOR_S * fps)
    inside = camera.confidence[np.array([i > 0 and not step.cut for i, step in enumerate(steps)], np.bool_)]
    flow, unsure = np.array([step.flow for step in steps]), int((inside < SURE).sum())
    untouched = _untouched(len(steps), clip.shake_px(flow, parts=camera.background), unsure, cuts)
    gain = 0.0 if intensity == "high" else 1.0 - (1.0 - weight) ** 2
    if gain <= 0.0:
        return untouched
    if len(steps) < 3:
        return replace(untouched, reason="too few frames")
    typical = float(np.median(inside)) if len(inside) else 0.0
    steady, together = untouched.shake_before_px < _STEADY_PX, keeps_together(steps, camera)
    in_doubt = typical < SURE or not together
    if steady:
        # Still words are followed where they are calmer than all else, and most of the picture is not.
        in_doubt = clip.shake_px(flow) >= _RIM_PX
    found = _by_the_rim(rim, clip) if in_doubt else None
    if found is None and typical < NOTHING:
        return replace(untouched, reason="too little background to follow the camera by")
    if found is None and steady:
        return replace(untouched, reason="already steady")
    if found is None:
        told = typical >= SURE and not corners_dissent(steps, camera)
        told = told and (together or not rivals_part(steps, camera, TREMOR_S * fps, size))
        found = _by_the_steps(steps, camera, closing, clip, sure=told)
    else:
        untouched = _untouched(len(steps), clip.shake_px(found.flow), found.unsure_frames, cuts)
    sure, sigma = _calmness(found, intensity, clip)

    def held(by: float) -> _Held:
        course = course_within(found.path, sigma * fps, by, size, max_crop, cuts, found.turn, clip.at)
        moved = as_matrices(course, size)
        return _Held(moved, course.zoom, clip.shake_px(found.flow, moved, found.parts))

    best = _steadiest(held, gain, max_crop)
    if not _is_steadier(best, untouched.shake_before_px, None if sure else found.flow, clip):
        return replace(untouched, reason="the picture would not become steadier")
    return replace(
        untouched,
        matrices=best.matrices,
        active=True,
        reason=found.reason if sure else "only the fastest tremor removed: it may have been the subject's",
        zoom=best.zoom,
        crop_share=1.0 - 1.0 / best.zoom,
        shake_after_px=best.shake_px,
    )


class _Clip(NamedTuple):
    """What is to be steadied."""

    size: tuple[int, int]
    fps: float
    cuts: tuple[int, ...]
    at: NDArray[np.float64] | None
    """As in `smooth`."""
    alive: Callable[[], None]

    def shake_px(
        self,
        flow: NDArray[np.float64],
        matrices: NDArray[np.float64] | None = None,
        parts: NDArray[np.bool_] | None = None,
    ) -> float:
        """As `shake_px`."""
        self.alive()
        return shake_px(flow, matrices, self.size, self.fps, self.cuts, parts, self.at)


def _calmness(found: "_Found", intensity: str, clip: _Clip) -> tuple[bool, float]:
    """Whether what was found is believed to be a hand's shake, and the sigma of the course to hold to, seconds."""
    if not found.sure:
        return False, SIGMA_UNSURE_S
    if intensity == "low":
        return True, SIGMA_LOCKED_S
    swing = smooth(found.path, SIGMA_S * clip.fps, cuts=clip.cuts, at=clip.at) - found.path
    if np.quantile(zoom_needed(swing, clip.size), 0.95) > _HANDS_ZOOM:
        return False, SIGMA_UNSURE_S
    return True, SIGMA_S


def _untouched(frames: int, shake: float, unsure: int, cuts: tuple[int, ...]) -> Plan:
    return Plan(
        matrices=np.tile(np.eye(2, 3), (max(1, frames), 1, 1)),
        active=False,
        reason="not asked for",
        zoom=1.0,
        crop_share=0.0,
        shake_before_px=shake,
        shake_after_px=shake,
        unsure_frames=unsure,
        cuts=cuts,
    )


class _Found(NamedTuple):
    """How the camera moved, and by what that was seen."""

    path: Path
    turn: Path | None
    sure: bool
    flow: NDArray[np.float64]
    """(T, CELLS, 2) px, by which the result is judged; NaN: not known."""
    parts: NDArray[np.bool_] | None
    reason: str
    unsure_frames: int


def _by_the_steps(
    steps: Sequence[Step],
    camera: Motion,
    closing: Step | None,
    clip: _Clip,
    *,
    sure: bool,
) -> _Found:
    path = background_path(steps, camera, clip.cuts, clip.size)
    turn = _turn(steps, closing, path, TREMOR_S * clip.fps) if not clip.cuts else None
    flow = np.array([step.flow for step in steps])
    return _Found(path, turn, sure, flow, camera.background, "steadied", 0)


def _by_the_rim(rim: Callable[[], Rim | None], clip: _Clip) -> _Found | None:
    """None too where the rim hardly moves: it may be a caption, or a wall that coding froze; and few features err."""
    seen = rim()
    if seen is None:
        return None
    flow = _flow(seen.path[:-1], seen.known[:-1], clip.size)
    if clip.shake_px(flow) < _RIM_PX:
        return None
    step = seen.path[-1] - seen.path[-2]
    usual = np.linalg.norm(np.diff(seen.path[:-1], axis=0)[:, :2], axis=1)
    closes = not clip.cuts and seen.known[-2:].all() and _is_small(float(np.linalg.norm(step[:2])), usual)
    return _Found(
        path=seen.path[:-1],
        turn=seen.path[-1] if closes else None,
        sure=True,
        flow=flow,
        parts=None,
        reason="steadied by the background at the rim",
        unsure_frames=int((~seen.known[:-1]).sum()),
    )


def _flow(path: Path, known: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.float64]:
    """(T, CELLS, 2) how the middles of the cells move with a path; NaN where it is not known."""
    middles = (_middles(size) - (np.array(size) - 1) / 2) @ np.array([1.0, 1j])
    factor, shift = (
        np.exp(path[:, 3] + 1j * path[:, 2])[:, None],
        (path[:, :2] @ np.array([1.0, 1j]))[:, None],
    )
    out = np.full((len(path), len(middles)), complex(np.nan, np.nan))
    out[1:] = factor[1:] * (middles - shift[:-1]) / factor[:-1] + shift[1:] - middles
    out[1:][~(known[1:] & known[:-1])] = complex(np.nan, np.nan)
    return np.stack((out.real, out.imag), axis=2)


class _Held(NamedTuple):
    """One way to hold the camera, and the shake that it leaves."""

    matrices: NDArray[np.float64]
    zoom: float
    shake_px: float


def _steadiest(held: Callable[[float], _Held], gain: float, max_crop: float) -> _Held:
    """Held with `gain`, or more loosely where the crop is too tight for that and a looser hold leaves less."""
    best = held(gain)
    if best.zoom * (1.0 - max_crop) > _TIGHT:
        best = min([best, *(held(g) for g in _LOOSER if g < gain)], key=lambda way: way.shake_px)
    return best


def _is_steadier(best: _Held, before_px: float, all_parts: NDArray[np.float64] | None, clip: _Clip) -> bool:
    """Whether it is clearly so, and leaves no more in `all_parts` (T, CELLS, 2) of the frame, if these are asked."""
    if not best.shake_px < _BETTER * before_px:
        return False
    return all_parts is None or clip.shake_px(all_parts, best.matrices) < clip.shake_px(all_parts)


def _turn(steps: Sequence[Step], closing: Step | None, path: Path, sigma: float) -> Path | None:
    """(4,) how far the camera is from its start after one round of the loop; None when the clip is no loop."""
    if closing is None or closing.cut:
        return None
    around = camera_motion([*steps, closing], sigma)
    sizes = np.linalg.norm(around.steps[1:, :2], axis=1)
    if around.confidence[-1] < SURE or not _is_small(float(sizes[-1]), sizes[:-1]):
        return None
    return np.asarray(path[-1] + around.steps[-1], dtype=np.float64)


def _is_small(step: float, usual: NDArray[np.float64]) -> bool:
    return step <= _LOOP_STEPS * float(np.median(usual)) + _LOOP_PX


def shake_px(
    flow: NDArray[np.float64],
    matrices: NDArray[np.float64] | None,
    size: tuple[int, int],
    fps: float,
    cuts: Sequence[int],
    parts: NDArray[np.bool_] | None = None,
    at: NDArray[np.float64] | None = None,
) -> float:
    """Tremor of the picture's parts in px RMS per frame, by their `flow` (T, CELLS, 2): the median over the cells,
    where `parts` (T, CELLS) says so, or over all.

    With `matrices`, of the corrected picture; with `at`, as in `smooth`, per frame of usual length. Each cell's motion
    is taken from its own features, not from the fitted camera, so a camera that was confused with a subject shows.
    """
    if matrices is not None:
        centres = _middles(size)
        flow = flow.copy()
        for t in range(1, len(flow)):
            new = _apply(matrices[t], centres + flow[t])
            old = _apply(matrices[t - 1], centres)
            flow[t] = new - old
    if at is not None:
        flow = flow / np.maximum(np.diff(at, prepend=at[0] - 1.0), _SHORTEST)[:, None, None]
    tremor = cell_tremor(flow, cuts, TREMOR_S * fps)
    if parts is not None:
        beside = cell_tremor(np.where(parts[:, :, None], flow, np.nan), cuts, TREMOR_S * fps)
        tremor = tremor if np.isnan(beside).all() else beside
    return float(np.nanmedian(tremor)) if not np.isnan(tremor).all() else 0.0


def _middles(size: tuple[int, int]) -> NDArray[np.float64]:
    """(CELLS, 2) px."""
    columns, rows = ((np.arange(n) + 0.5) * side / n for n, side in zip(GRID, size, strict=True))
    return np.column_stack((np.tile(columns, GRID[1]), np.repeat(rows, GRID[0])))


def _apply(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points @ matrix[:, :2].T + matrix[:, 2]
