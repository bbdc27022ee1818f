"""Colours that a frame shows and neither side of it does, or that both sides show and it does not.

What moves brings its colours along: they are found again within a short way in the next frame. What pops out of the
picture or into it, such as a limb, is found on neither side. So each place is held against the darkest and the
brightest that the other frame has near by, and no motion has to be followed.
"""

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.frames import Image, SeenFrame

__all__ = ["Palette", "Step", "novelty", "palette_of"]

_AREA_PX = 96 * 54
_NEAR, _WIDE = np.ones((3, 3), np.uint8), np.ones((7, 7), np.uint8)
"""How far colours may have gone in one step, and between the two sides of a run."""
_POOL_PX = (7, 7)
"""About as large as a limb."""
_AROUND = np.ones((15, 15), np.uint8)
_FLOOR_LEVELS = 3.0
_PLACES = 4
"""So many places must show it, which a limb does at its faintest; an eye that blinks or a hand's rim may be fewer."""
_EDGE_PX = 2
"""Not looked at along the picture's edge: what comes in there was outside before, and nothing popped."""
_CODED = (2.0, 2.0, 2.0, 0.0)
"""Levels of each channel by which coding changes what stands still: every fourth frame may be coded otherwise."""
_STEADY_LIGHT = 0.004
"""Change of the logarithm of brightness up to which it is only noise."""
_BRIGHTEST = 255.0

_Map = NDArray[np.float32]
_Range = tuple[Image, Image]
_ALL_CHANNELS = np.ones((1, 3), np.float32)


class Palette:
    """A small picture, YCrCb, and the lowest and highest that each place has near by, channel by channel.

    These are made when they are asked for first: in most frames nobody does.
    """

    def __init__(self, picture: Image) -> None:
        self.picture = picture

    @cached_property
    def near(self) -> _Range:
        return _range(self.picture, _NEAR)

    @cached_property
    def wide(self) -> _Range:
        return _range(self.picture, _WIDE)


def palette_of(frame: SeenFrame) -> Palette:
    """Of a frame of any size."""
    return Palette(frame.tones(_AREA_PX))


class Step:
    """What one frame shows that the next has not near by, and the reverse; made when it is asked for first."""

    def __init__(self, one: Palette, next_: Palette) -> None:
        self._one, self._next = one, next_

    @cached_property
    def gone(self) -> Image:
        """Levels by which places of the one are beyond what is near by in the next, channel by channel."""
        return _beyond(self._one.picture, self._next.near)

    @cached_property
    def come(self) -> Image:
        """The same of the next in the one."""
        return _beyond(self._next.picture, self._one.near)

    @cached_property
    def gone_around(self) -> _Map:
        return _pooled(self.gone)

    @cached_property
    def come_around(self) -> _Map:
        return _pooled(self.come)

    @cached_property
    def around(self) -> _Map:
        """Of what went and what came the more, as pooled here."""
        return np.asarray(cv2.max(self.come_around, self.gone_around), dtype=np.float32)

    @cached_property
    def unfound(self) -> _Map:
        """Levels by which places around here are beyond what is near by in the other, either way."""
        return np.asarray(cv2.dilate(self.around, _AROUND), dtype=np.float32)


def novelty(
    before: Palette, entry: Step, leave: Step, after: Palette, usual: _Map, lightened: float
) -> float:
    """Of a run of frames between `before` and `after`, in multiples of what is not found again there anyway; 0 for
    nothing new.

    That of the fourth strongest place. `entry` and `leave` are the steps into the run and out of it, `usual` what the
    frames around it do not find again from one to the next, as `Step.unfound` has it; `lightened` by how much the
    logarithm of brightness changes into the run or out of it.
    """
    lit = np.float32(_BRIGHTEST * max(0.0, lightened - _STEADY_LIGHT))
    # A mean of what is less is no more than the lesser mean: mostly that tells.
    if _is_nowhere_new(cv2.min(entry.around, leave.around), usual):
        return 0.0
    most = cv2.max(
        cv2.min(entry.come_around, leave.gone_around), cv2.min(entry.gone_around, leave.come_around)
    )
    if _is_nowhere_new(most - lit, usual):
        return 0.0
    added, gone = cv2.min(entry.come, leave.gone), cv2.min(entry.gone, leave.come)
    new = cv2.max(_pooled(added), _pooled(gone)) - lit
    if _is_nowhere_new(new, usual):
        return 0.0
    across = cv2.max(_beyond(before.picture, after.wide), _beyond(after.picture, before.wide))
    anyway = cv2.max(usual, cv2.dilate(_pooled(across), _AROUND))
    excess = _inside((new - anyway) / (anyway + np.float32(_FLOOR_LEVELS)))
    if excess.size < _PLACES:
        return 0.0
    return max(0.0, float(np.partition(excess, -_PLACES, axis=None)[-_PLACES]))


def _is_nowhere_new(new: _Map, usual: _Map) -> bool:
    over = _inside(cv2.subtract(new, usual))
    return not over.size or float(over.max()) <= 0.0


def _inside(levels: _Map) -> _Map:
    return levels[_EDGE_PX:-_EDGE_PX, _EDGE_PX:-_EDGE_PX]


def _range(picture: Image, reach: Image) -> _Range:
    low = cv2.subtract(cv2.erode(picture, reach), _CODED)
    high = cv2.add(cv2.dilate(picture, reach), _CODED)
    return np.asarray(low, dtype=np.uint8), np.asarray(high, dtype=np.uint8)


def _beyond(picture: Image, span: _Range) -> Image:
    low, high = span
    return np.asarray(cv2.max(cv2.subtract(picture, high), cv2.subtract(low, picture)), dtype=np.uint8)


def _pooled(levels: Image) -> _Map:
    """Mean around each place, the channels summed."""
    return np.asarray(
        cv2.transform(cv2.boxFilter(levels, cv2.CV_32F, _POOL_PX), _ALL_CHANNELS), dtype=np.float32
    )
