"""Write clips: lossless between the stages, H.264 with sound at the end; whole or not at all."""

import os
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import av
import av.error
import cv2
import numpy as np
from av.codec.context import Flags as CodecFlags
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream
from numpy.typing import NDArray

from caf.errors import NO_ROOM, CafError, MediaError, TryAgainError
from caf.media.audio import SoundTrack, open_sound
from caf.media.beside import Behind
from caf.media.conversion import converted
from caf.media.encoders import SOFTWARE, quality_of
from caf.media.timing import snapped_rate, time_base_for
from caf.media.upright import matrix_of

__all__ = ["ClipWriter", "Mode", "Picture", "disk_full"]

Picture = NDArray[np.uint8] | VideoFrame
"""(H, W, 3) uint8 BGR, or a decoded frame that shows what its pixels are."""
Mode = Literal["lossless", "final"]

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
_THREADS = 4
"""Fixed, because x264 decides differently with another number of threads."""
_SAME_EVERYWHERE = "cpu-independent=1"
"""x264's AVX-512 code weighs macroblocks differently from run to run; without it the same frames give the
same bytes, on any processor."""
_LONGEST_TICKS = 2**31 - 1
"""For which a frame can be shown in an MP4."""
_BT709 = 1
_PIXELS = {SOFTWARE: "yuv420p"}


def disk_full(path: Path, fault: BaseException) -> TryAgainError | None:
    """The error for a full disk, quota or file limit if that is what `fault` says."""
    if getattr(fault, "errno", None) not in NO_ROOM:
        return None
    return TryAgainError(
        f"There is no room to write {path}.",
        remedy="Free some space on that disk, then try again.",
        kind="disk_full",
        transient=True,
    )


class ClipWriter:
    """Writes frames with their times to `path`; the file appears complete when the block ends, or never.

    `lossless` keeps every BGR value and every time to the microsecond. `final` is H.264 4:2:0 in BT.709,
    tagged, index first; an odd side grows by a repeated row or column. The same frames give the same bytes
    with one build of x264; of another `encoder` nobody knows. `held_end`: the last frame is shown for longer than the
    others. `sound_from` names the clip whose sound goes along, zero being its first frame.

    Raises:
        TryAgainError: `disk_full`.
        MediaError: the sound of `sound_from` does not decode, or `frame_too_long`.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        width: int,
        height: int,
        fps: float,
        variable_fps: bool = False,
        held_end: bool = False,
        mode: Mode = "lossless",
        crf: int = 18,
        preset: str = "medium",
        encoder: str = SOFTWARE,
        sound_from: str | Path | None = None,
    ) -> None:
        self.path = Path(path)
        self.frames = 0
        self.duration_s = 0.0
        self.sound = "none"
        self._mode, self._crf, self._preset = mode, crf, preset
        self._encoder = encoder if mode == "final" else "libx264rgb"
        self._size, self._rate = (width, height), snapped_rate(fps if fps > 0 else 25.0)
        self._variable, self._even = variable_fps, not (variable_fps or held_end)
        self._base = time_base_for(fps, variable=variable_fps)
        self._sound_from = sound_from
        self._track: SoundTrack | None = None
        self._held: tuple[Picture, int] | None = None
        self._step = max(1, round(1 / self._rate / self._base))
        self._end: int | None = None
        self._lengths: dict[int, int] = {}
        self._behind = Behind()
        self._part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")

    def __enter__(self) -> Self:
        options = {"fflags": "+bitexact"} | ({"movflags": "+faststart"} if self._mode == "final" else {})
        kind = _FORMATS.get(self.path.suffix.lower(), "mp4")
        try:
            self._out = av.open(f"file:{self._part.absolute()}", "w", format=kind, options=options)
            self._stream = self._video_stream()
            if self._sound_from is not None:
                self._track = open_sound(self._sound_from, self._out)
                self.sound = self._track.how if self._track else "none"
        except BaseException as fault:
            self._drop()
            raise self._translated(fault) from fault
        return self

    def _video_stream(self) -> VideoStream:
        lossless = self._mode == "lossless"
        width, height = self._size if lossless else (s + s % 2 for s in self._size)
        if self._encoder.startswith(SOFTWARE):
            how = {"preset": self._preset, "crf": str(self._crf)}
            options = {"preset": "ultrafast", "qp": "0"} if lossless else how
            options |= {"threads": str(_THREADS), "x264-params": _SAME_EVERYWHERE}
        else:
            options = dict(quality_of(self._encoder, self._crf))
        if not self._even:
            # Sample durations follow decoding order; without B-frames that is the order of display.
            options["bf"] = "0"
        stream = self._out.add_stream(self._encoder, rate=self._rate, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = width, height
        stream.pix_fmt = self._pixel = "bgr24" if lossless else _PIXELS.get(self._encoder, "nv12")
        context = stream.codec_context
        context.time_base = self._base
        stream.time_base = self._base
        context.flags |= CodecFlags.bitexact.value
        context.gop_size = 30 if lossless else max(12, round(2 * self._rate))
        if not lossless:
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = ColorRange.MPEG.value
        return stream

    def write(self, image: Picture, time_s: float) -> None:
        """Add a frame, which stays as it is from now on; times must increase. Decoded frames for `final` alone."""
        ticks = self._ticks(time_s)
        if self._held is not None:
            ticks = max(ticks, self._held[1] + 1)
            self._later(*self._held, ticks - self._held[1])
            self._step = ticks - self._held[1]
        self._held = (image, ticks)

    def _ticks(self, time_s: float) -> int:
        if not self._variable:
            # Millisecond containers round a constant rate; put such times back on the grid.
            rate = float(self._rate)
            index = round(time_s * rate)
            if abs(index / rate - time_s) < 0.1 / rate:
                return round(index / self._rate / self._base)
        return round(time_s / float(self._base))

    def end(self, end_s: float) -> None:
        """Say when the last frame stops being shown; without it, it is shown as long as the one before."""
        self._end = self._ticks(end_s)

    def _later(self, image: Picture, ticks: int, length: int) -> None:
        size = (image.width, image.height) if isinstance(image, VideoFrame) else image.shape[1::-1]
        if size != self._size:
            raise ValueError(f"frame is {size[0]}x{size[1]}, the clip is {self._size[0]}x{self._size[1]}")
        if length > _LONGEST_TICKS:
            raise MediaError(
                f"The frame at {float(ticks * self._base):.2f} s is shown for {float(length * self._base):.0f} s;"
                f" {float(_LONGEST_TICKS * self._base):.0f} s can be written.",
                remedy="Cut the clip there, or export it again at a constant rate.",
                kind="frame_too_long",
            )
        self._behind.add(lambda: self._put(image, ticks, length))

    def _put(self, image: Picture, ticks: int, length: int) -> None:
        try:
            self._lengths[ticks] = length
            self._mux(self._frame(image, ticks, length))
            if self._track is not None:
                self._track.advance(float(ticks * self._base))
        except (av.error.FFmpegError, OSError) as fault:
            raise self._translated(fault) from fault
        self.frames += 1
        self.duration_s = float((ticks + length) * self._base)

    def _mux(self, frame: VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            # The encoder forgets how long a frame is shown, and the last one's end is the clip's.
            packet.duration = self._lengths.pop(packet.pts or 0, packet.duration)
            self._out.mux(packet)

    def _frame(self, image: Picture, ticks: int, length: int) -> VideoFrame:
        frame = image if isinstance(image, VideoFrame) else self._filled(image)
        if self._mode == "final":
            matrix = matrix_of(frame) if isinstance(image, VideoFrame) else None
            limited = frame.format.name == self._pixel and frame.color_range != ColorRange.JPEG.value
            frame = converted(
                frame,
                self._pixel,
                src_colorspace=matrix,
                src_color_range=ColorRange.MPEG.value if limited else None,
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                exact=frame.format.is_rgb,
            )
            # Else the source's kinds of frames would be forced on the encoder.
            frame.pict_type = PictureType.NONE
        frame.pts, frame.time_base, frame.duration = ticks, self._base, length
        return frame

    def _filled(self, image: NDArray[np.uint8]) -> VideoFrame:
        if self._mode == "final" and (image.shape[0] % 2 or image.shape[1] % 2):
            image = cv2.copyMakeBorder(
                image, 0, image.shape[0] % 2, 0, image.shape[1] % 2, cv2.BORDER_REPLICATE
            ).astype(np.uint8, copy=False)
        return VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if fault is not None:
            self._drop()
            return
        try:
            if self._held is not None:
                image, ticks = self._held
                self._later(image, ticks, max(1, self._end - ticks) if self._end is not None else self._step)
            self._behind.finish()
            self._mux(None)
            if self._track is not None:
                self._track.finish(self.duration_s)
                self._track.close()
            self._out.close()
            self._part.replace(self.path)
        except BaseException as problem:
            self._drop()
            raise self._translated(problem) from problem

    def _drop(self) -> None:
        """Leave nothing behind: neither the part file nor an open source."""
        self._behind.drop()
        if self._track is not None:
            self._track.close()
        out = getattr(self, "_out", None)
        if out is not None:
            try:
                out.close()
            except (av.error.FFmpegError, OSError):
                self._part.unlink(missing_ok=True)
        self._part.unlink(missing_ok=True)

    def _translated(self, fault: BaseException) -> BaseException:
        return fault if isinstance(fault, CafError) else disk_full(self.path, fault) or fault
