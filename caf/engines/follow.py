"""Features followed from one picture into another by Lucas and Kanade's least squares, coarse to fine.

Compiled where there was a compiler when caf was installed, else OpenCV's; both end alike, and differ by less than a
thousandth of a pixel mostly, as OpenCV rounds what lies between pixels. Source: J.-Y. Bouguet, Pyramidal implementation
of the affine Lucas Kanade feature tracker (2001).
"""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.media.compiled import NATIVE

__all__ = ["Look", "Picture", "led", "opencv_led"]

_PADDING = 32
"""As in native/follow.c."""

Places = NDArray[np.float32]


class Look(NamedTuple):
    """How a feature is looked for: in a square window, on how many levels above the picture, and when it is found."""

    window_px: int
    """At most 16."""
    levels: int
    rounds: int
    close_px: float
    """A round that moves it no farther is the last."""


class Picture:
    """A gray picture, (H, W) uint8, to follow features from and into; its levels are made when they are needed."""

    def __init__(self, gray: NDArray[np.uint8]) -> None:
        self.gray = gray
        self._smaller = [gray]
        self._padded: list[NDArray[np.float32]] = []

    def prepare(self, look: Look) -> None:
        """Make what a look will ask for, before several threads ask at once."""
        if NATIVE is not None:
            self.level(look.levels)

    def level(self, number: int) -> NDArray[np.float32]:
        """The picture made half as large so many times, with its rim mirrored around it."""
        while len(self._padded) <= number:
            if len(self._padded) == len(self._smaller):
                self._smaller.append(np.asarray(cv2.pyrDown(self._smaller[-1]), np.uint8))
            rim = (_PADDING,) * 4
            padded = cv2.copyMakeBorder(self._smaller[len(self._padded)], *rim, cv2.BORDER_REFLECT_101)
            self._padded.append(padded.astype(np.float32))
        return self._padded[number]


def led(
    before: Picture, after: Picture, start: Places, guess: Places, look: Look
) -> tuple[Places, NDArray[np.bool_]]:
    """Where the features at `start` (n, 2) px are in the picture after, looked for from `guess`; and (n,) whether
    they were seen there.
    """
    if NATIVE is None or not len(start):
        return opencv_led(before, after, start, guess, look)
    height, width = before.gray.shape
    sizes = [(width, height)]
    while (
        len(sizes) <= look.levels
        and min(s := ((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2)) > look.window_px
    ):
        sizes.append(s)
    deepest = len(sizes) - 1
    there = np.array(guess, np.float32) * np.float32(0.5**deepest)
    seen = np.empty(len(start), np.uint8)
    for number in range(deepest, -1, -1):
        place = np.ascontiguousarray(start, np.float32) * np.float32(0.5**number)
        NATIVE.followed(
            before.level(number),
            after.level(number),
            *sizes[number],
            place,
            there,
            seen,
            look.window_px,
            look.rounds,
            look.close_px,
        )
        if number:
            there *= 2
    return there, seen > 0


def opencv_led(
    before: Picture, after: Picture, start: Places, guess: Places, look: Look
) -> tuple[Places, NDArray[np.bool_]]:
    """`led` without compiled code."""
    if not len(start):
        return np.empty((0, 2), np.float32), np.zeros(0, np.bool_)
    there, ok, _ = cv2.calcOpticalFlowPyrLK(
        before.gray,
        after.gray,
        start,
        guess.copy(),
        winSize=(look.window_px, look.window_px),
        maxLevel=look.levels,
        criteria=(cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, look.rounds, look.close_px),
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(there, np.float32), np.asarray(ok.ravel() > 0)
