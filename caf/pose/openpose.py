"""Draws poses as OpenPose does, on black: what pose-conditioned models (ControlNet and its kin) were trained on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.errors import InputError
from caf.media.probe import probe
from caf.media.read import Frame, read_frames
from caf.media.sequence import take_apart
from caf.ports import Exploded, OpenPoseRequest, ProbeRequest, Progress
from caf.pose.landmarks import VISIBLE, load_landmarks

__all__ = ["BODY", "draw_openpose", "openpose_pictures"]

BODY: Final[tuple[tuple[int, ...], ...]] = (
    *((0,), (11, 12), (12,), (14,), (16,), (11,), (13,), (15,)),
    *((24,), (26,), (28,), (23,), (25,), (27,), (5,), (2,), (8,), (7,)),
)
"""For each of OpenPose's 18 keypoints the BlazePose landmarks whose mean it is; the neck is between the shoulders.

Source: the COCO-18 order of OpenPose (nose, neck, right arm, left arm, right leg, left leg, eyes, ears), and the
BlazePose topology.
"""

_LIMBS: Final = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10)),
    *((1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
_COLOURS: Final = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0)),
    *((0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255)),
    *((0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
"""RGB of each keypoint, and of the limb of the same number: once round the colour circle. Source: as above."""

_LIMB_SHADE: Final = 0.6
"""Limbs are darker than joints by this. Source: OpenPose's own rendering."""
_WIDTH_SHARE: Final = 4 / 512
"""Half the thickness of a limb, and the radius of a joint, as a share of the shorter side. Source: as above, at 512."""
_SUBPIXEL_BITS: Final = 4


def openpose_pictures(request: OpenPoseRequest, progress: Progress) -> Exploded:
    """The poses of a clip as pictures or clips of its size and times, in pieces as `caf.media.sequence.explode`.

    A frame without a pose is black. Raises InputError `bad_pose` when the landmarks are those of a clip with another
    number of frames, MediaError for a clip that cannot be read, TryAgainError `disk_full`.
    """
    info = probe(ProbeRequest(path=request.video), lambda done, total: None)
    found = load_landmarks(Path(request.landmarks))
    frames, poses, each = 0, len(found.detected), request.frames_each

    def drawn() -> Iterator[Frame]:
        nonlocal frames
        for frame in read_frames(request.video):
            picture = np.zeros_like(frame.image)
            if frames < poses:
                draw_openpose(picture, found.points[frames])
            frames += 1
            yield frame._replace(image=picture)

    exploded = take_apart(drawn(), info, Path(request.out_dir), each, progress, clips=each != 1)
    if frames != poses:
        raise InputError(
            f"The clip has {frames} frames, and its poses are those of {poses}.",
            remedy="Have the workflow keep the number of frames, or run the pose stage of the job again.",
            kind="bad_pose",
        )
    return exploded


def draw_openpose(picture: NDArray[np.uint8], points: NDArray[np.float32]) -> None:
    """Draws one pose, (33, 4) as in `Landmarks`, into the (H, W, 3) uint8 BGR picture; all NaN draws nothing.

    A keypoint is drawn where all that it is made of is visible, a limb where both its ends are.
    """
    keypoints = [_keypoint(points, of) for of in BODY]
    size = max(1.0, min(picture.shape[:2]) * _WIDTH_SHARE)
    for number, (start, end) in enumerate(_LIMBS):
        one, other = keypoints[start], keypoints[end]
        if one is not None and other is not None:
            shade = tuple(round(_LIMB_SHADE * value) for value in _COLOURS[number])
            cv2.fillConvexPoly(
                picture, _ellipse(one, other, size), shade[::-1], cv2.LINE_AA, shift=_SUBPIXEL_BITS
            )
    for number, at in enumerate(keypoints):
        if at is not None:
            radius = round(size * 2**_SUBPIXEL_BITS)
            colour = _COLOURS[number][::-1]
            cv2.circle(picture, _fixed(at), radius, colour, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)


def _keypoint(points: NDArray[np.float32], of: tuple[int, ...]) -> NDArray[np.float64] | None:
    """(2,) float64 in pixels."""
    chosen = points[list(of)]
    if not (chosen[:, 3] >= VISIBLE).all():  # NaN compares as not visible
        return None
    at: NDArray[np.float64] = chosen[:, :2].astype(np.float64).mean(axis=0)
    return at


def _ellipse(one: NDArray[np.float64], other: NDArray[np.float64], half: float) -> NDArray[np.int32]:
    """A limb's outline, (N, 2) in fixed point: an ellipse from joint to joint."""
    middle, along = (one + other) / 2, (other - one) / 2
    length = float(np.hypot(*along))
    angle = np.arange(0, 2 * np.pi, np.pi / 36)
    unit = along / length if length > 0 else np.array([1.0, 0.0])
    across = np.array([-unit[1], unit[0]]) * half
    outline = middle + np.cos(angle)[:, None] * along + np.sin(angle)[:, None] * across
    fixed: NDArray[np.int32] = np.rint(outline * 2**_SUBPIXEL_BITS).astype(np.int32)
    return fixed


def _fixed(at: NDArray[np.float64]) -> tuple[int, int]:
    return int(np.rint(at[0] * 2**_SUBPIXEL_BITS)), int(np.rint(at[1] * 2**_SUBPIXEL_BITS))
