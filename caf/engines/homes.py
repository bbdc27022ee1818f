"""Where the features of a generation are at home in a layer's own picture, as more and more of its frames are known."""

import numpy as np
from numpy.typing import NDArray

from caf.engines.tracks import Tracks

__all__ = ["KEEPS_PX", "Complex", "Homes"]

_KNOWN_FRAMES = 3
KEEPS_PX = 0.4
"""How far from its home, RMS, a feature is in the frames in which it keeps to the picture."""

Complex = NDArray[np.complex128]


class Homes:
    """Sums over the frames that are known, so that one more costs as much as the first."""

    def __init__(self, tracks: Tracks) -> None:
        features = len(tracks.places)
        self._tracks = tracks
        self._at: dict[int, tuple[complex, complex]] = {}
        """By frame, the factor and the shift that bring the layer's picture there."""
        self._count = np.zeros(features, np.intp)
        self._sum = np.zeros(features, np.complex128)
        self._squares = np.zeros(features)

    def has(self, frame: int) -> bool:
        """Whether the generation lasted to that frame of the clip, and began before."""
        return bool(0 <= frame - self._tracks.start < self._tracks.places.shape[1])

    def know(self, frame: int, factor: complex, shift: complex) -> None:
        """The layer's picture is there in that frame, which may have been known otherwise."""
        if frame in self._at:
            self._add(frame, -1)
        self._at[frame] = (factor, shift)
        self._add(frame, 1)

    def keeping(self, frame: int) -> tuple[Complex, Complex]:
        """Where features that kept to the picture in the other known frames are at home, and where in this one."""
        own = frame in self._at
        if own:
            self._add(frame, -1)
        now = self._tracks.places[:, frame - self._tracks.start]
        there = np.flatnonzero((self._count >= _KNOWN_FRAMES) & ~np.isnan(now))
        count = self._count[there]
        mean = self._sum[there] / count
        spread = self._squares[there] - count * (mean.real**2 + mean.imag**2)
        keeps = spread < KEEPS_PX**2 * (count - 1)
        found = mean[keeps], now[there[keeps]].astype(np.complex128)
        if own:
            self._add(frame, 1)
        return found

    def _add(self, frame: int, sign: int) -> None:
        factor, shift = self._at[frame]
        home = (self._tracks.places[:, frame - self._tracks.start].astype(np.complex128) - shift) / factor
        there = ~np.isnan(home)
        home[~there] = 0.0
        self._count += sign * there
        self._sum += sign * home
        self._squares += sign * (home.real**2 + home.imag**2)
