"""What a few frames of a clip show that the same moments of its source do not.

Held against its source, nothing that moves sticks out: it moves in both. What is left is what was done to the clip,
and that is much the same from frame to frame. Where it is another for a frame, or two or three, a part popped.
"""

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.findings import Floats

__all__ = ["TONES", "VISIBLE_LEVELS", "Shades", "added_levels", "levels_of", "shades_of_cells"]

VISIBLE_LEVELS = 2.0
"""From here on something popped. Clips coded again, sharpened or evened reach 1.3, pops mostly 3 to 60."""
_PER_LEVEL = 64
_LONGEST = 3
_MOST_MISSING = 0.1
_TOGETHER_LEVELS, _TOGETHER_SHARE = 1.5, 95
"""So little must nearly all cells usually change against the source, or the two do not run together."""
_USUAL_SHARE, _USUAL_COUNTS = 80, 3.0
_RARE_SHARE = 0.1
"""What sticks out in more of the frames is no pop: the two run together only now and then, or were mixed otherwise."""
_PIECE = 1024
"""Frames that are looked at together, whatever the clip's length."""
_NEIGHBOURS = np.ones((3, 3), np.uint8)

TONES = 16
"""The first so many rows of shades."""
_NO_COLOUR = 128

Shades = NDArray[np.uint16]
"""(24, 16) in 64ths of levels: the means of 16x16 cells, and below them those of Cr and Cb of 8x8, side by side."""


def shades_of_cells(
    tones: NDArray[np.float32], red: NDArray[np.float32], blue: NDArray[np.float32]
) -> Shades:
    """Of means of 16x16 cells: tones 0..255, and colours about 0."""
    half = (TONES // 2, TONES // 2)
    colours = [cv2.resize(one, half, interpolation=cv2.INTER_AREA) + _NO_COLOUR for one in (red, blue)]
    return np.asarray(np.clip(np.vstack([tones, np.hstack(colours)]), 0, 255) * _PER_LEVEL, dtype=np.uint16)


def levels_of(shades: NDArray[np.uint16]) -> NDArray[np.float32]:
    """(N, 24, 16) 0..255."""
    return np.asarray(shades / np.float32(_PER_LEVEL), dtype=np.float32)


def added_levels(clip: NDArray[np.uint16], source: Mapping[int, Shades]) -> Floats | None:
    """(T,) levels by which a cell of each frame is off the source, and in the frames before and after it is not.

    `clip` (T, 24, 16) are the shades of all frames, `source` those of the frames that the source has, by index. None
    where the two do not run together, or the source lacks more than a tenth of the moments; NaN where it lacks one.
    """
    there = np.array(sorted(source), dtype=np.int64)
    if len(there) < max(2 * _LONGEST + 1, (1 - _MOST_MISSING) * len(clip)):
        return None
    here, before = levels_of(clip[there]), levels_of(np.stack([source[int(at)] for at in there]))
    # In the clip's light.
    before[:, :TONES] *= _middles(here) / np.maximum(_middles(before), np.float32(1))
    off = np.asarray(here - before, dtype=np.float32)
    off[:, :TONES] -= _middles(off)
    usual = np.percentile(np.abs(np.diff(off, axis=0)), _USUAL_SHARE, axis=0).astype(np.float32)
    if float(np.percentile(usual, _TOGETHER_SHARE)) > _TOGETHER_LEVELS:
        return None
    # What moves against the source is elsewhere in the next frame.
    usual = np.asarray(cv2.dilate(usual, _NEIGHBOURS), dtype=np.float32)
    result = np.full(len(clip), np.nan)
    result[there] = _sticking_out(off, usual)
    return None if float(np.mean(result > VISIBLE_LEVELS)) > _RARE_SHARE else result


def _middles(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 1, 1) of the tones."""
    return np.asarray(np.median(levels[:, :TONES], axis=(1, 2), keepdims=True), dtype=np.float32)


def _sticking_out(off: NDArray[np.float32], usual: NDArray[np.float32]) -> Floats:
    """(T,) by how much any cell of `off` (T, 24, 16) goes and comes back within three frames, beyond what is usual."""
    around = _LONGEST + 1
    found = np.zeros(len(off))
    for start in range(0, len(off), _PIECE):
        first = max(0, start - around)
        piece = _sticking_out_of(off[first : start + _PIECE + around], usual)
        found[start : start + _PIECE] = piece[start - first :][:_PIECE]
    return found


def _sticking_out_of(off: NDArray[np.float32], usual: NDArray[np.float32]) -> Floats:
    """The same of a piece."""
    found = np.zeros(len(off))
    for length in range(1, min(_LONGEST, len(off) - 2) + 1):
        before, after = off[: -length - 1], off[length + 1 :]
        run = np.stack([off[1 + at : len(off) - length + at] for at in range(length)])
        rises = np.minimum(run - before, run - after).min(axis=0)
        falls = np.minimum(before - run, after - run).min(axis=0)
        beyond = np.maximum(rises, falls) - np.abs(after - before) - _USUAL_COUNTS * usual
        strongest = beyond.max(axis=(1, 2))
        for at in range(length):
            inside = found[1 + at : len(found) - length + at]
            np.maximum(inside, strongest, out=inside)
    return found
