"""The camera's path, the smooth course that it is held to, and the crop that hides what the correction opens.

A path is (T, 4): x, y px, roll rad, log zoom about the frame's centre, from the shot's first frame to each.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.engines.smooth import shots, smooth

__all__ = ["Course", "Path", "after", "as_matrices", "course_within", "zoom_needed"]

_TIGHTENINGS = 12
_CALMER = (4.0, 2.8, 2.0, 1.4)
_NO_DEARER = 1.08
"""A calmer course is taken if it needs at most this much of the crop that the ordinary one needs."""
_QUICKEST, _LEVELS = 16.0, 9
"""Where the camera is turned on purpose, the course is by steps up to so many times as quick."""
_CLEARLY = 0.5
_FOR_SHAKE, _FOR_TURNS = 2.0, 0.5
"""The picture that a turn may cost: so many times what the shake does, or this share of what is allowed."""

Path = NDArray[np.float64]


class Course(NamedTuple):
    """`corrections` (T, 4) that take each frame to where the course wants it, and the one zoom that hides them."""

    corrections: Path
    zoom: float


def after(first: Path, then: Path) -> Path:
    """One similarity after another."""
    x, y, roll, log_zoom = then
    a, b = np.exp(log_zoom) * np.cos(roll), np.exp(log_zoom) * np.sin(roll)
    return np.array(
        [
            a * first[0] - b * first[1] + x,
            b * first[0] + a * first[1] + y,
            first[2] + roll,
            first[3] + log_zoom,
        ]
    )


def _corrections(path: Path, aim: Path) -> Path:
    """(T, 4) what takes a frame that lies where `path` is to where `aim` is."""
    out = aim - path
    a, b = np.exp(out[:, 3]) * np.cos(out[:, 2]), np.exp(out[:, 3]) * np.sin(out[:, 2])
    out[:, 0] = aim[:, 0] - (a * path[:, 0] - b * path[:, 1])
    out[:, 1] = aim[:, 1] - (b * path[:, 0] + a * path[:, 1])
    return out


def course_within(
    path: Path,
    sigma: float,
    gain: float,
    size: tuple[int, int],
    max_crop: float,
    cuts: Sequence[int] = (),
    turn: Path | None = None,
    at: NDArray[np.float64] | None = None,
) -> Course:
    """Hold `path` to its smooth course with `gain` 0..1, cutting off at most `max_crop` of width and height.

    The course is as smooth as `sigma` (frames) says, and smoother where that costs no picture; where a turn of the
    camera would cost far more of it than the shake does, it is quicker for that while. Where it does not fit into the
    crop it gives way. `turn` is where one round of a loop leads; `at` as in `smooth`.
    """
    limit = 1.0 / (1.0 - max_crop)
    camera = _Camera(path, size, cuts, turn, at)
    calm = _calm(camera, sigma)
    needed = float(zoom_needed(_corrections(path, calm), size).max())
    ways = [calm] if needed > limit else []
    agile = _agile(camera, sigma, limit)
    ways += [calm if needed <= agile.zoom else agile.course]

    def held(way: Path, by: float) -> Course:
        return _within(camera, way, sigma, by, limit)

    best = ways[-1]
    if len(ways) > 1:
        # As if it were held in full, so that holding more of it never turns to another one.
        bent, quick = (_jolts(camera, held(way, 1.0).corrections) for way in ways)
        best = ways[1] if quick < _CLEARLY * bent else ways[0]
    return held(best, gain)


class _Camera(NamedTuple):
    """Where the camera goes, and what tells how that may be smoothed; as given to `course_within`."""

    path: Path
    size: tuple[int, int]
    cuts: Sequence[int]
    turn: Path | None
    at: NDArray[np.float64] | None

    def smoothed(self, path: Path, sigma: float, *, robust: bool = True) -> Path:
        """The smooth course of a path; around the seam where the clip is a loop."""
        turn, at = self.turn, self.at
        if turn is None:
            return smooth(path, sigma, cuts=self.cuts, robust=robust, at=at)
        rounds = np.concatenate([path - turn, path, path + turn])
        if at is not None:
            lasts = at[-1] - at[0] + 1.0
            at = np.concatenate([at - lasts, at, at + lasts])
        return smooth(rounds, sigma, robust=robust, at=at)[len(path) : 2 * len(path)]

    def centred(self, course: Path) -> Path:
        """The course moved, whole shots at a time, so that it has as much shake on one side as on the other."""
        out = course.copy()
        for shot in shots(len(self.path), self.cuts):
            rest = self.path[shot, :3] - course[shot, :3]
            out[shot, :3] += (rest.max(axis=0) + rest.min(axis=0)) / 2
        return out


def _within(camera: _Camera, course: Path, sigma: float, gain: float, limit: float) -> Course:
    """The path held to the course as far as the zoom to `limit` hides it."""
    path, size = camera.path, camera.size
    for _ in range(_TIGHTENINGS):
        corrections = _corrections(path, path + gain * (course - path))
        zooms = zoom_needed(corrections, size)
        if zooms.max() <= limit:
            break
        # Pull the course back where it would leave the crop, and smooth again what that bent.
        room = np.minimum(1.0, (limit - 1.0) / np.maximum(zooms - 1.0, 1e-9))[:, None]
        course = camera.smoothed(path + room * (course - path), sigma / 4, robust=False)
    corrections = _corrections(path, path + gain * (course - path))
    zooms = zoom_needed(corrections, size)
    corrections = corrections * np.minimum(1.0, (limit - 1.0) / np.maximum(zooms - 1.0, 1e-9))[:, None]
    return Course(corrections, max(1.0, float(zoom_needed(corrections, size).max())))


def _jolts(camera: _Camera, corrections: Path) -> float:
    """How much the picture's middle is accelerated, as far as corrections change that."""
    unit = np.array([1.0, 1j])
    shown = (
        np.exp(corrections[:, 3] + 1j * corrections[:, 2]) * (camera.path[:, :2] @ unit)
        + corrections[:, :2] @ unit
    )
    lasted = 1.0 if camera.at is None else np.diff(camera.at)
    return float(np.sum(np.abs(np.diff(np.diff(shown) / lasted)) ** 2))


def _calm(camera: _Camera, sigma: float) -> Path:
    """The calmest course that needs no more crop than that of `sigma`, laid through the middle of the shake."""

    def crop(course: Path) -> float:
        return float(zoom_needed(_corrections(camera.path, course), camera.size).max()) - 1.0

    ordinary = camera.centred(camera.smoothed(camera.path, sigma))
    allowed = _NO_DEARER * crop(ordinary)
    for calmer in _CALMER:
        course = camera.centred(camera.smoothed(camera.path, calmer * sigma))
        if crop(course) <= allowed:
            return course
    return ordinary


class _Agile(NamedTuple):
    course: Path
    zoom: float
    """It is to do with this much, and better than one that needs more."""


def _agile(camera: _Camera, sigma: float, limit: float) -> _Agile:
    """A course that is quicker where the camera is turned than the shake asks for, as long as that takes."""
    path = camera.path
    widths = sigma * _QUICKEST ** -np.linspace(0.0, 1.0, _LEVELS)
    courses = np.stack([camera.smoothed(path, width, robust=False) for width in widths])
    zooms = np.stack([zoom_needed(_corrections(path, course), camera.size) for course in courses])
    shake = float(zooms[_LEVELS // 2].max()) - 1.0
    room = min(limit - 1.0, max(_FOR_SHAKE * shake, _FOR_TURNS * (limit - 1.0)))
    out = np.empty_like(path)
    for shot in shots(len(path), camera.cuts):
        fits = np.logical_and.accumulate(zooms[::-1, shot] - 1.0 <= room)
        level = _gently(np.minimum(_LEVELS - fits.sum(axis=0), _LEVELS - 1).astype(np.float64), round(sigma))
        lower = np.minimum(level.astype(np.intp), _LEVELS - 2)
        part, index = (level - lower)[:, None], np.arange(shot.start, shot.stop)
        out[shot] = (1.0 - part) * courses[lower, index] + part * courses[lower + 1, index]
    return _Agile(out, 1.0 + room)


def _gently(level: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """(T,) as high as `level` everywhere, and rising and falling over `reach` frames."""
    reach = max(1, min(reach, len(level) - 1))
    window = np.hanning(2 * reach + 3)[1:-1]
    around = np.lib.stride_tricks.sliding_window_view(np.pad(level, 2 * reach, mode="edge"), 2 * reach + 1)
    return np.asarray(np.convolve(around.max(axis=1), window / window.sum(), mode="valid"))


def zoom_needed(corrections: Path, size: tuple[int, int]) -> NDArray[np.float64]:
    """(T,) the smallest zoom about the centre at which each moved frame still covers the picture."""
    x, y, roll, log_zoom = corrections.T
    half = np.array(size) / 2.0
    cos, sin, scale = np.cos(roll), np.sin(roll), np.exp(log_zoom)
    # A picture corner, zoomed by z, lies at corner / z before the zoom; it must fall inside the frame.
    room_x = np.maximum(half[0] - np.abs(cos * x + sin * y) / scale, 1e-6)
    room_y = np.maximum(half[1] - np.abs(cos * y - sin * x) / scale, 1e-6)
    reach_x = (np.abs(cos) * half[0] + np.abs(sin) * half[1]) / scale
    reach_y = (np.abs(cos) * half[1] + np.abs(sin) * half[0]) / scale
    return np.asarray(np.maximum(reach_x / room_x, reach_y / room_y))


def as_matrices(course: Course, size: tuple[int, int]) -> NDArray[np.float64]:
    """(T, 2, 3) from shot to shown pixels, the crop included."""
    x, y, roll, log_zoom = course.corrections.T
    # Pixel centres: the middle of a w-wide picture is (w - 1) / 2.
    cx, cy = (size[0] - 1) / 2.0, (size[1] - 1) / 2.0
    a = course.zoom * np.exp(log_zoom) * np.cos(roll)
    b = course.zoom * np.exp(log_zoom) * np.sin(roll)
    rows = (
        (a, -b, cx + course.zoom * x - a * cx + b * cy),
        (b, a, cy + course.zoom * y - b * cx - a * cy),
    )
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1)
