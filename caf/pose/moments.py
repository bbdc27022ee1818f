"""Which pose of a source is that of a frame of a clip made of it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from caf.pose.landmarks import given_landmarks

__all__ = ["Poses", "scale_to"]

_SAME_SHAPE: Final = 0.01
_SAME_S: Final = 0.02
"""How far apart two frames are at most that are the same moment, where no rate tells."""


@dataclass(frozen=True, slots=True)
class Poses:
    """`points` (T, 33, 4) float32 and `detected` (T,) bool as in `Landmarks`; `times_s` (T,) since the first, rising.

    Where `times_s` is None, as of files written before these were kept, the n-th pose is that of the n-th frame.
    """

    points: NDArray[np.float32]
    detected: NDArray[np.bool_]
    times_s: NDArray[np.float64] | None = None
    _same_s: float = field(init=False, default=_SAME_S)

    def __post_init__(self) -> None:
        times_s = self.times_s
        if times_s is None or times_s.shape != self.detected.shape or not len(times_s):
            object.__setattr__(self, "times_s", None)
        elif len(times_s) > 1:
            same_s = max(_SAME_S, 0.55 * float(np.median(np.diff(times_s))))
            object.__setattr__(self, "_same_s", same_s)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Those that the pose stage wrote. Raises `InputError` `pose_unreadable` for any other file."""
        stored = given_landmarks(Path(path))
        return cls(stored.points.astype(np.float32), stored.detected.astype(bool), stored.times_s)

    def at(self, index: int, time_s: float) -> NDArray[np.float32] | None:
        """(33, 4) the pose at the time of the clip's frame `index`; None where there is none."""
        place = self._place(index, time_s)
        return self.points[place] if place is not None and self.detected[place] else None

    def _place(self, index: int, time_s: float) -> int | None:
        if self.times_s is None:
            return index if index < len(self.detected) else None
        after = int(np.searchsorted(self.times_s, time_s))
        first = max(0, after - 1)
        away_s = np.abs(self.times_s[first : after + 1] - time_s)
        nearest = int(np.argmin(away_s))
        return first + nearest if away_s[nearest] <= self._same_s else None


def scale_to(source: tuple[int, int], clip: tuple[int, int]) -> NDArray[np.float32] | None:
    """(4,) what the source's landmarks are multiplied by in a clip of another size; both are width, height in pixels.

    None for one of another shape: nothing says where its picture went.
    """
    across, down = clip[0] / source[0], clip[1] / source[1]
    if abs(across / down - 1) > _SAME_SHAPE:
        return None
    return np.array([across, down, across, 1], np.float32)
