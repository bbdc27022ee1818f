"""Decoded sound as blocks of samples on a time line, whatever its source does on the way."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

__all__ = ["Samples", "laid_out"]

Samples = NDArray[np.float32]
"""(channels, n) float32."""

_NAMED_CHANNELS = 8
"""Of more, it is only known what each is for where the file says so."""
_VALUES: dict[str, Any] = {
    "u8": np.uint8,
    "s16": np.int16,
    "s32": np.int32,
    "flt": np.float32,
    "dbl": np.float64,
}
_GAP_S = 0.05
"""Smaller ones are how coarsely a container keeps time."""


def laid_out(
    frames: Iterable[AudioFrame | None], *, layout: str, rate_hz: int, zero_s: float
) -> Iterator[Samples]:
    """Blocks one after the other from `zero_s` on; gaps and a late start are silence, at most a second a block.

    `layout` is `mono` or `stereo`; that of the source, its format and its rate may change at any frame. None
    stands for a frame that could not be decoded: what is missing there is silence to the sample.
    """
    line = _Line(layout, rate_hz)
    hole = False
    for frame in frames:
        if frame is None:
            hole = True
            continue
        start = round(((frame.time or 0.0) - zero_s) * rate_hz)
        yield from line.up_to(start, 0 if hole else round(_GAP_S * rate_hz))
        yield from line.add(frame)
        hole = False
    yield from line.end()


class _Line:
    """Where the next sample goes, and the resampler before it."""

    def __init__(self, layout: str, rate_hz: int) -> None:
        self._channels, self._rate_hz = 1 if layout == "mono" else 2, rate_hz
        self._resampler = _Resampler(layout, rate_hz)
        self._at: int | None = None
        """None: nothing has come yet. Below zero: that much is left out."""

    def up_to(self, start: int, tolerance: int) -> Iterator[Samples]:
        """Silence up to `start`, where that is further away than `tolerance`."""
        if self._at is None:
            self._at = min(0, start)
        if start - self._at <= tolerance:
            return
        yield from self.end()  # else what the resampler holds back would come after the silence
        self._at = max(self._at, min(start, 0))
        while self._at < start:
            silence = np.zeros((self._channels, min(self._rate_hz, start - self._at)), np.float32)
            self._at += silence.shape[1]
            yield silence

    def add(self, frame: AudioFrame) -> Iterator[Samples]:
        yield from self._after_zero(self._resampler.resample(frame))

    def end(self) -> Iterator[Samples]:
        """What the resampler holds back."""
        yield from self._after_zero(self._resampler.rest())

    def _after_zero(self, parts: Iterable[Samples]) -> Iterator[Samples]:
        for samples in parts:
            at = self._at or 0
            self._at = at + samples.shape[1]
            kept = samples[:, max(0, -at) :]
            if kept.shape[1]:
                yield kept


class _Resampler:
    """PyAV's, which knows one kind of frame only, made anew for each that comes."""

    def __init__(self, layout: str, rate_hz: int) -> None:
        self._layout, self._rate_hz = layout, rate_hz
        self._kind: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None

    def resample(self, frame: AudioFrame) -> Iterator[Samples]:
        frame = _mixable(frame)
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind or self._resampler is None:
            yield from self.rest()
            self._kind = kind
            self._resampler = AudioResampler(format="fltp", layout=self._layout, rate=self._rate_hz)
        yield from _values(self._resampler, frame)

    def rest(self) -> Iterator[Samples]:
        """What was held back."""
        if self._resampler is not None:
            yield from _values(self._resampler, None)
            self._resampler = None


def _mixable(frame: AudioFrame) -> AudioFrame:
    """What of a frame can be brought to one channel or two: the first two of so many that nobody can tell what each is
    for, of a sound field what comes from all around; any other as it is.
    """
    count, field = frame.layout.nb_channels, frame.layout.name.startswith("ambisonic")
    if not field and (count <= _NAMED_CHANNELS or frame.layout.name != f"{count} channels"):
        return frame
    kind, layout = _VALUES[frame.format.packed.name], "mono" if field else "stereo"
    if frame.format.is_planar:  # PyAV's own way looks for planes beyond the last one
        channels = [np.frombuffer(memoryview(plane), kind, frame.samples) for plane in frame.planes[:2]]
    else:
        samples = np.frombuffer(memoryview(frame.planes[0]), kind, frame.samples * count)
        channels = list(samples.reshape(-1, count).T)
    first = np.stack(channels[: 1 if field else 2])
    mixable = AudioFrame.from_ndarray(first, format=frame.format.planar.name, layout=layout)
    mixable.sample_rate = frame.sample_rate
    return mixable


def _values(resampler: AudioResampler, frame: AudioFrame | None) -> Iterator[Samples]:
    for part in resampler.resample(frame):
        yield np.asarray(part.to_ndarray(), dtype=np.float32)
