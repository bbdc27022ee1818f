"""The camera by the little background that reaches the frame's corners, where a subject fills the rest.

A body that breathes takes no two far corners along as one rigid picture, and what it does so by chance it does not do
for long. So a motion is believed if three corners agree on it, and only if it is then found again, frame by frame, by
new features that have been seen to keep to it, over nearly all of the shot.
"""

import cmath
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.engines.course import Path
from caf.engines.features import ANALYSIS_SIDE_PX, normalised
from caf.engines.homes import KEEPS_PX, Complex, Homes
from caf.engines.similarity import agreed_similarity
from caf.engines.smooth import shots
from caf.engines.tracks import LONGEST, STRIDE, RimFollower, Tracks
from caf.media.beside import ahead

__all__ = ["Rim", "camera_by_the_rim"]

_THREADS = 2
_PATIENCE_FRAMES = 60
"""Of a clip that shows nothing to begin with for so long, no more is looked at."""
_SHORTEST_FRAMES = 36
"""What agreed by chance did so for up to 35. Source: bodies without any background, bench/steady_scenes.py."""
_MOSTLY = 0.8
_CORNERS, _CORNER_TRACKS, _OFTEN = 3, 3, 0.2
"""In so many corners so many features must agree, in so much of the frames."""
_SEED_FRAMES = STRIDE + 2
_SEEDS_TRIED, _PAIRS, _PER_GENERATION = 12, 800, 2
_SEED_CORNERS, _CORNER = (0.2, 0.25), 1.0 / 3.0
"""Of width and height. Further in only where the outermost shows nothing, as a plain table does."""
_SEED_PX, _NEAR_PX = 0.6, 0.8
_MEMBERS, _AGREE = 6, 0.5
_EARLY, _LATE, _STAYS_PX, _LASTING = 5, 3, 0.6, 0.45
"""What keeps to a picture for five frames still does at the generation's end: of background half or more, of what only
happened to move alike three in ten at most. Source: the scenes of bench/steady_scenes.py and tests/engines/test_rim.py.
"""
_ACROSS = 0.5
_MISSES = STRIDE


class Rim(NamedTuple):
    """Where the background's picture is: `path` (T, 4) as in `Path`, bridged where `known` (T,) is False."""

    path: Path
    known: NDArray[np.bool_]


def camera_by_the_rim(
    images: Iterable[NDArray[np.uint8]],
    frames: int,
    size: tuple[int, int],
    cuts: Sequence[int],
    alive: Callable[[], None] = lambda: None,
) -> Rim | None:
    """The camera over a clip of (H, W, 3) pictures; None where the corners do not tell it. `alive` is called now and
    then when there are no more pictures.
    """
    scale = min(1.0, ANALYSIS_SIDE_PX / max(size))
    stretches = [shot for shot in shots(frames, cuts) if shot.stop - shot.start >= _SHORTEST_FRAMES]
    if sum(shot.stop - shot.start for shot in stretches) < _MOSTLY * frames:
        return None
    shape = (0, 0)
    with ThreadPoolExecutor(_THREADS) as pool:
        follower = RimFollower(pool)
        for index, gray in enumerate(ahead(normalised(image, scale) for image in images)):
            shape = (gray.shape[1], gray.shape[0])
            follower.add(gray, cut=index in cuts)
            if index == _PATIENCE_FRAMES and not any(_seeds(t, shape) for t in follower.tracks):
                return None
        follower.finish()
    path, known = np.zeros((frames, 4)), np.zeros(frames, np.bool_)
    for shot in stretches:
        tracks = [each for each in follower.tracks if shot.start <= each.start < shot.stop]
        layer = _layer(tracks, shot, shape, alive)
        if layer is not None:
            at = np.flatnonzero(layer.known)
            for column in range(4):
                path[shot, column] = np.interp(np.arange(len(layer.known)), at, layer.path[at, column])
            known[shot] = layer.known
    if known.mean() < _MOSTLY:
        return None
    path[:, :2] /= scale
    return Rim(path, known)


class _Seed(NamedTuple):
    score: float
    tracks: Tracks
    held: NDArray[np.bool_]


def _layer(
    tracks: Sequence[Tracks], shot: slice, size: tuple[int, int], alive: Callable[[], None]
) -> "_Layer | None":
    """What most frames of the shot agree on, from the seed that leads farthest; None: nothing that can be believed."""
    found = [seed for each in tracks for seed in _seeds(each, size)]
    found.sort(key=lambda seed: -seed.score)
    best: _Layer | None = None
    for seed in found[:_SEEDS_TRIED]:
        alive()
        layer = _Layer(shot, size, tracks)
        layer.grow(seed)
        if layer.believed() and (best is None or layer.known.sum() > best.known.sum()):
            best = layer
        if best is not None and best.known.all():
            break
    return best


def _seeds(tracks: Tracks, size: tuple[int, int]) -> list[_Seed]:
    """As `_seeds_within`, of the smallest corners that show any."""
    return next((found for share in _SEED_CORNERS if (found := _seeds_within(share, tracks, size))), [])


def _seeds_within(share: float, tracks: Tracks, size: tuple[int, int]) -> list[_Seed]:
    """The motions that features in three or more corners share for the first frames of a generation.

    Two features far apart make a similarity in every frame; the best agree with most in most corners.
    """
    if tracks.places.shape[1] < _SEED_FRAMES:
        return []
    places = tracks.places[:, :_SEED_FRAMES].astype(np.complex128)
    corner = np.where(np.isnan(places).any(axis=1), -1, _corner_of(places[:, 0], size, share))
    by_corner = [np.flatnonzero(corner == c) for c in range(4)]
    members = [m for m in by_corner if len(m) >= _CORNER_TRACKS]
    if len(members) < _CORNERS:
        return []
    rng = np.random.default_rng(tracks.start)
    first = rng.integers(0, len(members), _PAIRS)
    second = (first + rng.integers(1, len(members), _PAIRS)) % len(members)
    chance = rng.random((2, _PAIRS))
    ordered, count = np.concatenate(members), np.array([len(each) for each in members])
    begin = np.cumsum(count) - count
    one, other = (
        places[ordered[begin[which] + (chance[side] * count[which]).astype(np.intp)]]
        for side, which in enumerate((first, second))
    )
    inside = np.concatenate(by_corner)
    ends = np.cumsum([len(each) for each in by_corner])
    agrees, left = np.ones((_PAIRS, len(inside)), np.bool_), np.arange(_PAIRS)
    for t in range(1, _SEED_FRAMES):
        factor = (other[left, t] - one[left, t]) / (other[left, 0] - one[left, 0])
        shift = one[left, t] - factor * one[left, 0]
        apart = factor[:, None] * places[None, inside, 0] + shift[:, None] - places[None, inside, t]
        still = agrees[left] & (apart.real**2 + apart.imag**2 < _SEED_PX**2)
        counts = np.stack(
            [np.count_nonzero(part, axis=1) for part in np.split(still, ends[:-1], axis=1)], axis=1
        )
        enough = (counts >= _CORNER_TRACKS).sum(axis=1) >= _CORNERS
        agrees[left] = still
        left, counts = left[enough], counts[enough]
    score = np.zeros(_PAIRS)
    score[left] = np.sqrt(np.minimum(counts, 8)).sum(axis=1)
    out: list[_Seed] = []
    for _ in range(_PER_GENERATION):
        best = int(np.argmax(score))
        if score[best] <= 0.0:
            break
        held = np.zeros(len(places), np.bool_)
        held[inside[agrees[best]]] = True
        out.append(_Seed(float(score[best]), tracks, held))
        score[(agrees & agrees[best]).sum(axis=1) > 0.5 * agrees.sum(axis=1)] = 0.0
    return out


class _Layer:
    """One rigid picture behind others, found frame by frame from a seed; `known` (n,) says where."""

    def __init__(self, shot: slice, size: tuple[int, int], tracks: Sequence[Tracks]) -> None:
        self._shot, self._size, self._tracks = shot, size, tracks
        self._starts = [each.start for each in tracks]
        self._centre = complex((size[0] - 1) / 2, (size[1] - 1) / 2)
        length = shot.stop - shot.start
        self.path = np.zeros((length, 4))
        self.known = np.zeros(length, np.bool_)
        self._factor, self._shift = np.ones(length, np.complex128), np.zeros(length, np.complex128)
        self._corners = np.zeros((length, 4), np.intp)
        self._homes = [Homes(each) for each in tracks]

    def grow(self, seed: _Seed) -> None:
        """Find the picture in the seed's frames, and from there onwards and backwards until it is lost."""
        first = seed.tracks.start - self._shot.start
        self._know(first, 1.0, 0.0)
        places = seed.tracks.places[seed.held].astype(np.complex128)
        for t in range(1, _SEED_FRAMES):
            self._fit(first + t, places[:, 0], places[:, t])
        after = first + _SEED_FRAMES
        for frames in (range(first, after), range(after, len(self.known)), range(first - 1, -1, -1)):
            missed = 0
            for frame in frames:
                missed = 0 if self._found(frame) else missed + 1
                if missed >= _MISSES:
                    break

    def believed(self) -> bool:
        """Whether it was found in most of the shot, in three corners often enough, and by features that last."""
        often = (self._corners[self.known] >= _CORNER_TRACKS).mean(axis=0) >= _OFTEN
        if self.known.mean() < _MOSTLY or often.sum() < _CORNERS:
            return False
        counts = np.array([self._lasting(each) for each in self._tracks]).sum(axis=0)
        return bool(counts[0] >= len(self.known) and counts[1] >= _LASTING * counts[0])

    def _lasting(self, tracks: Tracks) -> tuple[int, int]:
        """How many features keep to the picture as the generation begins, and how many of them to its end."""
        first = tracks.start - self._shot.start
        frames = np.arange(first, first + tracks.places.shape[1])
        if len(frames) <= LONGEST or not self.known[frames].all():
            return 0, 0
        whole = tracks.places[~np.isnan(tracks.places[:, -1])]
        home = [
            (whole[:, part].astype(np.complex128) - self._shift[frames[part]]) / self._factor[frames[part]]
            for part in (slice(_EARLY), slice(-_LATE, None))
        ]
        early = home[0].mean(axis=1)
        spread = np.sqrt((np.abs(home[0] - early[:, None]) ** 2).sum(axis=1) / (_EARLY - 1))
        gone = np.abs(home[1].mean(axis=1) - early)
        keeps = spread < KEEPS_PX
        return int(keeps.sum()), int((keeps & (gone < _STAYS_PX)).sum())

    def _found(self, frame: int) -> bool:
        """Whether the features that have kept to the picture tell where it is in this frame."""
        parts = [each.keeping(frame + self._shot.start) for each in self._near(frame)]
        home, now = (
            np.concatenate([part[side] for part in parts] or [np.empty(0, complex)]) for side in (0, 1)
        )
        if len(home) < _MEMBERS:
            return False
        held = self._fit(frame, home, now, only_if=_MEMBERS)
        if held is None:
            return False
        where = _corner_of(now[held], self._size, _CORNER)
        self._corners[frame] = np.bincount(where[where >= 0], minlength=4)
        return True

    def _near(self, frame: int) -> list[Homes]:
        """Of the generations that see the frame."""
        at = frame + self._shot.start
        near = self._homes[bisect_left(self._starts, at - LONGEST) : bisect_right(self._starts, at)]
        return [each for each in near if each.has(at)]

    def _know(self, frame: int, factor: complex, shift: complex) -> None:
        self.known[frame], self._factor[frame], self._shift[frame] = True, factor, shift
        for each in self._near(frame):
            each.know(frame + self._shot.start, factor, shift)

    def _fit(self, frame: int, home: Complex, now: Complex, only_if: int = 0) -> NDArray[np.bool_] | None:
        """Take what most of these agree on, if at least `only_if` do and they reach across the frame; who agrees."""
        old, new = (
            np.ascontiguousarray(z - self._centre, np.complex128).view(np.float64).reshape(-1, 2)
            for z in (home, now)
        )
        motion, held = agreed_similarity(old, new, _NEAR_PX)
        if only_if and (
            held.sum() < only_if or held.mean() < _AGREE or not _far_apart(now[held], self._size)
        ):
            return None
        factor = cmath.exp(complex(motion[3], motion[2]))
        self.path[frame] = motion
        self._know(frame, factor, complex(motion[0], motion[1]) + self._centre * (1.0 - factor))
        return held


def _far_apart(places: Complex, size: tuple[int, int]) -> bool:
    """Whether they reach across half of the width or of the height; a stray one does not count."""
    x, y = np.sort(places.real)[1:-1], np.sort(places.imag)[1:-1]
    return bool(np.ptp(x) > _ACROSS * size[0] or np.ptp(y) > _ACROSS * size[1])


def _corner_of(places: Complex, size: tuple[int, int], share: float) -> NDArray[np.intp]:
    """(n,) the corner, 0 to 3, in whose `share` of width and height each place lies; -1: none."""
    x, y = places.real / size[0], places.imag / size[1]
    right, low = x > 1.0 - share, y > 1.0 - share
    inside = (right | (x < share)) & (low | (y < share))
    return np.where(inside, right + 2 * low, -1)
