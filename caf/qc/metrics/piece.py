"""Which frames of a clip one collector gathers: all of them, or a piece that others are joined to.

A collector of a piece is shown some frames before it and after it as well. What it remembers of the piece is what
it would remember of the same frames in the whole clip, to the last bit; joined in order, the pieces are the whole.
"""

import sys
from typing import NamedTuple

__all__ = ["AFTER", "BEFORE", "GRID", "WHOLE", "Piece", "step_for"]

GRID = 12
"""Pieces begin at multiples of it. What is followed over several frames is begun anew there, in a whole clip too."""
BEFORE = 8
"""Frames before a piece that a frame's place among its neighbours is judged by: five in a row, and three more."""
AFTER = 7
"""The same after it: the rest of five in a row, and three more."""


class Piece(NamedTuple):
    """Frames `start` up to, not including, `stop` of a clip that has `frames` by its file; 0: nobody knows."""

    start: int = 0
    stop: int = sys.maxsize
    frames: int = 0

    def holds(self, index: int) -> bool:
        return self.start <= index < self.stop


WHOLE = Piece()


def step_for(frames: int, first: int, most: int) -> int:
    """`first`, doubled until every so-manieth of `frames` frames are at most `most`."""
    step = first
    while -(-frames // step) > most:
        step *= 2
    return step
