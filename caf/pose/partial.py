"""What a pose task has found so far, on disk, in case it does not come to its end."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from caf.ports import PARTIAL_LANDMARKS
from caf.pose.landmarks import Landmarks, save_landmarks

__all__ = ["Partial"]

_EVERY_S: Final = 2.0
"""Seconds between two savings at least: half a kilobyte for each frame so far."""
_SHARE: Final = 20
"""A saving takes longer the more there is to save, so there are so many times its seconds to the next."""


class Partial:
    """Keeps `landmarks.partial.npz` in a folder, from time to time, as `complete` False."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = folder / PARTIAL_LANDMARKS
        self._clock = clock
        self._due_s = clock()

    @property
    def due(self) -> bool:
        return self._clock() >= self._due_s

    def save(self, so_far: Callable[[], Landmarks]) -> None:
        """The landmarks of the clip's first frames; whoever reads meanwhile sees all of this or of the one before."""
        begun_s = self._clock()
        aside = self._path.with_suffix(".tmp")
        save_landmarks(aside, so_far()._replace(complete=False))
        aside.replace(self._path)
        done_s = self._clock()
        self._due_s = done_s + max(_EVERY_S, _SHARE * (done_s - begun_s))

    def discard(self) -> None:
        """There is a whole result now."""
        self._path.unlink(missing_ok=True)
