"""Identity anchor: hold the subject's colours to a reference picture, or to the clip's own median."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Anchor", "ColourMeter", "ColourPlan", "plan_colour"]

_SIDE_PX = 160
_BINS = 32
_REACH = 96.0  # a and b beyond this do not occur in sRGB pictures of animals or cloth
_ANGLES = np.radians(np.arange(-60.0, 60.1, 3.0))
_LARGEST = np.array([12.0, 18.0, 18.0])
_LARGEST_TO_REFERENCE = np.array([8.0, 10.0, 10.0])
"""A reference in another light must not repaint the clip: no more than this towards it, and drift on top."""
_LEAST_CHROMA = 4.0
_DEAD_DEG = 1.0

Stats = NDArray[np.float64]
Box = NDArray[np.float64]


class _Signature(NamedTuple):
    mean: Stats
    """(3,) L 0..100, a, b."""
    histogram: NDArray[np.float32]
    """(bins, bins) over a, b; sums to 1."""


class ColourMeter:
    """Takes each frame's colour signature: of the subject, and of what surrounds it."""

    def __init__(self) -> None:
        self.subject: list[_Signature] = []
        self.around: list[_Signature] = []
        self._found: list[bool] = []

    @property
    def told(self) -> NDArray[np.intp]:
        """The frames by which the subject's colours are told: in which it was found, or all if it never was."""
        found = np.flatnonzero(self._found)
        return found if len(found) else np.arange(len(self._found))

    def add(self, image: NDArray[np.uint8], box: Box | None = None) -> None:
        """Measure the next frame; `box` x0, y0, x1, y1 px is where the subject is, the middle without it."""
        self._found.append(box is not None)
        lab, mask = _small_lab(image), subject_mask(image.shape[:2], box)
        small = cv2.resize(mask, (lab.shape[1], lab.shape[0]), interpolation=cv2.INTER_AREA)
        self.subject.append(_signature(lab, small))
        self.around.append(_signature(lab, 1.0 - small))


def subject_mask(shape: tuple[int, ...], box: Box | None) -> NDArray[np.float32]:
    """Where the subject is, (H, W) float32 0..1 with soft edges."""
    height, width = shape[:2]
    if box is None or not np.isfinite(box).all():
        cx, cy, rx, ry = width / 2, height / 2, 0.28 * width, 0.36 * height
    else:
        cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        rx, ry = max(4.0, (box[2] - box[0]) / 2), max(4.0, (box[3] - box[1]) / 2)
    x = (np.arange(width, dtype=np.float32) - cx) / rx
    y = (np.arange(height, dtype=np.float32) - cy) / ry
    distance = x[None, :] ** 2 + y[:, None] ** 2
    return np.asarray(1.0 / (1.0 + distance**3), np.float32)


def _small_lab(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    scale = min(1.0, _SIDE_PX / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return _lab(cv2.resize(image, size, interpolation=cv2.INTER_AREA))


def _lab(image: NDArray[np.generic]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255.0, cv2.COLOR_BGR2Lab), np.float32)


def _signature(lab: NDArray[np.float32], mask: NDArray[np.float32]) -> _Signature:
    weight = mask.ravel().astype(np.float64)
    values = lab.reshape(-1, 3).astype(np.float64)
    mean = weight @ values / max(weight.sum(), 1e-9)
    edges = np.linspace(-_REACH, _REACH, _BINS + 1)
    histogram, _, _ = np.histogram2d(values[:, 1], values[:, 2], bins=[edges, edges], weights=weight)
    soft = cv2.GaussianBlur(histogram.astype(np.float32), (0, 0), 1.0)
    return _Signature(mean, np.asarray(soft / max(float(soft.sum()), 1e-9), np.float32))


class ColourPlan(NamedTuple):
    """Per frame: a turn of the hues and a shift, and whether the whole picture drifts or the subject alone."""

    turn_rad: NDArray[np.float64]
    shift: Stats
    """(T, 3) in L, a, b, after the turn."""
    whole_picture: bool
    drift_before: float
    """Spread of the subject's mean colour over time, in Lab units (about a just visible step each)."""
    drift_after: float


def plan_colour(meter: ColourMeter, weight: float, reference: NDArray[np.uint8] | None) -> ColourPlan:
    """Corrections that pull every frame's subject to the anchor with `weight` 0..1.

    Without a reference the anchor is the clip's median signature. Turns and shifts are bounded, so that a
    subject that leaves or a wrong reference cannot repaint the picture. Where it was not found, what is between
    those of the frames around is done: the middle of the picture may be a wall.
    """
    told = meter.told
    subject, beside = ([every[index] for index in told] for every in (meter.subject, meter.around))
    means = np.array([s.mean for s in subject])
    if reference is not None:
        lab = _small_lab(reference)
        usual = np.median(means, axis=0)
        far = _signature(lab, subject_mask(lab.shape[:2], None)).mean - usual
        goal = usual + np.clip(far, -_LARGEST_TO_REFERENCE, _LARGEST_TO_REFERENCE)
        turns, around = np.zeros(len(means)), np.zeros(len(means))
    else:
        goal = np.median(means, axis=0)
        turns, around = _turns(subject), _turns(beside)
    turns = np.where(np.abs(turns) < np.radians(_DEAD_DEG), 0.0, turns)
    turned = np.array([_rotated(m, t) for m, t in zip(means, turns, strict=True)])
    shift = np.clip(goal - turned, -_LARGEST, _LARGEST)
    if reference is None:
        whole = float(np.abs(turns - around).mean()) <= 0.5 * float(np.abs(turns).mean()) + 1e-9
    else:
        whole = False
    after = np.array([_rotated(m, weight * t) for m, t in zip(means, turns, strict=True)]) + weight * shift
    every = np.arange(len(meter.subject))
    turn = np.interp(every, told, weight * turns)
    shifts = np.column_stack([np.interp(every, told, part) for part in weight * shift.T])
    return ColourPlan(turn, shifts, whole, _spread(means, goal), _spread(after, goal))


def _spread(means: Stats, goal: Stats) -> float:
    return float(np.sqrt(np.mean(np.sum((means - goal) ** 2, axis=1))))


def _rotated(mean: Stats, turn: float) -> Stats:
    cos, sin = np.cos(turn), np.sin(turn)
    return np.array([mean[0], cos * mean[1] - sin * mean[2], sin * mean[1] + cos * mean[2]])


def _turns(signatures: Sequence[_Signature]) -> NDArray[np.float64]:
    """(T,) rad: the turn of the hue plane that lays each frame's colours over the median frame's."""
    means = np.array([s.mean for s in signatures])
    middle = np.median(means, axis=0)
    anchor = signatures[int(np.argmin(np.linalg.norm(means - middle, axis=1)))].histogram
    out = np.zeros(len(signatures))
    for index, signature in enumerate(signatures):
        if _chroma(signature.histogram) < _LEAST_CHROMA:
            continue
        scores = [_overlap(signature.histogram, anchor, angle) for angle in _ANGLES]
        best = int(np.argmax(scores))
        out[index] = _ANGLES[best] + _vertex(scores, best) * (_ANGLES[1] - _ANGLES[0])
    return out


def _chroma(histogram: NDArray[np.float32]) -> float:
    centres = (np.arange(_BINS) + 0.5) * 2 * _REACH / _BINS - _REACH
    return float((histogram * np.hypot(centres[:, None], centres[None, :])).sum())


def _overlap(histogram: NDArray[np.float32], anchor: NDArray[np.float32], angle: float) -> float:
    middle = ((_BINS - 1) / 2, (_BINS - 1) / 2)
    # Rows are a, columns b; a turn from a to b is from y to x for OpenCV, whose angle counts from x to -y.
    matrix = cv2.getRotationMatrix2D(middle, float(np.degrees(angle)), 1.0)
    turned = cv2.warpAffine(histogram, matrix, (_BINS, _BINS), flags=cv2.INTER_LINEAR)
    norm = float(np.linalg.norm(turned) * np.linalg.norm(anchor))
    return float((turned * anchor).sum()) / norm if norm > 0 else 0.0


def _vertex(scores: Sequence[float], best: int) -> float:
    if best in (0, len(scores) - 1):
        return 0.0
    left, top, right = scores[best - 1 : best + 2]
    curve = left - 2 * top + right
    return 0.5 * (left - right) / curve if curve < 0 else 0.0


class Anchor:
    """Applies a plan to the frames in order."""

    def __init__(self, plan: ColourPlan) -> None:
        self._plan = plan

    def apply(self, image: NDArray[np.uint8], index: int, box: Box | None = None) -> NDArray[np.uint8]:
        """The frame with its colours pulled to the anchor."""
        turn, shift = float(self._plan.turn_rad[index]), self._plan.shift[index]
        if abs(turn) < 1e-4 and np.abs(shift).max() < 0.05:
            return image
        lab = _lab(image)
        cos, sin = np.cos(turn), np.sin(turn)
        matrix = np.array([[1.0, 0, 0, shift[0]], [0, cos, -sin, shift[1]], [0, sin, cos, shift[2]]])
        moved = cv2.transform(lab, matrix)
        if not self._plan.whole_picture:
            mask = subject_mask(image.shape[:2], box)[:, :, None]
            moved = mask * moved + (1.0 - mask) * lab
        bgr = cv2.cvtColor(np.asarray(moved, np.float32), cv2.COLOR_Lab2BGR)
        return np.asarray(np.clip(np.rint(bgr * 255.0), 0, 255), np.uint8)
