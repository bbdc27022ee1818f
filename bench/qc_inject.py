"""Spoil clean frames or sound in one known way: seeded, graded, for the benchmark and by hand.

    python -m bench.qc_inject CLIP DEFECT SEVERITY OUT [--seed N]

Severity 1 mild (a careful viewer notices), 2 medium (most notice), 3 severe (all notice).
"""

import argparse
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from bench.qc_defects import LOCALISED, WHOLE, Frames, Spoiled
from caf.media.read import read_frames

__all__ = [
    "PICTURE",
    "PLAIN",
    "SOUND",
    "FileForm",
    "Frames",
    "Spoiled",
    "Wave",
    "inject",
    "inject_sound",
    "misformed",
    "read_clip",
    "spoil",
    "write_clip",
]

PICTURE: Final = (*LOCALISED, *WHOLE)
Wave = NDArray[np.float32]
"""(N,) mono, -1..1."""
RATE_HZ = 44_100


class FileForm(NamedTuple):
    """What a file is beside its pictures and sound."""

    rate: float = 1.0
    """Of the frame rate that the frames were made for."""
    pixel_format: str = "yuv420p"
    rotation_deg: int = 0
    width: float = 1.0
    """Of the width that the frames were made in; the height follows nothing."""


PLAIN: Final = FileForm()


def spoil(frames: Frames, defect: str, severity: int, seed: int) -> Spoiled:
    """The frames with `defect` (a key of `PICTURE`) at severity 1-3, and which are wrong; by the seed alone."""
    rng = np.random.default_rng([seed, severity, len(defect)])
    if defect in LOCALISED:
        return LOCALISED[defect](list(frames), severity, rng)
    return Spoiled(WHOLE[defect](list(frames), severity, rng))


def inject(frames: Frames, defect: str, severity: int, seed: int) -> Frames:
    """The frames of `spoil`."""
    return spoil(frames, defect, severity, seed).frames


def misformed(severity: int, seed: int) -> FileForm:
    """A file that is not what was asked for in one way: its rate, its pixels or its turn, or its size."""
    choice = int(np.random.default_rng([seed, severity]).integers(2))
    if severity == 1:
        return FileForm(rate=(0.96, 0.8)[choice])
    if severity == 2:
        return (FileForm(pixel_format="yuv444p"), FileForm(rotation_deg=90))[choice]
    return FileForm(width=(0.5, 0.9)[choice])


def _delay(wave: Wave, seconds: float) -> Wave:
    return np.concatenate([np.zeros(round(seconds * RATE_HZ), np.float32), wave])[: len(wave)]


def _grade(severity: int, *values: float) -> float:
    return values[severity - 1]


def _stretched(wave: Wave, factor: float) -> Wave:
    """Slower by `factor`, cut to the old length."""
    at = np.arange(len(wave)) / factor
    return np.interp(at, np.arange(len(wave)), wave).astype(np.float32)


def _overdriven(wave: Wave, gain: float) -> Wave:
    """Louder than full scale by `gain`, and cut off there."""
    peak = max(float(np.percentile(np.abs(wave), 99.9)), 1e-6)
    return np.clip(wave * (gain / peak), -1, 1).astype(np.float32)


def _silenced(wave: Wave, seconds: float) -> Wave:
    out, length = wave.copy(), round(seconds * RATE_HZ)
    start = (len(wave) - length) // 2
    out[start : start + length] = 0
    return out


SOUND: dict[str, Callable[[Wave, int], Wave | None]] = {
    "audio_offset": lambda wave, severity: _delay(wave, _grade(severity, 0.08, 0.2, 0.6)),
    "audio_missing": lambda wave, severity: None if severity > 1 else np.zeros_like(wave),
    "audio_late": lambda wave, severity: np.where(
        np.arange(len(wave)) < _grade(severity, 0.3, 0.7, 1.5) * RATE_HZ, np.float32(0), wave
    ).astype(np.float32),
    "audio_drift": lambda wave, severity: _stretched(wave, 1 + _grade(severity, 0.02, 0.04, 0.08)),
    "audio_clipped": lambda wave, severity: _overdriven(wave, _grade(severity, 2.0, 4.0, 12.0)),
    "audio_gap": lambda wave, severity: _silenced(wave, _grade(severity, 0.25, 0.6, 1.5)),
    "audio_short": lambda wave, severity: wave[: len(wave) - int(_grade(severity, 0.35, 0.8, 2.0) * RATE_HZ)],
}


def inject_sound(wave: Wave, defect: str, severity: int) -> Wave | None:
    """The sound with `defect` (a key of `SOUND`) at severity 1-3; None for no track at all."""
    return SOUND[defect](wave, severity)


def read_clip(path: Path, start: int = 0, count: int | None = None) -> tuple[Frames, float, Wave | None]:
    """Frames, frames per second and the sound that goes with them."""
    frames: Frames = []
    times: list[float] = []
    for index, frame in enumerate(read_frames(path)):
        if index >= start and (count is None or index < start + count):
            frames.append(frame.image)
            times.append(frame.time_s)
        if count is not None and index >= start + count:
            break
    fps = (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 30.0
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return frames, fps, None
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        pieces = [
            out.to_ndarray().ravel()
            for frame in container.decode(audio=0)
            for out in resampler.resample(frame)
        ]
    wave = np.concatenate(pieces).astype(np.float32)
    first = round(start / fps * RATE_HZ)
    return frames, fps, wave[first : first + round(len(frames) / fps * RATE_HZ)]


def write_clip(
    path: Path, frames: Frames, fps: float, wave: Wave | None = None, crf: int = 18, form: FileForm = PLAIN
) -> Path:
    """H.264 and AAC, one encoder thread, so that the same frames give the same file."""
    height, width = (side // 2 * 2 for side in frames[0].shape[:2])
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=Fraction(fps * form.rate).limit_denominator(1001))
        video.width, video.height = round(width * form.width / 2) * 2, height
        video.pix_fmt = form.pixel_format
        video.thread_count = 1
        video.options = {"crf": str(crf), "preset": "veryfast"}
        if form.rotation_deg:
            video.set_display_rotation(-form.rotation_deg)
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono") if wave is not None else None
        for image in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="bgr24")
            container.mux(video.encode(picture.reformat(width=video.width, height=height)))
        container.mux(video.encode(None))
        if audio is not None and wave is not None:
            for at in range(0, len(wave), 1024):
                piece = av.AudioFrame.from_ndarray(
                    np.ascontiguousarray(wave[None, at : at + 1024]), format="fltp", layout="mono"
                )
                piece.sample_rate, piece.pts = RATE_HZ, at
                container.mux(audio.encode(piece))
            container.mux(audio.encode(None))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("defect", choices=[*PICTURE, *SOUND, "format"])
    parser.add_argument("severity", type=int, choices=[1, 2, 3])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    frames, fps, wave = read_clip(told.clip)
    form = PLAIN
    if told.defect in PICTURE:
        frames, blamed = spoil(frames, told.defect, told.severity, told.seed)
        print("spoiled frames:", "all" if blamed is None else " ".join(map(str, sorted(blamed))))
    elif told.defect == "format":
        form = misformed(told.severity, told.seed)
    elif wave is not None:
        wave = inject_sound(wave, told.defect, told.severity)
    write_clip(told.out, frames, fps, wave, form=form)


if __name__ == "__main__":
    main()
