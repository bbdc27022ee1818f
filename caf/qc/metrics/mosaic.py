"""Every frame of a clip as 16x16 mean colours: enough to find its moment in another clip, and what differs there."""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.cells import cell_means
from caf.qc.metrics.frames import SeenFrame
from caf.qc.metrics.piece import WHOLE, Piece

__all__ = ["Mosaic", "MosaicCollector"]

_CELLS = 16


class Mosaic(NamedTuple):
    """Of a clip of T frames."""

    cells: NDArray[np.float16]
    """(T, 16, 16, 3) mean brightness 0..255, Cr and Cb about 0; a tenth of a level is more than coding leaves alone."""
    time_s: NDArray[np.float64]
    """(T,) when each frame is shown."""


class MosaicCollector:
    """Holds one and a half kilobytes a frame."""

    def __init__(self, piece: Piece = WHOLE) -> None:
        self._piece = piece
        self._cells: list[NDArray[np.float16]] = []
        self._time_s: list[float] = []

    def add(self, frame: SeenFrame) -> None:
        if not self._piece.holds(frame.index):
            return
        bright = cell_means(frame.tiny, _CELLS)[..., None]
        both = np.concatenate([bright, frame.chroma(_CELLS)], axis=2)
        self._cells.append(both.astype(np.float16))
        self._time_s.append(frame.time_s)

    def extend(self, later: Self) -> None:
        """Joins what was gathered of the piece after this one."""
        self._cells += later._cells
        self._time_s += later._time_s

    def result(self) -> Mosaic:
        cells = np.array(self._cells, dtype=np.float16).reshape(-1, _CELLS, _CELLS, 3)
        return Mosaic(cells, np.array(self._time_s, dtype=np.float64))
