"""What moved between two frames, and where: a few similarities, each shared by part of the picture.

Good features (Shi and Tomasi 1994) are followed with pyramidal Lucas-Kanade (Bouguet 2001), checked by
following them back, and explained by a few similarities in turn (RANSAC; Fischler and Bolles 1981).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.engines.features import ANALYSIS_SIDE_PX, CELLS, GRID, Seen, normalised, seen_in
from caf.engines.follow import Look, Picture, led
from caf.engines.keyframe import NOTHING_SINCE, Keyframe
from caf.engines.scene import FLAT_STD, is_cut
from caf.engines.similarity import Points, agreed_similarity

__all__ = [
    "Camera",
    "Candidate",
    "Step",
    "camera_between",
    "cells_of",
    "shared",
]

_PER_CELL, _PER_CELL_IN_DOUBT = 6, 14
_NO_DOUBT, _NO_DOUBT_PX = 0.8, 0.5
"""If so many of the features share one motion so nearly, few of them tell it as well as many. A body that turns back
moves with the background to a pixel."""
_BACK_PX = 0.2
_INLIER_PX = 1.0
_CANDIDATES = 3
_MIN_POINTS = 12
_SAME_SCENE = 0.2
"""If so many of the features find their way back, nothing was cut, however little the whole looks alike: 0.35 to 0.84
where a body fills the frame or the camera is thrown about, up to 0.03 between pictures of different scenes."""
_LONGEST_FLASH = 3
"""After so many frames that show nothing, of black mostly, another shot begins."""
_LEAST_AGREE, _LEAST_CELLS = 0.2, 8
"""Of the features, between pictures that are not neighbours; and of the cells that those which agree are in."""
_THERE = Look(window_px=16, levels=3, rounds=30, close_px=0.005)
_BACK = _THERE._replace(levels=0)
"""A window that is a multiple of eight: what OpenCV leaves over of a row, it works on pixel by pixel."""
_NO_POINTS = np.empty((0, 4), np.float32)
_NO_CELLS = np.empty(0, np.uint8)


class Candidate(NamedTuple):
    """A motion that part of the frame shares."""

    motion: NDArray[np.float64]
    """(4,) x px, y px, roll rad, log zoom about the frame's centre: how that part of the picture moved."""
    cells: NDArray[np.intp]
    """The cells in which at least half of the features share it."""


class Step(NamedTuple):
    """What moved from the frame before to this one, in full-size pixels."""

    candidates: tuple[Candidate, ...]
    """Most widely shared first; empty when nothing could be followed."""
    points: NDArray[np.float32]
    """(n, 4) the followed features, x y before and x y now, px from the frame's centre."""
    cells: NDArray[np.uint8]
    """(n,) the cell each feature was in."""
    cut: bool
    flow: NDArray[np.float64]
    """(CELLS, 2) median feature motion per cell, px; NaN where nothing could be followed."""
    key_frames: int = 0
    """How many frames before this one its key frame was; 0 where there is none."""
    key_points: NDArray[np.float32] = _NO_POINTS
    """(n, 4) as `points`, from the key frame to now."""
    key_cells: NDArray[np.uint8] = _NO_CELLS
    """(n,) the cell each of them was in, in the key frame."""
    worth: NDArray[np.float32] | None = None
    """(n,) how much each of `points` counts, as in `Seen`; None: all alike."""
    key_worth: NDArray[np.float32] | None = None
    """(n,) how much each of `key_points` does."""
    lasted: int = 1
    """How many frames the step took: more where those before this one showed nothing."""


class Camera:
    """Follows a clip frame by frame; `follow` returns the step from the frame before."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._scale = min(1.0, ANALYSIS_SIDE_PX / max(size))
        self._before: Seen | None = None
        self._key = Keyframe()
        self._blank = 0
        """Frames since the last that showed anything."""

    def seen(self, image: NDArray[np.uint8]) -> Seen:
        """A frame (H, W, 3) uint8 made ready to be followed, as may be done ahead and elsewhere."""
        return seen_in(image, self._scale)

    def follow(self, image: NDArray[np.uint8] | Seen, subject: NDArray[np.float64] | None = None) -> Step:
        """The step to `image` (H, W, 3) uint8; `subject` is a box x0, y0, x1, y1 in px to look away from.

        A frame that shows nothing, as a flash does, has no step; the next one that does is followed from the last.
        """
        now = image if isinstance(image, Seen) else self.seen(image)
        before = self._before
        if before is not None and float(now.small.std()) < FLAT_STD <= float(before.small.std()):
            self._blank += 1
            return _nothing(cut=False)
        self._before = now
        blank, self._blank = self._blank, 0
        if blank:
            self._key.forget()
        if before is None:
            return _nothing(cut=False)
        old, new, worth, share = _followed(before, now.picture)
        if blank > _LONGEST_FLASH or (is_cut(before.small, now.small) and not self._goes_on(old, share)):
            self._key.forget()
            return _nothing(cut=True)
        if subject is not None and len(old):
            box = subject * self._scale
            beside = np.asarray(((old < box[:2]) | (old > box[2:])).any(axis=1))
            if beside.sum() >= _MIN_POINTS:
                old, new, worth = old[beside], new[beside], worth[beside]
        if len(old) < _MIN_POINTS:
            self._key.forget()
            return _nothing(cut=False)
        since = NOTHING_SINCE if blank else self._key.follow(before.picture, now.picture, old, new, worth)
        cells, points = self._placed(old, new)
        key_cells, key_points = self._placed(since.start, since.now)
        moves = (new - old) / self._scale
        return Step(
            candidates=self._candidates(points[:, :2], points[:, 2:], cells, worth),
            points=points.astype(np.float32),
            cells=cells.astype(np.uint8),
            cut=False,
            flow=_cell_medians(moves, cells),
            key_frames=since.frames,
            key_points=key_points.astype(np.float32),
            key_cells=key_cells.astype(np.uint8),
            worth=worth,
            key_worth=since.worth,
            lasted=blank + 1,
        )

    def _goes_on(self, old: Points, share: float) -> bool:
        """Whether what was followed, and in how many places, says that the scene is the same."""
        return share >= _SAME_SCENE and _in_many_places(old / self._scale, self._size)

    def _placed(self, old: Points, new: Points) -> tuple[NDArray[np.intp], Points]:
        """(n,) cells and (n, 4) full-size px from the frame's centre, of two places in analysis px."""
        old, new = old / self._scale, new / self._scale
        centre = (np.array(self._size) - 1) / 2
        return cells_of(old - centre, self._size), np.hstack((old - centre, new - centre))

    def _candidates(
        self, old: Points, new: Points, cells: NDArray[np.intp], worth: NDArray[np.float32]
    ) -> tuple[Candidate, ...]:
        old, new = np.ascontiguousarray(old), np.ascontiguousarray(new)
        found: list[Candidate] = []
        left: NDArray[np.bool_] = np.ones(len(old), bool)
        for _ in range(_CANDIDATES):
            index = np.flatnonzero(left)
            if len(index) < _MIN_POINTS:
                break
            motion, held = agreed_similarity(old[index], new[index], _INLIER_PX / self._scale, worth[index])
            if held.sum() < _MIN_POINTS:
                break
            holding = shared(cells, cells[index[held]])
            if len(holding):
                found.append(Candidate(motion, holding))
            left[index[held]] = False
        return tuple(sorted(found, key=lambda c: -len(c.cells)))


def camera_between(start: NDArray[np.uint8], end: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """How the camera moved from one picture to another, (H, W, 3) uint8: (4,) as in `Candidate`.

    By what most followed features share; None where too few of them do, or in too few places.
    """
    size = (start.shape[1], start.shape[0])
    scale = min(1.0, ANALYSIS_SIDE_PX / max(size))
    old, new, _, _ = _followed(seen_in(start, scale), Picture(normalised(end, scale)))
    old, new = old / scale, new / scale
    if len(old) < _MIN_POINTS:
        return None
    centre = (np.array(size) - 1) / 2
    motion, held = agreed_similarity(old - centre, new - centre, _INLIER_PX / scale)
    if held.sum() < _MIN_POINTS or held.mean() < _LEAST_AGREE:
        return None
    return motion if _in_many_places(old[held], size) else None


def _in_many_places(points: Points, size: tuple[int, int]) -> bool:
    """Whether points (n, 2), px of the picture, lie in enough cells of it."""
    return len(np.unique(cells_of(points - (np.array(size) - 1) / 2, size))) >= _LEAST_CELLS


def cells_of(points: Points, size: tuple[int, int]) -> NDArray[np.intp]:
    """(n,) the cell that each point, px from the frame's centre, lies in."""
    column = np.clip((points[:, 0] / size[0] + 0.5) * GRID[0], 0, GRID[0] - 1).astype(np.intp)
    row = np.clip((points[:, 1] / size[1] + 0.5) * GRID[1], 0, GRID[1] - 1).astype(np.intp)
    return row * GRID[0] + column


def _nothing(*, cut: bool) -> Step:
    return Step((), _NO_POINTS, _NO_CELLS, cut, np.full((CELLS, 2), np.nan))


def shared(all_cells: NDArray[np.integer], held_cells: NDArray[np.integer]) -> NDArray[np.intp]:
    """The cells in which at least half of the features, and two, are among those held.

    One is enough where most cells show no more, lights in the dark, and nearly all are held: few can err together.
    """
    total = np.bincount(all_cells, minlength=CELLS)
    held = np.bincount(held_cells, minlength=CELLS)
    lonely = 2 * np.count_nonzero(total == 1) > np.count_nonzero(total)
    least = 1 if lonely and len(held_cells) >= _NO_DOUBT * len(all_cells) else 2
    return np.flatnonzero((held >= least) & (held * 2 >= total))


class _Followed(NamedTuple):
    """Features (n, 2) px and their places in the next picture; only those that find their way back."""

    old: Points
    new: Points
    worth: NDArray[np.float32]
    share: float
    """Of the features, 0 where there are none."""


def _followed(before: Seen, after: Picture) -> _Followed:
    """The features of `before` in `after`: the best of every cell, and more where these do not agree."""
    features, rank = before.features, before.rank
    if not len(features):
        return _Followed(np.empty((0, 2)), np.empty((0, 2)), before.worth, 0.0)
    few, many = rank < _PER_CELL, rank < _PER_CELL_IN_DOUBT
    old, new, good = _led(before.picture, after, features[few])
    worth = before.worth[few][good]
    if len(old) >= _MIN_POINTS and agreed_similarity(old, new, _NO_DOUBT_PX)[1].mean() >= _NO_DOUBT:
        return _Followed(old, new, worth, len(old) / int(few.sum()))
    more_old, more_new, good = _led(before.picture, after, features[many & ~few])
    old, new = np.concatenate((old, more_old)), np.concatenate((new, more_new))
    worth = np.concatenate((worth, before.worth[many & ~few][good]))
    return _Followed(old, new, worth, len(old) / int(many.sum()))


def _led(
    before: Picture, after: Picture, start: NDArray[np.float32]
) -> tuple[Points, Points, NDArray[np.bool_]]:
    """These features and their places, as `_followed`, and which of them these are."""
    there, seen = led(before, after, start, start, _THERE)
    # Back from there, beginning where it came from: what is right stays, and that takes few steps.
    back, seen_back = led(after, before, there, start, _BACK)
    good = seen & seen_back
    good &= np.linalg.norm(back - start, axis=1) < _BACK_PX
    return start[good].astype(np.float64), there[good].astype(np.float64), good


def _cell_medians(moves: Points, cells: NDArray[np.intp]) -> NDArray[np.float64]:
    out = np.full((CELLS, 2), np.nan)
    count = np.bincount(cells, minlength=CELLS)
    first = np.cumsum(count) - count
    known = np.flatnonzero(count)
    for column in range(2):
        ordered = moves[np.lexsort((moves[:, column], cells)), column]
        low = first[known] + (count[known] - 1) // 2
        high = first[known] + count[known] // 2
        out[known, column] = (ordered[low] + ordered[high]) / 2
    return out
