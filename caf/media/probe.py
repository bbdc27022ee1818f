"""Look at a clip or picture before anything expensive: what it is, or why it cannot be used."""

from pathlib import Path
from typing import NamedTuple

import cv2
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from caf.errors import MediaError
from caf.media.headers import missing_part
from caf.media.opening import check_size, damaged, opened, packets_of, sound_stream, video_stream
from caf.media.read import decoded, is_animated_webp, is_told_by_order, presentation_s, stated_rate
from caf.media.timing import is_variable, seconds, snapped_rate
from caf.media.upright import displayed_size, orientation
from caf.ports import MediaInfo, ProbeRequest, Progress

__all__ = ["probe"]

_HEARTBEAT_PACKETS = 500


class _Packets(NamedTuple):
    times_s: list[float]
    """Presentation times of the video packets, sorted."""
    end_s: float
    shown: int
    cut: int
    """Packets that the file's edit list hides; they are not shown."""
    last_key_pts: int | None
    audio_s: tuple[float, float] | None


def probe(request: ProbeRequest, progress: Progress) -> MediaInfo:
    """Read every packet, decode the first picture and the last key frame, and report what is there.

    A single picture (png, jpg, webp, bmp, one-frame gif) is an `image`; everything else a `clip`, also
    with one frame. Sizes are as displayed. `rotation_deg` is clockwise.

    Raises:
        InputError: `not_found`, `not_a_file`.
        MediaError: `media_empty`, `not_a_video`, `media_unsupported`, `media_no_frames`, `media_no_size`,
            `media_too_large`, `media_truncated`, `media_damaged`, `media_encrypted`, `no_audio`.
    """
    path = Path(request.path)
    with opened(path) as container:
        stream = video_stream(container, path)
        audio = sound_stream(container, path)
        if stream.width and stream.height:
            check_size(path, stream.width, stream.height)
        if request.require_audio and audio is None:
            raise MediaError(
                f"{path} has no sound, and this job needs it.",
                remedy="Give a clip with an audio track, or do not require audio.",
                kind="no_audio",
            )
        if is_animated_webp(path):
            return _animation_info(path, container, stream)
        packets = _count(container, stream, audio, path, progress)
        _refuse_cut_off(path, container, stream, packets, progress)
        frame = _first_and_last(container, stream, packets, path)
        packets = _from_the_first(packets, frame, stream)
        return _info(path, container, stream, audio, packets, frame)


def _count(
    container: InputContainer, stream: VideoStream, audio: AudioStream | None, path: Path, progress: Progress
) -> _Packets:
    times: list[float] = []
    count, cut, end, last_key = 0, 0, 0.0, None
    audio_first, audio_end, seen, last_start = None, 0.0, 0, 0.0
    for packet in packets_of(container, path, *(s for s in (stream, audio) if s is not None)):
        if packet.size == 0:
            continue
        _refuse_encrypted(packet, path)
        seen += 1
        if seen % _HEARTBEAT_PACKETS == 0:
            progress(seen, None)
        time = packet.pts if packet.pts is not None else packet.dts
        start = seconds(time, packet.time_base) if time is not None else None
        length = seconds(packet.duration or 0, packet.time_base)
        if packet.stream_index != stream.index:
            if start is not None:
                audio_first = start if audio_first is None else min(audio_first, start)
                audio_end = max(audio_end, start + length)
            continue
        if packet.is_discard:
            cut += 1
            continue
        count += 1
        if start is not None:
            if not times or start >= last_start:
                # The frame shown last, not the latest end: with B-frames stored lengths follow decoding order.
                last_start, end = start, start + length
            times.append(start)
        if packet.is_keyframe and packet.pts is not None:
            last_key = packet.pts
    span = None if audio_first is None else (audio_first, audio_end)
    return _Packets(sorted(times), end, count, cut, last_key, span)


def _refuse_encrypted(packet: "Packet[Stream]", path: Path) -> None:
    if packet.has_sidedata("encryption_info") or packet.has_sidedata("encryption_init_info"):
        raise MediaError(
            f"{path} is encrypted (DRM).",
            remedy="Give a clip without copy protection; it cannot be read otherwise.",
            kind="media_encrypted",
        )


def _refuse_cut_off(
    path: Path, container: InputContainer, stream: VideoStream, packets: _Packets, progress: Progress
) -> None:
    missing = missing_part(path)
    # Only an ISO index lists every frame; AVI headers, for one, are off by one in sound files.
    promised = stream.frames if "mov" in container.format.name else 0
    if missing is None and promised > packets.shown + packets.cut:
        # Whole groups of pictures that an edit list hides are not even handed out, but they are in the file.
        there = _stored(path, stream.index, progress)
        missing = f"its index promises {promised} frames, {there} are there" if promised > there else None
    if missing is not None:
        raise MediaError(
            f"{path} is cut off: {missing}.",
            remedy="Copy or export the clip again; the end of the recording is not in this file.",
            kind="media_truncated",
        )
    if packets.shown == 0:
        raise MediaError(
            f"{path} has a video track without a single frame.",
            remedy="Record or export the clip again.",
            kind="media_no_frames",
        )


def _stored(path: Path, index: int, progress: Progress) -> int:
    """How many packets of a stream the file holds, whatever its edit list shows of them."""
    count = 0
    with opened(path, hidden=True) as container:
        for packet in packets_of(container, path, container.streams[index]):
            count += packet.size > 0
            if count % _HEARTBEAT_PACKETS == 0:
                progress(count, None)
    return count


def _first_and_last(
    container: InputContainer, stream: VideoStream, packets: _Packets, path: Path
) -> VideoFrame:
    """Decode the first picture and one from the last key frame on; both must come."""
    with opened(path) as again:  # a fresh demuxer: not every container can seek back to its start
        first = next(decoded(again, video_stream(again, path), path))
    indexed = bool({"mov", "matroska"} & set(container.format.name.split(",")))  # others seek to about there
    if indexed and packets.last_key_pts not in (None, stream.start_time) and packets.shown > 1:
        assert packets.last_key_pts is not None
        container.seek(packets.last_key_pts, stream=stream)
        try:
            next(decoded(container, stream, path))
        except MediaError as fault:
            raise damaged(path, "near its end") from fault
    return first


def _from_the_first(packets: _Packets, frame: VideoFrame, stream: VideoStream) -> _Packets:
    """The packets from the first picture on: a cut stream begins inside a group that cannot be decoded.

    Pictures that say no time, such as lie before zero, come at the stated rate before the first that does.
    """
    first_s, times_s = presentation_s(frame, stream), packets.times_s
    if first_s is None:
        step_s, untimed = float(1 / stated_rate(stream)), packets.shown - len(times_s) if times_s else 0
        early = [times_s[0] - step_s * count for count in range(untimed, 0, -1)]
        return packets._replace(times_s=early + times_s)
    if frame.pts is None or is_told_by_order(stream):
        return packets
    kept = [time_s for time_s in times_s if time_s >= first_s]
    return packets._replace(times_s=kept, shown=packets.shown - len(times_s) + len(kept))


def _info(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    audio: AudioStream | None,
    packets: _Packets,
    frame: VideoFrame,
) -> MediaInfo:
    check_size(path, frame.width, frame.height)
    turn = orientation(frame)
    width, height = displayed_size(frame.width, frame.height, stream.sample_aspect_ratio, turn)
    check_size(path, width, height)
    names = container.format.name
    still = packets.shown == 1 and audio is None and _is_picture_format(names)
    fps, variable, duration = (0.0, False, 0.0) if still else _rate(stream, packets)
    span = packets.audio_s
    return MediaInfo(
        kind="image" if still else "clip",
        container=names,
        codec=stream.codec_context.name,
        width=width,
        height=height,
        rotation_deg=turn.clockwise_deg,
        pixel_format=frame.format.name,
        frames=packets.shown,
        fps=fps,
        variable_fps=variable,
        duration_s=duration,
        has_audio=audio is not None,
        audio_codec=audio.codec_context.name if audio else None,
        audio_rate_hz=audio.rate if audio else None,
        audio_channels=audio.channels if audio else None,
        audio_duration_s=span[1] - max(span[0], 0.0) if span else None,
        bytes=path.stat().st_size,
    )


def _is_picture_format(names: str) -> bool:
    return names.endswith("_pipe") or names in {"image2", "gif", "apng"}


def _rate(stream: VideoStream, packets: _Packets) -> tuple[float, bool, float]:
    """Average frames per second, whether steps vary, and seconds from the first frame to the last's end."""
    stated = float(stated_rate(stream))
    if len(packets.times_s) < 2:
        return stated, False, packets.shown / stated
    first, last = packets.times_s[0], packets.times_s[-1]
    tick = float(stream.time_base) if stream.time_base else 0.0
    variable = is_variable(packets.times_s, tick)
    measured = (len(packets.times_s) - 1) / (last - first) if last > first else stated
    typical = 1 / measured
    # A last frame's stated length is trusted when it is sane; live recordings leave it at zero.
    tail = (
        packets.end_s - last
        if typical / 2 <= packets.end_s - last <= 10 * typical or (variable and packets.end_s > last)
        else typical
    )
    duration = last - first + tail
    if variable:
        return packets.shown / duration, True, duration
    fps = float(snapped_rate(stated if abs(stated - measured) < 0.002 * measured else measured))
    return fps, False, duration


def _animation_info(path: Path, container: InputContainer, stream: VideoStream) -> MediaInfo:
    ok, animation = cv2.imreadanimation(str(path))
    if not ok or not len(animation.frames):
        raise damaged(path, "anywhere")
    height, width = animation.frames[0].shape[:2]
    steps = [max(int(ms), 10) / 1000 for ms in animation.durations]
    return MediaInfo(
        kind="clip" if len(steps) > 1 else "image",
        container=container.format.name,
        codec=stream.codec_context.name,
        width=width,
        height=height,
        rotation_deg=0,
        pixel_format="bgra" if animation.frames[0].shape[2] == 4 else "bgr24",
        frames=len(steps),
        fps=len(steps) / sum(steps) if len(steps) > 1 else 0.0,
        variable_fps=len(set(steps)) > 1,
        duration_s=sum(steps) if len(steps) > 1 else 0.0,
        has_audio=False,
        bytes=path.stat().st_size,
    )
