"""The landmarks of a clip: how they are stored, and the box around the subject that follows from them."""

import io
import zipfile
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from caf.errors import InputError

__all__ = [
    "LANDMARK_COUNT",
    "VISIBLE",
    "Found",
    "Landmarks",
    "given_landmarks",
    "load_landmarks",
    "pose_at",
    "save_landmarks",
    "scale_to",
    "subject_boxes",
]

LANDMARK_COUNT: Final = 33
"""Source: the BlazePose topology."""

VISIBLE: Final = 0.5
"""A landmark counts from this visibility. Source: MediaPipe's drawing utilities, VISIBILITY_THRESHOLD."""

_BOX_SCALE: Final = 1.25
"""The body reaches beyond its joints. Source: MediaPipe's pose_landmarks_to_roi enlarges by as much."""

_SAME_SHAPE: Final = 0.01
_SAME_S: Final = 0.02
"""How far apart two frames are at most that are the same moment, where no rate tells."""


class Landmarks(NamedTuple):
    """`points` (T, 33, 4) float32: x, y in pixels, z in pixels (smaller is nearer to the camera),
    visibility 0..1; NaN where no pose was found. `detected` (T,) bool.

    Of files written before these were kept, `times_s` is None.
    """

    points: NDArray[np.float32]
    detected: NDArray[np.bool_]
    times_s: NDArray[np.float64] | None = None
    """(T,) when each frame is shown, seconds since the first."""
    everyone: NDArray[np.float32] | None = None
    """(S, T, 33, 4) float32, a row for each subject that was told apart; None where only one was looked for."""
    subject: int = 0
    """Which row of `everyone` is `points`."""
    complete: bool = True
    """False: the work ended before the clip did, and these are its first T frames."""


class Found(NamedTuple):
    """The poses of one frame: `poses` (P, 33, 4) float32 as in `Landmarks`, P = 0 when there are none."""

    time_s: float
    width: int
    height: int
    poses: NDArray[np.float32]
    look: int = 0
    """Of the picture: two frames that look different are two frames, whatever their times say."""


def save_landmarks(path: Path, landmarks: Landmarks) -> None:
    """Writes an .npz whose bytes depend on the landmarks alone: no dates, no compression."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, value in landmarks._asdict().items():
            if value is None:
                continue
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.require(value, requirements="C"), allow_pickle=False)
            info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, buffer.getvalue())


def load_landmarks(path: Path) -> Landmarks:
    """What `save_landmarks` wrote, now or before it wrote more. Raises InputError for any other file."""
    try:
        # Of a damaged file that it opens itself numpy leaves one open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            landmarks = Landmarks(
                archive["points"],
                archive["detected"],
                archive.get("times_s", None),
                archive.get("everyone", None),
                int(archive["subject"]) if "subject" in archive else 0,
                bool(archive["complete"]) if "complete" in archive else True,
            )
    except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise _not_landmarks(path, str(error)) from error
    shape = landmarks.points.shape
    if shape[1:] != (LANDMARK_COUNT, 4) or landmarks.detected.shape != shape[:1]:
        raise _not_landmarks(path, f"arrays of the shapes {shape} and {landmarks.detected.shape}")
    return landmarks


def given_landmarks(path: Path) -> Landmarks:
    """The same of a file that a later stage was given. Raises `InputError` `pose_unreadable` for any other."""
    try:
        return load_landmarks(path)
    except InputError as fault:
        raise InputError(
            f"The pose landmarks in {path} cannot be read.",
            remedy="Run the pose stage again.",
            kind="pose_unreadable",
        ) from fault


def pose_at(times_s: NDArray[np.float64] | None, count: int, index: int, time_s: float) -> int | None:
    """Which of `count` poses is that of a clip's frame `index`, shown at `time_s`; None: there is none of that moment.

    `times_s` (count,) are those of the poses; without them the n-th pose is that of the n-th frame.
    """
    if times_s is None or not len(times_s):
        return index if index < count else None
    away_s = np.abs(times_s - time_s)
    place = int(np.argmin(away_s))
    usual_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    return place if away_s[place] <= max(_SAME_S, 0.55 * usual_s) else None


def scale_to(source: tuple[int, int], clip: tuple[int, int]) -> NDArray[np.float32] | None:
    """(4,) what the source's landmarks are multiplied by in a clip of another size; both are width, height in pixels.

    None for one of another shape: nothing says where its picture went.
    """
    across, down = clip[0] / source[0], clip[1] / source[1]
    if abs(across / down - 1) > _SAME_SHAPE:
        return None
    return np.array([across, down, across, 1], np.float32)


def subject_boxes(landmarks: Landmarks, width: int, height: int) -> NDArray[np.float32]:
    """(T, 4) float32 x0, y0, x1, y1 in pixels within the picture; NaN where there is no subject.

    The box of the visible landmarks, enlarged around its centre; a frame in which fewer than two
    landmarks are visible has no subject.
    """
    points = landmarks.points
    visible = points[..., 3] >= VISIBLE  # NaN compares as not visible
    enough = visible.sum(axis=1) >= 2
    xy = points[..., :2].astype(np.float64)
    low = np.where(visible[..., None], xy, np.inf).min(axis=1)
    high = np.where(visible[..., None], xy, -np.inf).max(axis=1)
    low[~enough] = high[~enough] = np.nan
    centre, half = (low + high) / 2, (high - low) / 2 * _BOX_SCALE
    size = np.array([width, height], dtype=np.float64)
    boxes = np.concatenate([(centre - half).clip(0, size), (centre + half).clip(0, size)], axis=1)
    boxes[(boxes[:, 2:] <= boxes[:, :2]).any(axis=1)] = np.nan
    return boxes.astype(np.float32)


def _not_landmarks(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} does not hold the landmarks of a clip: {why}.",
        remedy="Run the pose stage of the job again.",
        kind="landmarks_unreadable",
    )
