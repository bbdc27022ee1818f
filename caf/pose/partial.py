"""What a pose task has found so far, on disk, in case it does not come to its end."""

import time
from pathlib import Path
from typing import Final

from caf.ports import PARTIAL_LANDMARKS
from caf.pose.landmarks import Landmarks, save_landmarks

__all__ = ["Partial"]

_EVERY_S: Final = 2.0
"""Seconds between two savings: half a kilobyte for each frame so far."""


class Partial:
    """Keeps `landmarks.partial.npz` in a folder, from time to time, as `complete` False."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / PARTIAL_LANDMARKS
        self._due_s = time.monotonic()

    @property
    def due(self) -> bool:
        return time.monotonic() >= self._due_s

    def save(self, landmarks: Landmarks) -> None:
        """The landmarks of the clip's first frames; whoever reads meanwhile sees all of this or of the one before."""
        self._due_s = time.monotonic() + _EVERY_S
        aside = self._path.with_suffix(".tmp")
        save_landmarks(aside, landmarks._replace(complete=False))
        aside.replace(self._path)

    def discard(self) -> None:
        """There is a whole result now."""
        self._path.unlink(missing_ok=True)
