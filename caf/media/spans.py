"""Decode some frames out of the middle of a clip, the very same ones that decoding all of it gives, or say so.

A seek is only believed where the file itself tells which frame is which: every packet has a time of its own, and all
that is shown after a key frame is also stored after it. Then the n-th frame is the one with the n-th time.
"""

import math
from collections.abc import Iterator
from itertools import accumulate
from typing import Final, NamedTuple

import av.error

from caf.media.opening import opened, packets_of, video_stream
from caf.media.read import Shown, decoded, presentation_s, shown_as
from caf.media.timing import seconds
from caf.media.upright import Turns

__all__ = ["OtherFramesError", "Timetable", "span_frames", "timetable"]

_INDEXED: Final = frozenset({"matroska", "mov"})
"""Containers whose seek ends at a known packet; in others it ends somewhere near."""


class OtherFramesError(Exception):
    """What was decoded from the middle is not what the file promised; only the whole clip can be believed."""


class Timetable(NamedTuple):
    """What the packets of a clip say of its frames."""

    frames: int
    """How many there are to be shown."""
    times: tuple[int, ...]
    """When each is shown, by the stream's own clock; empty where the clip cannot be decoded from its middle."""
    keys: tuple[int, ...]
    """Which frames everything after can be decoded from, rising, the first one included."""


def timetable(path: str) -> Timetable:
    """Reads all packets and decodes none: some microseconds a frame. Raises as `opened` does."""
    stored: list[tuple[int | None, bool]] = []
    cut = False
    with opened(path) as container:
        known = bool(_INDEXED & set(container.format.name.split(",")))
        try:
            for packet in packets_of(container, path, video_stream(container, path)):
                if packet.is_discard:  # what an edit list hides is decoded for others, and not shown
                    cut = True
                elif packet.size:
                    stored.append((packet.pts, packet.is_keyframe))
        except (av.error.FFmpegError, ValueError):
            known = False  # the decoder will say where and why
    pts = [time for time, _ in stored if time is not None]
    if not known or cut or not stored or len(set(pts)) < len(stored) or not stored[0][1]:
        return Timetable(len(stored), (), ())
    times = tuple(sorted(pts))
    return Timetable(len(stored), times, _keys(pts, [key for _, key in stored], times))


def _keys(pts: list[int], key: list[bool], times: tuple[int, ...]) -> tuple[int, ...]:
    """Key frames that parts of the clip can stand on: nothing before them is shown after, nothing after before."""
    place = {time: index for index, time in enumerate(times)}
    latest_before = [-math.inf, *accumulate(pts, max)]
    earliest_after = [*accumulate(pts[::-1], min)][::-1]
    return tuple(
        place[pts[at]]
        for at in range(len(pts))
        if key[at] and latest_before[at] < pts[at] == earliest_after[at]
    )


def span_frames(path: str, table: Timetable, start: int, stop: int, *, threads: int = 0) -> Iterator[Shown]:
    """Frames `start` up to, not including, `stop`, with the times that they have in the whole clip.

    So many `threads` decode; 0: as many as there are processors.

    Raises:
        OtherFramesError: other frames came, or none.
        MediaError: the file cannot be opened, or its pictures are damaged.
    """
    key = max((at for at in table.keys if at <= start), default=None)
    if key is None or not 0 <= start < stop <= len(table.times):
        raise OtherFramesError
    with opened(path) as container:
        stream = video_stream(container, path)
        if key > 0:
            container.seek(table.times[key], stream=stream)
        base = stream.time_base
        if base is None:
            raise OtherFramesError
        first_s = seconds(table.times[0], base)
        expected, size, turns = key, None, Turns()
        for frame in decoded(container, stream, path, strict=True, threads=threads):
            time_s = presentation_s(frame, stream)
            if frame.pts != table.times[expected] or time_s is None or frame.is_corrupt:
                raise OtherFramesError
            if expected >= start:
                shown = shown_as(frame, stream, time_s - first_s, size, turns)
                size = shown.size
                yield shown
            expected += 1
            if expected == stop:
                return
        raise OtherFramesError
