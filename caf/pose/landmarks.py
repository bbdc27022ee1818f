"""The landmarks of a clip, and how they are stored."""

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
    "save_landmarks",
]

LANDMARK_COUNT: Final = 33
"""Source: the BlazePose topology."""

VISIBLE: Final = 0.5
"""A landmark counts from this visibility. Source: MediaPipe's drawing utilities, VISIBILITY_THRESHOLD."""


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


def _not_landmarks(path: Path, why: str) -> InputError:
    return InputError(
        f"{path} does not hold the landmarks of a clip: {why}.",
        remedy="Run the pose stage of the job again.",
        kind="landmarks_unreadable",
    )
