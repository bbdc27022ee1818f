"""Puts together what several trackers found, each started at another place of one clip. Pure.

The landmarker follows a pose from frame to frame, so what it finds depends on where it began: begun in the
middle it may stay some percent of the picture beside the whole clip's run for as long as a pose is tracked.
Two runs are in the same state again after a frame in which neither had a pose, as the tracker then starts
anew, or once their landmarks have come together. So each run goes on into its successor's part until that
can be seen, and only from there on is the successor believed: the outcome is that of one run over the whole
clip, whatever the places; only how much is done twice depends on them.
"""

import sys
from bisect import bisect_right
from collections.abc import Sequence
from math import inf, isfinite
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.pose.landmarks import Found

__all__ = ["AHEAD_S", "SETTLED_S", "TOLERANCE", "VISIBILITY_SHARE", "Stitching", "same_poses"]

TOLERANCE: Final = 1e-4
"""How far landmarks may be apart that are the same, as a share of the picture's longer side.

A tenth of what two runs over one clip may differ by at most.
"""

SETTLED_S: Final = 1.0
"""For how long poses that are tracked must be the same before it is believed that they stay so.

A choice, as long as the warm-up that is usual for such seams. On footage of cats and of a person no two runs came
together while a body was followed; this is for models and bodies that behave better.
"""

AHEAD_S: Final = 5.0
"""How far a chain goes into its successor's part if no earlier chain has come upon it by then.

On clips of dancing cats, which have no pose in a fifth of their frames, the seams were found within 1.2 s.
"""

VISIBILITY_SHARE: Final = 0.1
"""What a frame's own visibility counts in the smoothed one that is told; a frame without a pose changes nothing.

Source: MediaPipe's pose graph, the low-pass filter's alpha. It is the only state that a frame without a pose
leaves, so it is put right when a later chain is believed.
"""

_FORGOTTEN: Final = 1e-7
"""A difference that a visibility in single precision does not show any more."""

_NEVER: Final = -1
_NOT_YET: Final = -2


class _Link(NamedTuple):
    """Up to this frame's key, that included, the chain itself is taken; after it the other one."""

    key: int
    other: int


class _Chain:
    """What one tracker has found so far, in order."""

    def __init__(self, start_s: float, last_s: float) -> None:
        self.start_key = _key(start_s)
        self.last_key = _key(last_s) if isfinite(last_s) else sys.maxsize
        """Up to where an earlier chain may come upon this one."""
        self.frames: list[Found] = []
        self.keys: list[int] = []
        self.at: dict[int, int] = {}
        self.ended = False
        self.fault: Exception | None = None
        self.link: _Link | None = None
        self.compared = 0
        """How many of its frames have been held against the later chains."""
        self.same_since_s: dict[int, float] = {}

    def index(self, key: int) -> int:
        """Of the frame with that key, `_NEVER` if the chain has none, `_NOT_YET` if that is not known."""
        if not self.start_key <= key <= self.last_key or (self.link is not None and key > self.link.key):
            return _NEVER
        found = self.at.get(key)
        if found is not None and (found < self.compared or self.link is not None):
            return found
        if found is None and self.compared and self.keys[self.compared - 1] > key:
            return _NEVER
        return _NEVER if self.done else _NOT_YET

    @property
    def done(self) -> bool:
        return self.ended and self.compared == len(self.frames)


class Stitching:
    """The chains of one clip; `starts_s` are their places, the first 0, each later than the one before.

    `smoothed` says that visibilities come smoothed over time, as they do where only one pose is looked for.
    `proven` False believes a later chain after `SETTLED_S` in which both told as many poses, wherever these
    are: sooner, but the landmarks after the seam may be some percent of the picture beside one run's.
    """

    def __init__(self, starts_s: Sequence[float], *, smoothed: bool = True, proven: bool = True) -> None:
        self._smoothed, self._proven = smoothed, proven
        lasts_s = [later_s + AHEAD_S for later_s in starts_s[1:]]
        self._chains = [
            _Chain(start_s, last_s) for start_s, last_s in zip(starts_s, [*lasts_s, inf], strict=True)
        ]
        self._seen: set[int] = set()

    def add(self, chain: int, found: Found) -> None:
        """The chain's next frame."""
        own = self._chains[chain]
        if own.link is not None:
            return
        key = _key(found.time_s)
        self._seen.add(key)
        own.at.setdefault(key, len(own.frames))
        own.keys.append(key)
        own.frames.append(found)
        self._compare()

    def end(self, chain: int, fault: Exception | None = None) -> None:
        """The chain has come to the end of the clip; with a fault, to a place where it cannot go on."""
        self._chains[chain].ended = True
        self._chains[chain].fault = fault
        self._compare()

    def needed(self, chain: int) -> bool:
        """Whether what the chain finds next can still count."""
        return self._chains[chain].link is None and not self._chains[chain].ended

    def ahead(self, chain: int) -> bool:
        """Whether the chain has gone as far as it is compared, and it is not known that it counts."""
        own = self._chains[chain]
        if chain == 0 or not own.keys or own.keys[-1] <= own.last_key:
            return False
        return not any(one.link is not None and one.link.other == chain for one in self._chains)

    @property
    def complete(self) -> bool:
        """Whether the whole clip is known. Raises the fault of a chain that counts and could not go on; that of
        any other says nothing, as seeking does not work in every file."""
        last = self._chains[self._path()[-1]]
        if last.link is not None or not last.done:
            return False
        if last.fault is not None:
            raise last.fault
        return True

    @property
    def computed(self) -> int:
        """How many frames were looked at, those looked at twice counted twice."""
        return sum(len(chain.frames) for chain in self._chains)

    @property
    def covered(self) -> int:
        """How many different frames were looked at."""
        return len(self._seen)

    def result(self) -> list[Found]:
        """The frames of the whole clip once it is complete; before, those that are certain, from the start."""
        frames: list[Found] = []
        after = _NEVER
        for number in self._path():
            chain = self._chains[number]
            begin = bisect_right(chain.keys, after)
            until = bisect_right(chain.keys, chain.link.key) if chain.link else len(chain.frames)
            part = chain.frames[begin:until]
            if number and self._smoothed:
                part = _as_if_whole(part, _visibility(frames), _visibility(chain.frames[:begin]))
            frames += part
            after = chain.link.key if chain.link else after
        return frames

    def seams_s(self) -> list[float]:
        """From which times on a later chain was believed."""
        links = (self._chains[number].link for number in self._path())
        return [link.key / 1e6 for link in links if link is not None]

    def _path(self) -> list[int]:
        path = [0]
        while (link := self._chains[path[-1]].link) is not None:
            path.append(link.other)
        return path

    def _compare(self) -> None:
        """Hold chains against later ones as far as both are known; the last first, as others wait for it."""
        for number in reversed(range(len(self._chains))):
            chain = self._chains[number]
            while chain.link is None and chain.compared < len(chain.frames):
                if not self._held(number, chain.frames[chain.compared]):
                    break

    def _held(self, number: int, found: Found) -> bool:
        """Whether one frame could be held against every later chain."""
        chain, key = self._chains[number], _key(found.time_s)
        met = {later: self._chains[later].index(key) for later in range(number + 1, len(self._chains))}
        if _NOT_YET in met.values():
            return False
        for later, index in met.items():
            if index == _NEVER or not self._alike(found, self._chains[later].frames[index]):
                chain.same_since_s.pop(later, None)
                continue
            since_s = chain.same_since_s.setdefault(later, found.time_s)
            if chain.link is None and (len(found.poses) == 0 or found.time_s - since_s >= SETTLED_S):
                chain.link = _Link(key, later)
        chain.compared += 1
        return True

    def _alike(self, one: Found, other: Found) -> bool:
        if one.look != other.look:
            return False
        return same_poses(one, other) if self._proven else len(one.poses) == len(other.poses)


def same_poses(one: Found, other: Found) -> bool:
    """Whether two runs found the same in one frame, in whatever order, to within `TOLERANCE`."""
    if len(one.poses) != len(other.poses):
        return False
    left = list(range(len(other.poses)))
    for pose in one.poses:
        gaps = [_gap(pose, other.poses[index], max(one.width, one.height)) for index in left]
        nearest = int(np.argmin(gaps))
        if gaps[nearest] > TOLERANCE:
            return False
        del left[nearest]
    return True


def _gap(one: NDArray[np.float32], other: NDArray[np.float32], size: int) -> float:
    """The largest difference of a landmark's place in the picture, as a share of it."""
    return float(np.abs(one[:, :2] - other[:, :2]).max() / size)


def _visibility(frames: Sequence[Found]) -> NDArray[np.float32] | None:
    """(33,) of the last pose there is."""
    return next((found.poses[0, :, 3] for found in reversed(frames) if len(found.poses)), None)


def _as_if_whole(
    frames: Sequence[Found], seen: NDArray[np.float32] | None, told: NDArray[np.float32] | None
) -> list[Found]:
    """Frames of a later chain, their visibilities smoothed as in one run over the whole clip.

    `seen` is the smoothed visibility in that run before these frames and `told` the chain's own; None: there
    was no pose yet.
    """
    changed = list(frames)
    apart = None if seen is None or told is None else seen - told
    for index, found in enumerate(frames):
        if len(found.poses) != 1:
            continue
        smoothed = found.poses[0, :, 3]
        if apart is not None:
            apart = apart * (1 - VISIBILITY_SHARE)
        elif seen is not None:  # the chain's first pose, which it smoothed with nothing
            apart = (seen - smoothed) * (1 - VISIBILITY_SHARE)
        elif told is not None:  # the whole clip's first
            apart = (smoothed - told) * (1 / VISIBILITY_SHARE - 1)
        if apart is None or np.abs(apart).max() < _FORGOTTEN:
            break
        poses = found.poses.copy()
        poses[0, :, 3] += apart
        changed[index] = found._replace(poses=poses)
    return changed


def _key(time_s: float) -> int:
    """Microseconds: the same frame has the same key, read from the start or from the middle."""
    return round(time_s * 1e6)
