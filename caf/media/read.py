"""Read a clip or picture frame by frame, as displayed, with its own timestamps."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import av.error
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from caf.errors import MediaError
from caf.media.opening import check_size, damaged, opened, packets_of, video_stream
from caf.media.timing import seconds
from caf.media.tone import is_hdr
from caf.media.upright import Orientation, Turns, displayed_size, upright

__all__ = [
    "Frame",
    "Pixel",
    "Shown",
    "decoded",
    "first_shown_s",
    "is_animated_webp",
    "is_hdr_file",
    "is_told_by_order",
    "presentation_s",
    "read_frames",
    "read_picture",
    "shown_as",
    "shown_frames",
    "stated_rate",
]

Pixel = Literal["bgr24", "rgb24"]

_LEADING_FAULTS = 300  # packets before the first picture that may fail: a cut stream starts inside a group
_UNTIMED = 8  # frames that say no time before the first one that does: such as lie before zero


class Frame(NamedTuple):
    """One displayed frame: `image` (H, W, 3) uint8, `time_s` seconds since the clip's first frame."""

    image: NDArray[np.uint8]
    time_s: float


class Shown(NamedTuple):
    """A decoded frame that is not converted yet, and how it is displayed."""

    frame: VideoFrame
    time_s: float
    size: tuple[int, int]
    """Width and height on screen."""
    turn: Orientation


def read_frames(
    path: str | Path,
    *,
    pixel: Pixel = "bgr24",
    start_s: float = 0.0,
    wanted: Callable[[float], bool] | None = None,
    threads: int = 0,
) -> Iterator[Frame]:
    """Yield every frame in display order, one in memory at a time.

    Rotation, mirroring and non-square pixels are applied, transparency is laid on black, HDR (PQ, HLG) is brought to
    what an ordinary screen shows. Times strictly increase and keep a variable rate. `start_s` skips earlier frames by
    seeking to the key frame before it; times still count from the clip's first frame. Frames that say no time follow
    the one before at the stated rate. Frames at whose time `wanted` says no are decoded and passed over, which costs
    half as much. A still image is one frame at 0. `threads` decode; 0 leaves it to the decoder, which takes up to 16
    and holds a frame for each.

    Raises:
        InputError: no such file.
        MediaError: not a video, truncated, too large, or damaged at a time that the message names.
    """
    if is_animated_webp(Path(path)):
        frames = _webp_frames(Path(path), pixel, start_s)
        yield from (frame for frame in frames if wanted is None or wanted(frame.time_s))
        return
    for shown in shown_frames(path, start_s=start_s, wanted=wanted, threads=threads):
        image = upright(shown.frame, shown.size, shown.turn)
        yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if pixel == "rgb24" else image, shown.time_s)


def shown_frames(
    path: str | Path,
    *,
    start_s: float = 0.0,
    wanted: Callable[[float], bool] | None = None,
    threads: int = 0,
) -> Iterator[Shown]:
    """As `read_frames`, of anything but an animated WebP, and before the conversion, which costs a quarter."""
    size: tuple[int, int] | None = None
    turns = Turns()
    previous: float | None = None
    first = first_shown_s(path) if start_s > 0 else None
    for frame, stream in _alike(path, None if first is None else first + start_s, threads):
        time = presentation_s(frame, stream)
        following = 0.0 if previous is None else previous + float(1 / stated_rate(stream))
        if first is None and start_s <= 0 and time is not None:
            first = time - following
        time_s = following if time is None or first is None else time - first
        if previous is not None and time_s <= previous:
            time_s = following
        previous = time_s
        if time_s < start_s - 1e-6:
            continue
        if wanted is not None and not wanted(time_s):
            continue
        shown = shown_as(frame, stream, time_s, size, turns)
        size = shown.size
        yield shown


def _alike(path: str | Path, from_s: float | None, threads: int) -> Iterator[tuple[VideoFrame, VideoStream]]:
    """The decoder's frames from the key frame before `from_s` by the file's own clock on, each time the same.

    What threads guess of a damaged picture depends on who was first: from the first one on a single thread has
    the word.
    """
    count = 0
    for sharing in (threads, 1):
        with opened(path) as container:
            stream = video_stream(container, path)
            if from_s is not None and stream.time_base:
                container.seek(int(from_s / stream.time_base), stream=stream)
            for frame in islice(decoded(container, stream, path, threads=sharing), count, None):
                if frame.is_corrupt and sharing != 1:
                    break
                count += 1
                yield frame, stream
            else:
                return


def shown_as(
    frame: VideoFrame, stream: VideoStream, time_s: float, size: tuple[int, int] | None, turns: Turns
) -> Shown:
    """How a frame is displayed; `size` is that of the clip's first one, which all have."""
    turn = turns.of(frame)
    size = size or displayed_size(frame.width, frame.height, stream.sample_aspect_ratio, turn)
    return Shown(frame, time_s, size, turn)


def read_picture(path: str | Path) -> NDArray[np.uint8]:
    """The first frame of a clip or picture, (H, W, 3) uint8 BGR. Raises as `read_frames` does."""
    for frame in read_frames(path):
        return frame.image
    raise damaged(path, "at its start")


def is_hdr_file(path: str | Path) -> bool:
    """Whether the first frame's numbers are PQ's or HLG's. Raises as `read_frames` does."""
    if is_animated_webp(Path(path)):
        return False
    with opened(path) as container:
        return is_hdr(next(decoded(container, video_stream(container, path), path)))


def decoded(
    container: InputContainer,
    stream: VideoStream,
    path: str | Path,
    *,
    strict: bool = False,
    threads: int = 0,
) -> Iterator[VideoFrame]:
    """Decode the stream from where the container stands.

    Undecodable packets before the first picture are passed over (a cut stream starts inside a group). What a decoder
    would guess of a damaged picture is as good as nothing if `strict`. So many `threads`; 0: one a processor.

    Raises:
        MediaError: `media_damaged` after the first picture, or when no picture comes at all.
    """
    stream.thread_type = "AUTO"
    stream.codec_context.thread_count = threads
    options = {"max_pixels": "40000000"}
    stream.codec_context.options = options | {"err_detect": "explode"} if strict else options
    at_s, faults, found = 0.0, 0, False
    packets = packets_of(container, path, stream)
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                break
            if packet.pts is not None and packet.time_base is not None:
                at_s = seconds(packet.pts, packet.time_base)
            for frame in packet.decode():
                if not found:
                    check_size(Path(path), frame.width, frame.height)
                found = True
                yield frame
        except (av.error.FFmpegError, ValueError) as fault:
            if isinstance(fault, MediaError):
                raise
            faults += 1
            if found or faults > _LEADING_FAULTS:
                raise damaged(path, f"at {at_s:.2f} s") from fault
    if not found:
        raise damaged(path, "anywhere")


def first_shown_s(path: str | Path) -> float | None:
    """When by the file's own clock the frame is shown whose time is 0; None where nothing says so.

    Not where the stream begins: what comes before the first key frame of a cut stream is never shown. Raises as
    `read_frames` does.
    """
    following = 0.0
    for frame, stream in islice(_alike(path, None, 1), _UNTIMED):
        time_s = presentation_s(frame, stream)
        if _start_s(stream) is None or is_told_by_order(stream):
            return _start_s(stream)
        if time_s is not None:
            return time_s - following
        following += float(1 / stated_rate(stream))
    return None


def presentation_s(frame: VideoFrame, stream: VideoStream) -> float | None:
    """When a frame is shown by the file's own clock; None where nothing says so."""
    base = frame.time_base or stream.time_base
    pts = frame.dts if frame.pts is None or is_told_by_order(stream) else frame.pts
    return None if pts is None or base is None else seconds(pts, base)


def is_told_by_order(stream: VideoStream) -> bool:
    """Whether the file only says when frames are decoded, so that what is said of their showing is a reader's guess."""
    return stream.container.format.name == "avi"


def stated_rate(stream: VideoStream) -> Fraction:
    """Frames per second as the file says. Of a raw stream, its pictures do: its average is a reader's assumption."""
    if _start_s(stream) is None and stream.guessed_rate:
        return stream.guessed_rate
    return stream.average_rate or stream.guessed_rate or Fraction(25)


def _start_s(stream: VideoStream) -> float | None:
    """None where nothing says when frames are shown: a raw stream can only be counted from its start."""
    if stream.start_time is not None and stream.time_base is not None:
        return seconds(stream.start_time, stream.time_base)
    return None


def is_animated_webp(path: Path) -> bool:
    """True for a WebP with more than one frame: libavcodec decodes only still ones, so OpenCV reads these."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(21)
    return head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and bool(head[20] & 0x02)


def _webp_frames(path: Path, pixel: Pixel, start_s: float) -> Iterator[Frame]:
    with opened(path):
        pass  # the same checks and sentences as any other file
    ok, animation = cv2.imreadanimation(str(path))
    if not ok or not len(animation.frames):
        raise damaged(path, "anywhere")
    time_s = 0.0
    for image, duration_ms in zip(animation.frames, animation.durations, strict=True):
        if time_s >= start_s - 1e-6:
            if image.shape[2] == 4:
                weight = image[:, :, 3:4].astype(np.uint16)
                image = ((image[:, :, :3] * weight + 127) // 255).astype(np.uint8)
            yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if pixel == "rgb24" else image, time_s)
        time_s += max(int(duration_ms), 10) / 1000
