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

_WIDTH: Final = 4


class _Body(NamedTuple):
    number: int
    box: NDArray[np.float64]
    seen_s: float


def landmarks_of(frames: Sequence[Found], most: int, subject: Subject) -> Landmarks:
    """The landmarks of the chosen one of at most `most` bodies, and of the others beside."""
    times_s = np.array([found.time_s for found in frames], np.float64)
    if most == 1:
        points = np.full((len(frames), LANDMARK_COUNT, _WIDTH), np.nan, np.float32)
        for index, found in enumerate(frames):
            if len(found.poses):
                points[index] = found.poses[0]
        return Landmarks(points, np.isfinite(points[:, 0, 0]), times_s)
    everyone = identify(frames, most)
    size = (frames[0].width, frames[0].height) if frames else (1, 1)
    chosen = choose(everyone, size, subject)
    points = everyone[chosen].copy()
    return Landmarks(points, np.isfinite(points[:, 0, 0]), times_s, everyone, chosen)


def identify(frames: Sequence[Found], most: int) -> NDArray[np.float32]:
    """(S, T, 33, 4) float32, a row for each body, 1 <= S <= `most`, in the order in which they appear.

    Where a clip has more, those stay that are seen in the most frames. NaN where a body is not seen.
    """
    rows: list[dict[int, NDArray[np.float32]]] = []
    bodies: list[_Body] = []
    for index, found in enumerate(frames):
        bodies = [body for body in bodies if found.time_s - body.seen_s <= _PATIENCE_S]
        poses = sorted(found.poses, key=lambda pose: tuple(pose.ravel().tolist()))
        boxes = [_box(pose) for pose in poses]
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
    measure: Callable[[NDArray[np.float64]], float] = {
        "largest": _area,
        "central": lambda box: _centrality(box, size),
        "box": lambda box: _overlap(box, np.array(subject.box, np.float64)),
    }[subject.how]
    scores = [
        sum(measure(_box(pose)) for pose in row[np.isfinite(row[:, 0, 0])]) / max(1, len(row))
        for row in everyone
    ]
    return int(np.argmax(scores))


def _owners(bodies: Sequence[_Body], boxes: Sequence[NDArray[np.float64]]) -> list[int | None]:
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


def _box(pose: NDArray[np.float32]) -> NDArray[np.float64]:
    """x0, y0, x1, y1 around the visible landmarks, or around all where fewer than two are visible."""
    seen = pose[pose[:, 3] >= VISIBLE]
    xy = (seen if len(seen) >= 2 else pose)[:, :2].astype(np.float64)
    return np.concatenate((xy.min(axis=0), xy.max(axis=0)))


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Between the centres, in widths across and heights down of the larger box, whichever is more."""
    sides = np.maximum(one[2:] - one[:2], other[2:] - other[:2])
    apart = np.abs(one[:2] + one[2:] - other[:2] - other[2:]) / 2
    return float((apart / sides).max()) if sides.all() else math.inf


def _area(box: NDArray[np.float64]) -> float:
    width, height = box[2:] - box[:2]
    return float(width * height)


def _centrality(box: NDArray[np.float64], size: tuple[int, int]) -> float:
    middle = np.array(size, np.float64) / 2
    apart = float(np.linalg.norm((box[:2] + box[2:]) / 2 - middle))
    return max(0.0, 1 - apart / float(np.linalg.norm(middle)))


def _overlap(box: NDArray[np.float64], named: NDArray[np.float64]) -> float:
    sides = np.minimum(box[2:], named[2:]) - np.maximum(box[:2], named[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    whole = _area(box) + _area(named) - shared
    return shared / whole if whole > 0 else 0.0
