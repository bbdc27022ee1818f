"""The poses of a clip, frame by frame, as MediaPipe's landmarker tells them. Runs in a worker."""

import queue
import threading
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from caf.errors import CafError, UnavailableError
from caf.media.read import Frame, read_frames
from caf.pose.landmarks import LANDMARK_COUNT, Found
from caf.pose.runtime import load_mediapipe

__all__ = ["MIN_DETECTION", "MIN_PRESENCE", "MIN_TRACKING", "follow"]

MIN_DETECTION: Final = 0.5
"""Confidence from which a person is found. Source: the default of MediaPipe's PoseLandmarkerOptions."""

MIN_PRESENCE: Final = 0.5
"""Confidence from which a pose is in the found region. Source: as above."""

MIN_TRACKING: Final = 0.5
"""Confidence from which the next frame trusts the last region. Source: as above."""

_AHEAD: Final = 4
"""Frames that are decoded while the landmarker works on one: 25 MB each at 4K."""


def follow(
    video: str,
    model: str,
    *,
    still: bool = False,
    most: int = 1,
    start_s: float = 0.0,
    decoders: int = 0,
) -> Generator[Found]:
    """The poses of every frame from `start_s` on, tracked from frame to frame (VIDEO mode), at most `most`.

    The tracker knows nothing of what comes before `start_s`. Decoding begins before the model is loaded, and
    stays ahead of it; `decoders` are its threads, 0: as it likes. Close the iterator to end early. Raises
    MediaError for a clip that cannot be decoded, UnavailableError for a model that cannot be loaded, CafError
    with the kind `pose_failed` when the landmarker gives up on a frame.
    """
    with _decoded_ahead(video, start_s, decoders) as frames, _landmarker(model, still, most) as landmarker:
        stamp_ms = -1
        for frame in frames:
            # Timestamps must grow by whole milliseconds, however close the frames of the clip are.
            stamp_ms = max(stamp_ms + 1, round(frame.time_s * 1000))
            height, width = frame.image.shape[:2]
            poses = _poses(landmarker, frame, None if still else stamp_ms)
            yield Found(frame.time_s, width, height, poses, _look(frame.image))


def _look(image: NDArray[np.uint8]) -> int:
    """A check sum over every 16th row and column: a frame of 4K takes 0.2 ms."""
    return zlib.crc32(image[::16, ::16].tobytes())


@contextmanager
def _decoded_ahead(video: str, start_s: float, decoders: int) -> Iterator[Iterator[Frame]]:
    waiting: queue.Queue[Frame | BaseException | None] = queue.Queue(_AHEAD)
    left = threading.Event()

    def put(item: Frame | BaseException | None) -> None:
        while not left.is_set():
            try:
                waiting.put(item, timeout=0.1)
            except queue.Full:
                continue
            return

    def decode() -> None:
        try:
            for frame in read_frames(video, pixel="rgb24", start_s=start_s, threads=decoders):
                put(frame)
                if left.is_set():
                    return
            put(None)
        except BaseException as error:  # noqa: BLE001  raised again where the frames are asked for
            put(error)

    thread = threading.Thread(target=decode, name="decode-ahead", daemon=True)
    thread.start()
    try:
        yield _taken(waiting)
    finally:
        left.set()
        thread.join()


def _taken(waiting: "queue.Queue[Frame | BaseException | None]") -> Iterator[Frame]:
    while (item := waiting.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item


@contextmanager
def _landmarker(model: str, still: bool, most: int) -> Iterator[Any]:
    mp = load_mediapipe()  # meanwhile the first frames are decoded

    vision = mp.tasks.vision
    options = vision.PoseLandmarkerOptions(
        base_options=mp.tasks.BaseOptions(model_asset_path=model, delegate=mp.tasks.BaseOptions.Delegate.CPU),
        running_mode=vision.RunningMode.IMAGE if still else vision.RunningMode.VIDEO,
        num_poses=most,
        min_pose_detection_confidence=MIN_DETECTION,
        min_pose_presence_confidence=MIN_PRESENCE,
        min_tracking_confidence=MIN_TRACKING,
        output_segmentation_masks=False,
    )
    try:
        landmarker = vision.PoseLandmarker.create_from_options(options)
    except (RuntimeError, ValueError, FileNotFoundError) as error:
        raise UnavailableError(
            f"The pose model {model} cannot be loaded: {error}.",
            remedy="Remove that file and run 'caf models fetch', or configure another model.",
            kind="model_unavailable",
        ) from error
    with landmarker:
        yield landmarker


def _poses(landmarker: Any, frame: Frame, stamp_ms: int | None) -> NDArray[np.float32]:
    """(P, 33, 4) float32."""
    mp = load_mediapipe()
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
    height, width = frame.image.shape[:2]
    poses = [
        [(p.x * width, p.y * height, p.z * width, p.visibility) for p in landmarks]
        for landmarks in found.pose_landmarks
    ]
    return np.array(poses, np.float32).reshape(-1, LANDMARK_COUNT, 4)
