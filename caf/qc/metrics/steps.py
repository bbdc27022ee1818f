"""How much each frame differs from the one before: the series behind stutter, freeze, flicker and seam."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.cells import cell_means, middle
from caf.qc.metrics.frames import SeenFrame
from caf.qc.metrics.piece import WHOLE, Piece

__all__ = ["CUT_LEVELS", "ENDS", "StepCollector", "Steps"]

CUT_LEVELS = 10.0
"""A step below is no cut."""
ENDS = 5
"""Steps before the clip's end and after its beginning whose pictures are kept."""
Series = NDArray[np.float64]
Picture = NDArray[np.float32]
Sides = tuple[Picture, Picture]
_CELLS = 8
_TOP_CELLS = 4


@dataclass(frozen=True, slots=True)
class Steps:
    """Per-frame series of a clip of T frames, grey levels 0..255 unless said otherwise."""

    step: Series
    """(T,) mean absolute difference to the frame before; [0] is 0."""
    peak: Series
    """(T,) the same, of the four of 8x8 cells in which it is largest: a small thing that moves is seen here."""
    luma: Series
    """(T,) mean."""
    contrast: Series
    """(T,) standard deviation within the frame."""
    gain: Series
    """(T,) natural logarithm of the brightness relative to frame 0, as the median cell sees it."""
    time_s: Series
    """(T,) when each frame is shown, from the first on."""
    seam: float
    """Mean absolute difference of the last frame to the first."""
    seam_gain: float
    """Logarithm of the first frame's brightness over the last's, as the median cell sees it."""
    sides: Mapping[int, Sides] = field(default_factory=dict)
    """Where a step is as large as that of a cut: (8, 8) logarithms of the cells' brightness before it and after."""
    logs: NDArray[np.float16] = field(default_factory=lambda: np.zeros((0, _CELLS, _CELLS), np.float16))
    """(T, 8, 8) the cells' logarithms, roughly."""
    beginning: tuple[Picture, ...] = ()
    """The first frames, float32 with the long side at most 160: the pictures of `ENDS` steps."""
    end: tuple[Picture, ...] = ()
    """The last ones."""

    @property
    def frames(self) -> int:
        return len(self.step)

    @property
    def interval_s(self) -> float:
        """Median time from frame to frame; 0 for a single one."""
        return float(np.median(np.diff(self.time_s))) if self.frames > 1 else 0.0


def _log_cells(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    # Eight grey levels keep the noise of black cells out of the ratio.
    return np.asarray(np.log(cell_means(picture, _CELLS) + np.float32(8.0)), dtype=np.float32)


class StepCollector:
    """Holds the first and the last frames and a few numbers per frame, whatever the clip's length."""

    def __init__(self, piece: Piece = WHOLE) -> None:
        self._piece = piece
        self._step: list[float] = []
        self._peak: list[float] = []
        self._luma: list[float] = []
        self._contrast: list[float] = []
        self._gain_step: list[float] = []
        self._time_s: list[float] = []
        self._sides: dict[int, Sides] = {}
        self._logs: list[NDArray[np.float16]] = []
        self._beginning: list[Picture] = []
        self._end: deque[Picture] = deque(maxlen=ENDS + 1)
        self._last: Picture | None = None
        self._last_log: Picture | None = None

    def add(self, frame: SeenFrame) -> None:
        if frame.index >= self._piece.stop:
            return
        logs = _log_cells(frame.tiny)
        if frame.index >= self._piece.start:
            self._note(frame, logs)
        self._last, self._last_log = frame.tiny, logs

    def _note(self, frame: SeenFrame, logs: Picture) -> None:
        tiny = frame.tiny
        self._time_s.append(frame.time_s)
        self._logs.append(logs.astype(np.float16))
        if len(self._beginning) <= ENDS:
            self._beginning.append(tiny)
        self._end.append(tiny)
        mean, deviation = cv2.meanStdDev(tiny)
        self._luma.append(float(mean[0, 0]))
        self._contrast.append(float(deviation[0, 0]))
        if self._last is None or self._last_log is None:
            self._step.append(0.0)
            self._gain_step.append(0.0)
            self._peak.append(0.0)
        else:
            difference = cv2.absdiff(tiny, self._last)
            cells = cell_means(np.asarray(difference, dtype=np.float32), _CELLS)
            self._step.append(float(cv2.mean(difference)[0]))
            self._gain_step.append(middle(logs - self._last_log))
            if self._step[-1] > CUT_LEVELS:
                self._sides[frame.index] = self._last_log, logs
            self._peak.append(float(np.mean(np.sort(cells, axis=None)[-_TOP_CELLS:])))

    def extend(self, later: Self) -> None:
        """Joins what was gathered of the piece after this one."""
        self._step += later._step
        self._peak += later._peak
        self._luma += later._luma
        self._contrast += later._contrast
        self._gain_step += later._gain_step
        self._time_s += later._time_s
        self._logs += later._logs
        self._sides |= later._sides
        self._beginning += later._beginning[: ENDS + 1 - len(self._beginning)]
        self._end.extend(later._end)
        self._last, self._last_log = later._last, later._last_log

    def result(self) -> Steps:
        seam, seam_gain = 0.0, 0.0
        if self._beginning and self._last is not None and self._last_log is not None:
            seam = float(cv2.mean(cv2.absdiff(self._beginning[0], self._last))[0])
            seam_gain = middle(_log_cells(self._beginning[0]) - self._last_log)
        return Steps(
            step=np.array(self._step),
            peak=np.array(self._peak),
            luma=np.array(self._luma),
            contrast=np.array(self._contrast),
            gain=np.cumsum(np.array(self._gain_step)),
            time_s=np.array(self._time_s),
            seam=seam,
            seam_gain=seam_gain,
            sides=dict(self._sides),
            logs=np.array(self._logs, dtype=np.float16).reshape(-1, _CELLS, _CELLS),
            beginning=tuple(self._beginning),
            end=tuple(self._end),
        )
