"""Carry a source's sound into a written clip, on the source's own timing."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import av
import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet

from caf.media.opening import damaged, opened, packets_of
from caf.media.read import first_shown_s
from caf.media.sound import Samples, laid_out

__all__ = ["SoundTrack", "open_sound"]

_COPIED = frozenset({"aac"})
"""Codecs that every player of the written container understands; others are encoded to AAC."""
_PREROLL_S = 0.06  # AAC needs the packet before the cut to start cleanly
_AAC_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_BITS_PER_CHANNEL = 96_000
_FOREVER = float("inf")


class SoundTrack(Protocol):
    """Sound on its way into a container; zero is the source's first video frame."""

    how: str
    """`copied` or `encoded`."""

    def advance(self, until_s: float) -> None:
        """Mux what sounds before `until_s`, so that sound and picture stay interleaved."""

    def finish(self, end_s: float) -> None:
        """Mux the rest and end at `end_s`, or where the source ends if that is earlier."""

    def close(self) -> None:
        """Let go of the source."""


def open_sound(source: str | Path, out: OutputContainer) -> SoundTrack | None:
    """Add an audio stream to `out` for each of `source`; None when it has no sound.

    Zero is the first picture of `source`, or its own beginning when it is sound alone.

    AAC is copied packet by packet, anything else decoded and encoded as AAC with at most two channels. A track
    beside the first that no decoder knows, as telephones write, is left out.
    """
    with opened(source) as container:
        count = len(container.streams.audio)
        seen = bool(container.streams.video)
    zero_s = (first_shown_s(source) or 0.0) if count and seen else 0.0
    with ExitStack() as scope:
        tracks: list[SoundTrack] = []
        for number in range(count):
            track = _open_track(Path(source), number, zero_s, out)
            if track is not None:
                scope.callback(track.close)
                tracks.append(track)
        scope.pop_all()
    return _Together(tracks) if tracks else None


def _open_track(source: Path, number: int, zero_s: float, out: OutputContainer) -> SoundTrack | None:
    with ExitStack() as scope:
        # Each from a reading of its own: what one waits for may lie far behind what the other is at.
        container = scope.enter_context(opened(source))
        stream = container.streams.audio[number]
        if number > 0 and not _is_known(stream):
            return None
        plain = stream.codec_context.name in _COPIED and stream.codec_context.extradata
        track = (_Copy if plain else _Encode)(source, container, stream, zero_s, out)
        # A container that is closed under its demuxer takes the process down, so the track holds it open.
        track.scope = scope.pop_all()
        return track


def _is_known(stream: AudioStream) -> bool:
    """PyAV gives no context where no decoder is known, whatever its types say."""
    context: object = stream.codec_context
    return context is not None


class _Together:
    """Several tracks as one."""

    def __init__(self, tracks: Sequence[SoundTrack]) -> None:
        self._tracks = tracks
        self.how = "copied" if all(track.how == "copied" for track in tracks) else "encoded"

    def advance(self, until_s: float) -> None:
        for track in self._tracks:
            track.advance(until_s)

    def finish(self, end_s: float) -> None:
        for track in self._tracks:
            track.finish(end_s)

    def close(self) -> None:
        for track in self._tracks:
            track.close()


class _Copy:
    how = "copied"
    scope: ExitStack

    def __init__(
        self, path: Path, container: InputContainer, stream: AudioStream, zero_s: float, out: OutputContainer
    ) -> None:
        self._out, self._zero_s = out, zero_s
        self._to = out.add_stream_from_template(stream)
        self._packets = _timed(container, path, stream)
        self._next = next(self._packets, None)

    def advance(self, until_s: float) -> None:
        self._mux(until_s, _FOREVER)

    def finish(self, end_s: float) -> None:
        self._mux(_FOREVER, end_s)

    def _mux(self, until_s: float, end_s: float) -> None:
        while self._next is not None:
            packet, base = self._next, self._next.time_base
            start_s = float((packet.pts or 0) * base) - self._zero_s
            stop_s = start_s + float((packet.duration or 0) * base)
            if start_s >= until_s or stop_s > end_s + (stop_s - start_s) / 2:
                return
            if stop_s > -_PREROLL_S:
                shift = round(self._zero_s / base)
                packet.pts = (packet.pts or 0) - shift
                packet.dts = packet.pts
                packet.stream = self._to
                self._out.mux(packet)
            self._next = next(self._packets, None)

    def close(self) -> None:
        self.scope.close()


def _timed(container: InputContainer, path: Path, stream: AudioStream) -> Iterator["Packet[AudioStream]"]:
    for packet in packets_of(container, path, stream):
        if packet.size and packet.pts is not None:
            yield packet


class _Encode:
    how = "encoded"
    scope: ExitStack

    def __init__(
        self, path: Path, container: InputContainer, stream: AudioStream, zero_s: float, out: OutputContainer
    ) -> None:
        self._path, self._container, self._out = path, container, out
        self._rate = stream.rate if stream.rate in _AAC_RATES_HZ else 48_000
        self._channels = min(2, max(1, stream.channels))
        self._layout = "mono" if self._channels == 1 else "stereo"
        self._to = out.add_stream("aac", rate=self._rate)
        self._to.codec_context.layout = self._layout
        self._to.codec_context.bit_rate = _BITS_PER_CHANNEL * self._channels
        self._blocks = laid_out(self._decoded(stream), layout=self._layout, rate_hz=self._rate, zero_s=zero_s)
        self._held: Samples | None = next(self._blocks, None)
        self._written = 0

    def advance(self, until_s: float) -> None:
        self._write(until_s, _FOREVER)

    def finish(self, end_s: float) -> None:
        self._write(_FOREVER, end_s)
        self._out.mux(self._to.encode(None))

    def _write(self, until_s: float, end_s: float) -> None:
        last = None if end_s == _FOREVER else round(end_s * self._rate)
        while self._held is not None and self._written + self._held.shape[1] <= until_s * self._rate:
            block = self._held if last is None else self._held[:, : max(0, last - self._written)]
            if block.shape[1] == 0:
                return
            frame = AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout=self._layout)
            frame.sample_rate, frame.pts = self._rate, self._written
            self._out.mux(self._to.encode(frame))
            self._written += block.shape[1]
            self._held = next(self._blocks, None)

    def _decoded(self, stream: AudioStream) -> Iterator[AudioFrame]:
        found = False
        packets: Iterator[Packet[AudioStream]] = packets_of(self._container, self._path, stream)
        for packet in packets:
            try:
                for frame in packet.decode():
                    found = True
                    yield frame
            except av.error.FFmpegError as fault:
                if found:
                    raise damaged(
                        self._path,
                        f"(its sound, at {float(packet.pts or 0) * float(packet.time_base):.2f} s)",
                    ) from fault

    def close(self) -> None:
        self.scope.close()
