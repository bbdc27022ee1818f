"""Finds the pose in every frame of a clip with MediaPipe's landmarker. Runs in a worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import mediapipe as mp
import numpy as np
from numpy.typing import NDArray

from caf.errors import CafError, UnavailableError
from caf.media.probe import probe
from caf.media.read import Frame, read_frames
from caf.ports import PoseRequest, PoseResult, ProbeRequest, Progress
from caf.pose.landmarks import LANDMARK_COUNT, Landmarks, save_landmarks

__all__ = ["MIN_DETECTION", "MIN_PRESENCE", "MIN_TRACKING", "detect"]

MIN_DETECTION: Final = 0.5
"""Confidence from which a person is found. Source: the default of MediaPipe's PoseLandmarkerOptions."""

MIN_PRESENCE: Final = 0.5
"""Confidence from which a pose is in the found region. Source: as above."""

MIN_TRACKING: Final = 0.5
"""Confidence from which the next frame trusts the last region. Source: as above."""


def detect(request: PoseRequest, progress: Progress) -> PoseResult:
    """Writes `landmarks.npz` into the request's folder; the same clip and model give the same bytes.

    A clip is tracked from frame to frame (VIDEO mode); a still image is one frame by itself.
    Raises MediaError for a clip that cannot be decoded, UnavailableError for a model that cannot be
    loaded, CafError with the kind `pose_failed` when the landmarker gives up on a frame.
    """
    info = probe(ProbeRequest(path=request.video), _no_progress)
    landmarks = _follow(request, info.kind == "image", info.frames, progress)
    path = Path(request.out_dir) / "landmarks.npz"
    save_landmarks(path, landmarks)
    return PoseResult(
        frames=len(landmarks.detected), detected=int(landmarks.detected.sum()), landmarks=str(path)
    )


def _follow(request: PoseRequest, still: bool, expected: int, progress: Progress) -> Landmarks:
    points: list[NDArray[np.float32]] = []
    with _landmarker(request.model, still) as landmarker:
        stamp_ms = -1
        for frame in read_frames(request.video, pixel="rgb24"):
            # Timestamps must grow by whole milliseconds, however close the frames of the clip are.
            stamp_ms = max(stamp_ms + 1, round(frame.time_s * 1000))
            points.append(_points(landmarker, frame, None if still else stamp_ms))
            progress(len(points), max(expected, len(points)))
    stacked = np.stack(points) if points else np.empty((0, LANDMARK_COUNT, 4), np.float32)
    return Landmarks(stacked, np.isfinite(stacked[:, 0, 0]))


@contextmanager
def _landmarker(model: str, still: bool) -> Iterator[Any]:
    modes = mp.tasks.vision.RunningMode
    options = mp.tasks.vision.PoseLandmarkerOptions(
        base_options=mp.tasks.BaseOptions(model_asset_path=model, delegate=mp.tasks.BaseOptions.Delegate.CPU),
        running_mode=modes.IMAGE if still else modes.VIDEO,
        num_poses=1,
        min_pose_detection_confidence=MIN_DETECTION,
        min_pose_presence_confidence=MIN_PRESENCE,
        min_tracking_confidence=MIN_TRACKING,
        output_segmentation_masks=False,
    )
    try:
        landmarker = mp.tasks.vision.PoseLandmarker.create_from_options(options)
    except (RuntimeError, ValueError, FileNotFoundError) as error:
        raise UnavailableError(
            f"The pose model {model} cannot be loaded: {error}.",
            remedy="Remove that file and run 'caf models fetch', or configure another model.",
            kind="model_unavailable",
        ) from error
    with landmarker:
        yield landmarker


def _points(landmarker: Any, frame: Frame, stamp_ms: int | None) -> NDArray[np.float32]:
    """(33, 4) float32, all NaN when no pose was found."""
    picture = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(frame.image))
    try:
        found = (
            landmarker.detect(picture) if stamp_ms is None else landmarker.detect_for_video(picture, stamp_ms)
        )
    except (RuntimeError, ValueError) as error:
        raise CafError(
            f"The pose landmarker failed on the frame at {frame.time_s:.3f} s: {error}.",
            remedy="Try again; if it fails at the same frame, cut that frame out.",
            kind="pose_failed",
            transient=True,
        ) from error
    if not found.pose_landmarks:
        return np.full((LANDMARK_COUNT, 4), np.nan, np.float32)
    height, width = frame.image.shape[:2]
    return np.array(
        [(p.x * width, p.y * height, p.z * width, p.visibility) for p in found.pose_landmarks[0]],
        np.float32,
    )


def _no_progress(done: int, total: int | None) -> None:
    """Counting packets is over at once."""
