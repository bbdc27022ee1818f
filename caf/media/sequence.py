"""A clip as pictures or pieces of it, and back: what goes to an engine outside, and what comes from there."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from caf.errors import MediaError
from caf.media.probe import probe
from caf.media.read import Frame, read_frames
from caf.media.write import ClipWriter, disk_full
from caf.ports import Assembled, AssembleRequest, Exploded, ExplodeRequest, MediaInfo, ProbeRequest, Progress

__all__ = ["assemble", "explode", "shown_at", "take_apart"]

_TOLERANCE_S = 1e-4
"""Two clips of one rate may be stamped by clocks of different steps."""

_FAST_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]


def explode(request: ExplodeRequest, progress: Progress) -> Exploded:
    """Write a clip's frames as PNGs, or pieces of some frames as lossless clips with the first frame of each.

    Raises:
        MediaError: the clip cannot be read.
        TryAgainError: `disk_full`.
    """
    out, each = Path(request.out_dir), request.frames_each
    if request.like:
        like = probe(ProbeRequest(path=request.like), lambda done, total: None)
        times = (frame.time_s for frame in read_frames(request.like))
        return take_apart(
            shown_at(read_frames(request.video), times), like, out, each, progress, clips=each != 1
        )
    info = probe(ProbeRequest(path=request.video), lambda done, total: None)
    found = take_apart(read_frames(request.video), info, out, each, progress, clips=each > 1)
    return found if each else replace(found, clips=(_linked(Path(request.video), out),))


def shown_at(frames: Iterable[Frame], times: Iterable[float]) -> Iterator[Frame]:
    """For each of the times, seconds in order, the frame that is shown then, under that time; the last beyond the end.

    A clip of one frame, or none at a time before its first, gives its first.
    """
    coming = iter(frames)
    shown = next(coming, None)
    after = next(coming, None)
    for time_s in times:
        assert shown is not None, "a clip that can be read has a frame"
        while after is not None and after.time_s <= time_s + _TOLERANCE_S:
            shown, after = after, next(coming, None)
        yield shown._replace(time_s=time_s)


def take_apart(
    frames: Iterable[Frame], info: MediaInfo, out: Path, each: int, progress: Progress, *, clips: bool
) -> Exploded:
    """Write the first of every `each` frames as a PNG (0: the first of all), and with `clips` those as lossless clips.

    `info` is that of the clip whose times the frames have. Raises TryAgainError `disk_full`.
    """
    pictures, pieces, times = [], [], []
    writer: ClipWriter | None = None
    start_s = 0.0
    try:
        for index, frame in enumerate(frames):
            begins = index % each == 0 if each else index == 0
            if begins:
                pictures.append(_written(frame.image, out / f"frame-{index:06d}.png"))
            if clips:
                if begins:
                    _closed(writer, frame.time_s - start_s)
                    start_s = frame.time_s
                    piece = out / f"piece-{index:06d}.mp4"
                    height, width = frame.image.shape[:2]
                    writer = ClipWriter(
                        piece, width=width, height=height, fps=info.fps, variable_fps=info.variable_fps
                    )
                    writer.__enter__()
                    pieces.append(str(piece))
                assert writer is not None
                writer.write(frame.image, frame.time_s - start_s)
            times.append(frame.time_s)
            progress(index + 1, info.frames)
    except BaseException as fault:
        if writer is not None:
            writer.__exit__(type(fault), fault, None)
        raise
    _closed(writer, info.duration_s - start_s)
    return Exploded(
        pictures=tuple(pictures),
        clips=tuple(pieces),
        times_s=tuple(times),
        duration_s=info.duration_s,
        fps=info.fps,
        variable_fps=info.variable_fps,
    )


def _linked(video: Path, out: Path) -> str:
    """The clip itself under a name that says what it is."""
    link = out / f"clip{video.suffix or '.mp4'}"
    link.symlink_to(video.absolute())
    return str(link)


def _closed(writer: ClipWriter | None, end_s: float) -> None:
    if writer is not None:
        writer.end(end_s)
        writer.__exit__(None, None, None)


def _written(image: NDArray[np.uint8], path: Path) -> str:
    ok, data = cv2.imencode(".png", image, _FAST_PNG)
    assert ok, "a frame can always be a PNG"
    try:
        path.write_bytes(data.tobytes())
    except OSError as fault:
        raise disk_full(path, fault) or fault from fault
    return str(path)


def assemble(request: AssembleRequest, progress: Progress) -> Assembled:
    """Write pictures, or the frames of clips, one after the other as one lossless clip.

    As many frames as there are times get those; any other number gets the rate of the first clip, or `fps`.

    Raises:
        MediaError: `frames_differ` in size, or a part that cannot be read.
        TryAgainError: `disk_full`.
    """
    total = len(request.parts) if request.pictures else 0
    fps, variable = request.fps, request.variable_fps
    if not request.pictures:
        found = [probe(ProbeRequest(path=path), lambda done, total: None) for path in request.parts]
        total = sum(max(1, info.frames) for info in found)
        if total != len(request.times_s):
            fps, variable = next((info.fps for info in found if info.fps > 0), fps), False
    timed = total == len(request.times_s)
    frames = _frames(request)
    index, first = 0, next(frames)
    height, width = first.shape[:2]
    with ClipWriter(Path(request.out), width=width, height=height, fps=fps, variable_fps=variable) as writer:
        for index, image in enumerate(_and_then(first, frames)):
            if image.shape[:2] != (height, width):
                raise MediaError(
                    f"Frame {index} has {image.shape[1]}x{image.shape[0]} pixels and the first one {width}x{height}.",
                    remedy="Have the workflow give every frame the same size.",
                    kind="frames_differ",
                )
            writer.write(image, request.times_s[index] if timed and index < total else index / fps)
            progress(index + 1, total)
        writer.end(request.end_s if timed else (index + 1) / fps)
    return Assembled(
        frames=writer.frames, width=width, height=height, duration_s=writer.duration_s, timed=timed
    )


def _frames(request: AssembleRequest) -> Iterator[NDArray[np.uint8]]:
    for path in request.parts:
        found: Iterator[Frame] = read_frames(path)
        for frame in found:
            yield frame.image
            if request.pictures:
                break


def _and_then(first: NDArray[np.uint8], more: Iterator[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    yield first
    yield from more
