"""Open a clip or picture for decoding, or say in a sentence why it cannot be."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from caf.errors import InputError, MediaError
from caf.media.headers import missing_part, picture_size
from caf.media.timing import seconds

__all__ = [
    "MAX_PIXELS",
    "MAX_SIDE_PX",
    "check_size",
    "damaged",
    "opened",
    "packets_of",
    "sound_stream",
    "video_stream",
]

MAX_SIDE_PX = 8192
"""Largest accepted width or height, in pixels."""
MAX_PIXELS = 40_000_000
"""Largest accepted picture, in pixels (a decoder allocates several bytes for each)."""

# Playlists name other files, and the text-art demuxers accept any text: neither is a clip.
_REFUSED_CONTAINERS = frozenset(
    ("adf", "applehttp", "bin", "concat", "dash", "ffmetadata", "hls", "idf", "imf", "lavfi", "tty", "xbin")
)
_CONVERT = "Give a video file or a picture that opens in a player; convert it first, e.g. to MP4 with H.264."

_CONVERT_SOUND = "Convert its sound first, e.g. to AAC, or give the clip without it."


@contextmanager
def opened(path: str | Path, *, hidden: bool = False) -> Iterator[InputContainer]:
    """The file opened for demuxing and decoding, decoders bound to `MAX_PIXELS`.

    `hidden`: also packets far from what an edit list shows, which are left out otherwise.

    Raises:
        InputError: no such file (kind `not_found`), a folder or not readable (`not_a_file`).
        MediaError: empty, truncated, too large or not a video (kinds `media_empty`, `media_truncated`,
            `media_too_large`, `not_a_video`).
    """
    place = _checked_file(Path(path))
    options = {"max_pixels": str(MAX_PIXELS), "protocol_whitelist": "file"}
    if hidden:
        options["advanced_editlist"] = "0"
    try:
        container = av.open(f"file:{place}", metadata_errors="replace", options=options)
    except (av.error.FFmpegError, ValueError, OSError) as fault:
        raise _unreadable(place, fault) from fault
    try:
        names = set(container.format.name.split(","))
        if names & _REFUSED_CONTAINERS:
            raise MediaError(f"{place} is not a video or a picture.", remedy=_CONVERT, kind="not_a_video")
        yield container
    finally:
        container.close()


def _checked_file(path: Path) -> Path:
    try:
        if not path.exists():
            raise InputError(f"There is no file {path}.", remedy="Check the path.", kind="not_found")
        if not path.is_file():
            raise InputError(
                f"{path} is not a file.", remedy="Give the path of one clip or picture.", kind="not_a_file"
            )
        if path.stat().st_size == 0:
            raise MediaError(
                f"{path} is empty (0 bytes).", remedy="Copy or export the clip again.", kind="media_empty"
            )
        size = picture_size(path)
    except PermissionError as fault:
        raise InputError(
            f"{path} may not be read.",
            remedy="Give yourself permission to read it (chmod u+r).",
            kind="not_a_file",
        ) from fault
    except OSError as fault:  # a name that is too long, a circle of links, a disk that fails
        raise InputError(
            f"{path} cannot be read: {fault.strerror}.", remedy="Check the path.", kind="not_a_file"
        ) from fault
    if size is not None:
        check_size(path, *size)
    return path.absolute()


def check_size(path: Path, width: int, height: int) -> None:
    """Raises MediaError when a picture has no size (`media_no_size`) or too much (`media_too_large`)."""
    if width <= 0 or height <= 0:
        raise MediaError(
            f"The picture in {path} has no size ({width}x{height}).",
            remedy="Export the clip again; the file's header is broken.",
            kind="media_no_size",
        )
    if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
        raise MediaError(
            f"The picture in {path} is {width}x{height}; at most {MAX_SIDE_PX} pixels a side and"
            f" {MAX_PIXELS // 1_000_000} million pixels are accepted.",
            remedy="Scale it down first; 1920 pixels on the long side is plenty.",
            kind="media_too_large",
        )


def _unreadable(path: Path, fault: Exception) -> MediaError:
    if isinstance(fault, OSError) and fault.errno in (errno.EACCES, errno.EPERM):
        return MediaError(
            f"{path} may not be read.", remedy="Give yourself permission to read it (chmod u+r)."
        )
    missing = missing_part(path)
    if missing:
        return MediaError(
            f"{path} is cut off: {missing}.",
            remedy="Copy or export the clip again; the end of the recording is not in this file.",
            kind="media_truncated",
        )
    return MediaError(f"{path} is not a video or a picture.", remedy=_CONVERT, kind="not_a_video")


def damaged(path: str | Path, where: str) -> MediaError:
    """The error for a file whose pictures do not decode; `where` says which, e.g. `after 3.2 s`."""
    return MediaError(
        f"{path} is damaged: its pictures cannot be decoded {where}.",
        remedy="Copy or export the clip again, or repair it by re-encoding.",
        kind="media_damaged",
    )


def packets_of(container: InputContainer, path: str | Path, *streams: Stream) -> "Iterator[Packet[Any]]":
    """The packets of these streams as they lie in the file; the last ones, one a stream, are empty.

    Raises:
        MediaError: `media_damaged`: it cannot be read any further.
    """
    at_s = 0.0
    try:
        for packet in container.demux(*streams):
            if packet.pts is not None and packet.time_base is not None:
                at_s = seconds(packet.pts, packet.time_base)
            yield packet
    except IndexError:
        return  # PyAV's, at the very end, where another stream came to light on the way
    except av.error.FFmpegError as fault:
        raise damaged(path, f"after {at_s:.2f} s") from fault


def video_stream(container: InputContainer, path: str | Path) -> VideoStream:
    """The stream with the moving picture; cover art does not count.

    Raises:
        MediaError: there is none (`not_a_video`), or its codec is unknown (`media_unsupported`).
    """
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        what = "only sound" if container.streams.audio else "no picture"
        raise MediaError(f"{path} holds {what}, no video.", remedy=_CONVERT, kind="not_a_video")
    stream = next((s for s in streams if s.disposition & av.stream.Disposition.default), streams[0])
    if stream.codec_context is None:
        raise MediaError(
            f"The video in {path} uses a codec that is not supported.",
            remedy=_CONVERT,
            kind="media_unsupported",
        )
    return stream


def sound_stream(container: InputContainer, path: str | Path) -> AudioStream | None:
    """The first sound track; None where there is none.

    Raises:
        MediaError: `media_unsupported`: no decoder knows it.
    """
    stream = next(iter(container.streams.audio), None)
    # PyAV gives no context then, whatever its types say.
    context: object = stream.codec_context if stream is not None else None
    if stream is not None and context is None:
        raise MediaError(
            f"The sound in {path} uses a codec that is not supported.",
            remedy=_CONVERT_SOUND,
            kind="media_unsupported",
        )
    return stream
