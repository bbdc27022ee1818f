"""Who is who in a clip of several: poses that belong to the same body over time, and the body that counts. Pure.

The landmarker tells the poses of a frame in no order that means anything. Here each is given to the body whose
box it continues; the order in which they came changes nothing.
"""

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.pose.choice import Subject
from caf.pose.landmarks import LANDMARK_COUNT, VISIBLE, Found, Landmarks

__all__ = ["choose", "identify", "landmarks_of"]

_REACH: Final = 0.5
"""A pose continues a body if its centre lies within the body's box: half a width to a side, half a height up or down.

Five cats that dance side by side stand a width apart. With 0.7 one body's places ran through two of theirs, with
0.35 each fell into twice as many.
"""

_PATIENCE_S: Final = 3.0
"""A body that was not seen for longer is a new one when it comes back.

Of those five cats each is found in a quarter of the frames at best: with 1 s they fell into 26 bodies, with 3 s
into 11, with 6 s into 8 of which two were mixed.
"""

_ALIVE_EVERY: Final = 256
"""Frames, each of some milliseconds where there are many bodies."""

_WIDTH: Final = 4


Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""


class _Body(NamedTuple):
    number: int
    box: Box
    seen_s: float


def landmarks_of(
    frames: Sequence[Found], most: int, subject: Subject, alive: Callable[[], None] = lambda: None
) -> Landmarks:
    """The landmarks of the chosen one of at most `most` bodies, and of the others beside.

    `alive` is called from time to time: an hour of five bodies takes a minute.
    """
    times_s = np.array([found.time_s for found in frames], np.float64)
    if most == 1:
        points = np.full((len(frames), LANDMARK_COUNT, _WIDTH), np.nan, np.float32)
        for index, found in enumerate(frames):
            if len(found.poses):
                points[index] = found.poses[0]
        return Landmarks(points, np.isfinite(points[:, 0, 0]), times_s)
    everyone = identify(frames, most, alive)
    size = (frames[0].width, frames[0].height) if frames else (1, 1)
    chosen = choose(everyone, size, subject)
    points = everyone[chosen].copy()
    return Landmarks(points, np.isfinite(points[:, 0, 0]), times_s, everyone, chosen)


def identify(
    frames: Sequence[Found], most: int, alive: Callable[[], None] = lambda: None
) -> NDArray[np.float32]:
    """(S, T, 33, 4) float32, a row for each body, 1 <= S <= `most`, in the order in which they appear.

    Where a clip has more, those stay that are seen in the most frames. NaN where a body is not seen.
    """
    rows: list[dict[int, NDArray[np.float32]]] = []
    bodies: list[_Body] = []
    for index, found in enumerate(frames):
        if index % _ALIVE_EVERY == 0:
            alive()
        bodies = [body for body in bodies if found.time_s - body.seen_s <= _PATIENCE_S]
        poses = sorted(found.poses, key=lambda pose: tuple(pose.ravel().tolist()))
        boxes = _boxes(np.stack(poses)) if poses else []
        owners = _owners(bodies, boxes)
        for pose, box, owner in zip(poses, boxes, owners, strict=True):
            number = owner if owner is not None else len(rows)
            if owner is None:
                rows.append({})
            rows[number][index] = pose
            bodies = [body for body in bodies if body.number != number]
            bodies.append(_Body(number, box, found.time_s))
    kept = sorted(sorted(range(len(rows)), key=lambda number: -len(rows[number]))[:most])
    everyone = np.full((max(1, len(kept)), len(frames), LANDMARK_COUNT, _WIDTH), np.nan, np.float32)
    for row, number in enumerate(kept):
        for index, pose in rows[number].items():
            everyone[row, index] = pose
    return everyone


def choose(everyone: NDArray[np.float32], size: tuple[int, int], subject: Subject) -> int:
    """The row of the subject: the one with the highest mean over all frames, a frame without it counting 0, of

    largest: the area of its box; central: 1 less its centre's distance from the picture's, as a share of the
    half diagonal; box: how far its box and the named one cover each other (intersection over union).
    """
    measure: Callable[[Box], float] = {
        "largest": _area,
        "central": lambda box: _centrality(box, size),
        "box": lambda box: _overlap(box, subject.box or (0.0, 0.0, 0.0, 0.0)),
    }[subject.how]
    scores = [
        sum(map(measure, _boxes(row[np.isfinite(row[:, 0, 0])]))) / max(1, len(row)) for row in everyone
    ]
    return int(np.argmax(scores))


def _owners(bodies: Sequence[_Body], boxes: Sequence[Box]) -> list[int | None]:
    """For each box the number of the body that it continues; the nearest pairs first, each only once."""
    pairs = sorted(
        (distance, body.number, index)
        for body in bodies
        for index, box in enumerate(boxes)
        if (distance := _distance(body.box, box)) <= _REACH
    )
    owners: list[int | None] = [None] * len(boxes)
    taken: set[int] = set()
    for _, number, index in pairs:
        if owners[index] is None and number not in taken:
            owners[index] = number
            taken.add(number)
    return owners


def _boxes(poses: NDArray[np.float32]) -> list[Box]:
    """Of each of (P, 33, 4): around the visible landmarks, or around all where fewer than two are visible."""
    seen = poses[..., 3] >= VISIBLE
    seen |= seen.sum(axis=1, keepdims=True) < 2
    xy = poses[..., :2].astype(np.float64)
    low = np.where(seen[..., None], xy, np.inf).min(axis=1)
    high = np.where(seen[..., None], xy, -np.inf).max(axis=1)
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in np.concatenate((low, high), axis=1).tolist()]


def _distance(one: Box, other: Box) -> float:
    """Between the centres, in widths across and heights down of the larger box, whichever is more."""
    # Plain numbers: numpy would take ten times as long for four of them, and there are many pairs.
    width, height = max(one[2] - one[0], other[2] - other[0]), max(one[3] - one[1], other[3] - other[1])
    if not (width and height):
        return math.inf
    across, down = (
        abs(one[0] + one[2] - other[0] - other[2]) / 2,
        abs(one[1] + one[3] - other[1] - other[3]) / 2,
    )
    return max(across / width, down / height)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _centrality(box: Box, size: tuple[int, int]) -> float:
    middle, placed = np.array(size, np.float64) / 2, np.array(box, np.float64)
    apart = float(np.linalg.norm((placed[:2] + placed[2:]) / 2 - middle))
    return max(0.0, 1 - apart / float(np.linalg.norm(middle)))


def _overlap(box: Box, named: Box) -> float:
    width, height = (
        min(box[2], named[2]) - max(box[0], named[0]),
        min(box[3], named[3]) - max(box[1], named[1]),
    )
    shared = max(width, 0) * max(height, 0)
    whole = _area(box) + _area(named) - shared
    return shared / whole if whole > 0 else 0.0
