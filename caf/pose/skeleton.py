"""Draws the poses of a clip over its frames, so that a person sees what the pose stage saw."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.errors import InputError
from caf.media.probe import probe
from caf.media.read import read_frames
from caf.media.write import ClipWriter
from caf.ports import ProbeRequest, Progress
from caf.pose.landmarks import VISIBLE, Landmarks, load_landmarks
from caf.pose.overlay import SkeletonClip, SkeletonRequest

__all__ = ["draw_pose", "draw_skeleton"]

_LEFT: Final = (48, 140, 255)
_RIGHT: Final = (255, 176, 64)
_MIDDLE: Final = (235, 235, 235)
"""BGR; the subject's left is orange and its right blue, so that a swap of sides is seen at once."""

_MUTED: Final = (120, 120, 120)

_BONES: Final = (
    *((0, 1), (1, 2), (2, 3), (3, 7), (0, 4), (4, 5), (5, 6), (6, 8), (9, 10)),  # face
    *((11, 12), (11, 23), (12, 24), (23, 24)),  # trunk
    *((11, 13), (13, 15), (15, 17), (15, 19), (15, 21), (17, 19)),  # left arm
    *((12, 14), (14, 16), (16, 18), (16, 20), (16, 22), (18, 20)),  # right arm
    *((23, 25), (25, 27), (27, 29), (27, 31), (29, 31)),  # left leg
    *((24, 26), (26, 28), (28, 30), (28, 32), (30, 32)),  # right leg
)
"""Source: the BlazePose topology. From 1 on, the face's 1-3, 7, 9 and the body's odd numbers are left."""

_LEFT_POINTS: Final = frozenset({1, 2, 3, 7, 9, *range(11, 33, 2)})
_RIGHT_POINTS: Final = frozenset({4, 5, 6, 8, 10, *range(12, 33, 2)})
_LINE_SHARE: Final = 1 / 240
"""Width of a bone as a share of the picture's shorter side: 3 px at 720."""

_SUBPIXEL_BITS: Final = 4


def draw_skeleton(request: SkeletonRequest, progress: Progress) -> SkeletonClip:
    """Writes an H.264 clip with the source's times and sound; frames without a pose stay as they are.

    Raises InputError when the landmarks belong to a clip with another number of frames.
    """
    info = probe(ProbeRequest(path=request.video), _no_progress)
    landmarks = load_landmarks(Path(request.landmarks))
    writer = ClipWriter(
        request.out,
        width=info.width,
        height=info.height,
        fps=info.fps,
        variable_fps=info.variable_fps,
        mode="final",
        sound_from=request.video if info.has_audio else None,
    )
    total, done = len(landmarks.detected), 0
    with writer:
        for frame in read_frames(request.video):
            if done >= total:
                raise _other_clip(request, landmarks)
            picture = np.zeros_like(frame.image) if request.on_black else frame.image.copy()
            if not request.on_black:
                _draw_others(picture, landmarks, done)
            draw_pose(picture, landmarks.points[done])
            writer.write(picture, frame.time_s)
            done += 1
            progress(done, total)
        if done != total:
            raise _other_clip(request, landmarks)
    return SkeletonClip(video=request.out, frames=done)


def draw_pose(picture: NDArray[np.uint8], points: NDArray[np.float32], *, muted: bool = False) -> None:
    """Draws one pose, (33, 4) as in `Landmarks`, into the (H, W, 3) uint8 BGR picture.

    Only what is visible is drawn; all NaN draws nothing. `muted` is grey, for those who do not count.
    """
    seen = points[:, 3] >= VISIBLE  # NaN compares as not visible
    width = max(1, round(min(picture.shape[:2]) * _LINE_SHARE))
    fixed = np.where(seen[:, None], points[:, :2], 0) * 2**_SUBPIXEL_BITS
    at = [(int(x), int(y)) for x, y in np.rint(fixed)]
    for start, end in _BONES:
        if seen[start] and seen[end]:
            colour = _MUTED if muted else _colour(start, end)
            cv2.line(picture, at[start], at[end], colour, width, cv2.LINE_AA, _SUBPIXEL_BITS)
    for number in np.flatnonzero(seen):
        joint = int(number)
        radius = width << _SUBPIXEL_BITS
        colour = _MUTED if muted else _colour(joint)
        cv2.circle(picture, at[joint], radius, colour, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)


def _draw_others(picture: NDArray[np.uint8], landmarks: Landmarks, frame: int) -> None:
    if landmarks.everyone is None:
        return
    for number, points in enumerate(landmarks.everyone[:, frame]):
        if number != landmarks.subject:
            draw_pose(picture, points, muted=True)


def _colour(*joints: int) -> tuple[int, int, int]:
    """A bone from the middle to a side has the colour of that side; one across has the middle's."""
    left, right = (not side.isdisjoint(joints) for side in (_LEFT_POINTS, _RIGHT_POINTS))
    if left == right:
        return _MIDDLE
    return _LEFT if left else _RIGHT


def _other_clip(request: SkeletonRequest, landmarks: Landmarks) -> InputError:
    return InputError(
        f"{request.landmarks} holds {len(landmarks.detected)} frames, but {request.video} has another number.",
        remedy="Give the landmarks that were found in this clip.",
    )


def _no_progress(done: int, total: int | None) -> None:
    """Counting packets is over at once."""
