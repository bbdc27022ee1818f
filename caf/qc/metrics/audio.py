"""audio_video: is the sound there, in time with the source's, and as long as the picture?"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import cast

import av.error
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from caf.media.opening import opened, packets_of, video_stream
from caf.media.read import first_shown_s
from caf.media.sound import laid_out
from caf.media.timing import seconds
from caf.ports import Measurement
from caf.qc.metrics.scoring import Calibration, calibrate, measured, unmeasured
from caf.qc.metrics.tempo import faster_share, levels

__all__ = ["Sound", "audio_video", "load_sound"]

RATE_HZ = 8000
_LONGEST_S = 90
_LAG_S = 2.0
_SILENT_RMS = 1e-4
# Offsets: detectable from 45 ms early to 125 ms late, acceptable to 90/185 ms (ITU-R BT.1359-1, 1998). A score of
# 0.95, the default gate, lies at the 45 ms.
_OFFSET_MS = ((25.0, 1.0), (45.0, 0.95), (90.0, 0.7), (185.0, 0.35), (500.0, 0.0))
_GAP_S = ((0.12, 1.0), (0.2, 0.95), (0.5, 0.6), (1.5, 0.2), (4.0, 0.0))
_MISSING_SHARE = ((0.01, 1.0), (0.03, 0.94), (0.15, 0.5), (0.5, 0.1), (1.0, 0.0))
# Peak of the normalised correlation: the same sound re-encoded 0.97-1.0, other sound below 0.2.
_UNLIKE = ((0.1, 1.0), (0.25, 0.94), (0.5, 0.6), (0.8, 0.1), (1.0, 0.0))
_UNKNOWN = 0.2
"""Correlation below which the best offset is chance's."""
_CLIPPED_SHARE = ((0.001, 1.0), (0.005, 0.94), (0.03, 0.5), (0.15, 0.1))
# How much less of the peaks is left than of what lies below them, against the source. Of 14 real sound tracks, coded
# again (AAC, Opus, MP3, AC-3; down to 32 kbit/s), softer, louder or levelled 0 to 0.02, dulled 0.01 to 0.14;
# cut off at half of their peaks 0.01 to 0.3, at a quarter 0.3 to 0.55, at a tenth 0.6.
_FLATTENED: Calibration = ((0.05, 1.0), (0.15, 0.95), (0.3, 0.6), (0.6, 0.1))
_BLOCK = RATE_HZ // 40
"""Samples over which a level does not change much, so that one that follows the loudness is no clipping: 25 ms."""
_LOW, _HIGH, _LOUD = 0.5, 0.75, 0.1
"""Shares of a block's peak below and above which samples are compared, and of the loudest peak, of blocks that are."""
_SAME_SOUND = 0.5
"""Correlation from which wave is held against wave: sound cut off at a tenth has 0.77."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono sound (N,) float32 at 8 kHz on the picture's time line: sample 0 sounds with frame 0."""

    samples: NDArray[np.float32]
    start_s: float
    """Where the first sample of the file's sound lies; late start is positive."""
    picture_s: float
    """Duration of the picture."""

    @property
    def end_s(self) -> float:
        return len(self.samples) / RATE_HZ

    @property
    def silent(self) -> bool:
        return len(self.samples) == 0 or float(np.sqrt(np.mean(self.samples**2))) < _SILENT_RMS


def load_sound(path: str) -> Sound | None:
    """The first sound track of a clip, at most 90 s; None when there is none.

    Raises:
        MediaError: the file cannot be read.
    """
    with opened(path) as container:
        if not container.streams.audio:
            return None
        shown: list[tuple[float, float]] = []
        packets = _packets(container, path, shown)
        frames = _decoded(packets)
        first = next((frame for frame in frames if frame is not None), None)
        first_s = 0.0 if first is None else first.time or 0.0
        pieces: list[NDArray[np.float32]] = []
        held = 0
        for block in laid_out(chain([first], frames), layout="mono", rate_hz=RATE_HZ, zero_s=first_s):
            pieces.append(block[0])
            held += block.shape[1]
            if held > _LONGEST_S * RATE_HZ:
                break
        deque(packets, maxlen=0)  # the picture goes on
    zero_s, end_s = 0.0, max((end for _, end in shown), default=0.0)
    if shown:
        found_s = first_shown_s(path)
        zero_s = min(start for start, _ in shown) if found_s is None else found_s
    samples = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.float32)
    start_s = 0.0 if first is None else first_s - zero_s
    return Sound(_placed(samples, start_s), start_s, end_s - zero_s)


def _packets(
    container: InputContainer, path: str, shown: list[tuple[float, float]]
) -> "Iterator[Packet[AudioStream]]":
    """Those of the first sound track; from when to when each picture is shown is noted on the way."""
    video = video_stream(container, path) if container.streams.video else None
    streams: list[Stream] = [] if video is None else [video]
    for packet in packets_of(container, path, *streams, container.streams.audio[0]):
        if video is None or packet.stream_index != video.index:
            yield cast("Packet[AudioStream]", packet)
        # An edit list hides what a cut without re-encoding had to keep; nobody sees it.
        elif packet.pts is not None and not packet.is_discard:
            start_s = seconds(packet.pts, packet.time_base)
            shown.append((start_s, start_s + seconds(packet.duration or 0, packet.time_base)))


def _decoded(packets: "Iterator[Packet[AudioStream]]") -> Iterator[AudioFrame | None]:
    """Their frames; None for a packet that is damaged."""
    for packet in packets:
        try:
            yield from packet.decode()
        except av.error.FFmpegError:
            yield None


def _placed(samples: NDArray[np.float32], start_s: float) -> NDArray[np.float32]:
    shift = round(start_s * RATE_HZ)
    if shift >= 0:
        # Sound that begins after all that is compared leaves silence, of that length.
        return np.concatenate([np.zeros(min(shift, _LONGEST_S * RATE_HZ), dtype=np.float32), samples])
    return samples[-shift:]


def audio_video(sound: Sound | None, source: Sound | None, *, alone: bool = False) -> Measurement:
    """The lowest of the calibrated parts: offset, length, audible share, likeness, clipping.

    `alone`: there is no source, and what is given as one is the clip's own sound.

    raw: `offset_ms` (positive: late) by cross-correlation with the source's sound, of the halves `drift_ms`,
    `correlation` (peak, 0..1), `short_s` and `over_s` against the picture, `missing_share` of the source's
    audible time, `clipped_share` beyond the source's, `flattened` (0..1, what the source's peaks lost), `start_s`, and
    of sound that is unlike the source's `faster_share`.
    """
    name = "audio_video"
    if source is None or source.silent:
        if sound is None or sound.silent:
            own = "The clip has no sound." if sound is None else "The clip's sound track is silent."
            reason = own if alone else "The source is silent, and so is the clip."
            return measured(name, 1.0, reason, {"audible": 0.0})
        over = max(0.0, sound.end_s - sound.picture_s)
        short = max(0.0, min(sound.picture_s, float(_LONGEST_S)) - sound.end_s)
        score = min(calibrate(over, _GAP_S), calibrate(short, _GAP_S))
        reason = "The clip has sound where the source has none; only its length could be judged."
        return measured(name, score, reason, {"over_s": over, "short_s": short, "start_s": sound.start_s})
    if sound is None:
        return measured(name, 0.0, "The source has sound and the clip has none.", {"audible": 0.0})
    if sound.silent:
        return measured(
            name, 0.0, "The source has sound and the clip's sound track is silent.", {"audible": 0.0}
        )
    return _compared(name, sound, source)


def _compared(name: str, sound: Sound, source: Sound) -> Measurement:
    wanted_s = min(sound.picture_s or source.end_s, source.end_s, float(_LONGEST_S))
    end_s = min(sound.end_s, float(_LONGEST_S))
    length = min(len(sound.samples), len(source.samples))
    if length < RATE_HZ // 4:
        return unmeasured(name, "There is less than a quarter of a second of sound to compare.")
    offset, correlation = _offset_ms(sound.samples, source.samples)
    drift = _drift_ms(sound.samples[:length], source.samples[:length])
    raw = {
        "offset_ms": offset,
        "drift_ms": drift,
        "correlation": correlation,
        "short_s": max(0.0, wanted_s - end_s),
        "over_s": max(0.0, sound.end_s - sound.picture_s - max(0.0, source.end_s - source.picture_s)),
        "missing_share": _missing_share(sound.samples, source.samples, wanted_s),
        "clipped_share": max(0.0, _clipped(sound.samples) - _clipped(source.samples)),
        "flattened": _flattened(sound.samples, source.samples, offset) if correlation >= _SAME_SOUND else 0.0,
        "start_s": sound.start_s,
    }
    other = "is not the source's sound"
    late = f"is {abs(offset):.0f} ms {'late' if offset > 0 else 'early'}"
    parts = {
        late: calibrate(abs(offset), _OFFSET_MS),
        f"drifts by {abs(drift):.0f} ms": calibrate(abs(drift), _OFFSET_MS),
        other: calibrate(1 - correlation, _UNLIKE),
        f"ends {raw['short_s']:.2f} s too early": calibrate(raw["short_s"], _GAP_S),
        f"goes on {raw['over_s']:.2f} s after the picture": calibrate(raw["over_s"], _GAP_S),
        f"is missing for {raw['missing_share']:.0%} of the time": calibrate(
            raw["missing_share"], _MISSING_SHARE
        ),
        "is clipped": min(
            calibrate(raw["clipped_share"], _CLIPPED_SHARE), calibrate(raw["flattened"], _FLATTENED)
        ),
    }
    fault = min(parts, key=lambda words: parts[words])
    score = parts[fault]
    # A drift is only told of halves that are alike each: then it is the source's sound after all.
    if fault in (late, other) and correlation < _SAME_SOUND and not drift:
        faster = faster_share(sound.samples, source.samples, RATE_HZ)
        raw["faster_share"] = faster
        if faster:
            fault = f"runs {abs(faster):.1%} {'faster' if faster > 0 else 'slower'} than the source's"
        elif correlation < _UNKNOWN:
            fault = other
    reason = (
        "The sound is there, in time and as long as the picture." if score >= 0.95 else f"The sound {fault}."
    )
    return measured(name, score, reason, raw)


def _offset_ms(sound: NDArray[np.float32], source: NDArray[np.float32]) -> tuple[float, float]:
    """Lag of `sound` behind `source`, at most 2 s, and the normalised correlation there."""
    length = min(len(sound), len(source))
    size = 1 << (2 * length - 1).bit_length()
    here, there = sound[:length].astype(np.float64), source[:length].astype(np.float64)
    spectrum = np.fft.rfft(here, size)
    other = spectrum if np.array_equal(here, there) else np.fft.rfft(there, size)
    cross = np.fft.irfft(spectrum * np.conj(other), size)
    reach = min(int(_LAG_S * RATE_HZ), length // 2)
    lags = np.concatenate([cross[-reach:], cross[: reach + 1]])
    place = int(np.argmax(lags))
    lag = place - reach
    a = here[max(0, lag) : length + min(0, lag)]
    b = there[max(0, -lag) : length - max(0, lag)]
    norm = float(np.sqrt(np.sum(a**2) * np.sum(b**2)))
    return 1000.0 * lag / RATE_HZ, min(1.0, float(lags[place]) / norm) if norm > 0 else 0.0


def _drift_ms(sound: NDArray[np.float32], source: NDArray[np.float32]) -> float:
    """How much the offset changes from the first half to the second; 0 where a half is too short or unlike."""
    half = len(sound) // 2
    if half < RATE_HZ:
        return 0.0
    early, early_likeness = _offset_ms(sound[:half], source[:half])
    late, late_likeness = _offset_ms(sound[half:], source[half:])
    return late - early if min(early_likeness, late_likeness) > 0.5 else 0.0


def _missing_share(sound: NDArray[np.float32], source: NDArray[np.float32], wanted_s: float) -> float:
    """Share of 50 ms steps in which the source is audible and the clip is at least 26 dB below it."""
    step = RATE_HZ // 20
    count = int(wanted_s * RATE_HZ) // step
    here, there = levels(sound, count, step), levels(source, count, step)
    audible = there > max(_SILENT_RMS, 0.02 * float(np.max(there, initial=0.0)))
    return float(np.mean(here[audible] < 0.05 * there[audible])) if np.any(audible) else 0.0


def _clipped(samples: NDArray[np.float32]) -> float:
    return float(np.mean(np.abs(samples) >= 0.985))


def _flattened(sound: NDArray[np.float32], source: NDArray[np.float32], offset_ms: float) -> float:
    """How much less of the source's peaks than of what lies below them is left, at whatever level they were cut off.

    Of each block the slope of the clip's samples over the source's, among the high ones and among the low ones; the
    mean of what is lost, weighted by the blocks' energy.
    """
    lag = round(offset_ms * RATE_HZ / 1000)
    here, there = sound[max(0, lag) :], source[max(0, -lag) :]
    count = min(len(here), len(there)) // _BLOCK
    a, b = (one[: count * _BLOCK].reshape(count, _BLOCK).astype(np.float64) for one in (here, there))
    peak = np.abs(b).max(axis=1, initial=0.0)
    low, high = (
        np.sum(a * b, axis=1, where=which) / np.maximum(np.sum(b * b, axis=1, where=which), _SILENT_RMS**2)
        for which in (np.abs(b) < _LOW * peak[:, None], np.abs(b) > _HIGH * peak[:, None])
    )
    told = (peak > _LOUD * peak.max(initial=0.0)) & (low > 0)
    if not told.any():
        return 0.0
    lost = np.clip(1 - high[told] / low[told], -1.0, 1.0)
    return max(0.0, float(np.average(lost, weights=np.sum(b[told] ** 2, axis=1))))
