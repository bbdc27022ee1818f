"""Spoil clean frames or sound in one known way: seeded, graded, for the benchmark and by hand.

    python -m bench.qc_inject CLIP DEFECT SEVERITY OUT [--seed N]

Severity 1 mild (a careful viewer notices), 2 medium (most notice), 3 severe (all notice).
"""

import argparse
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from caf.media.read import read_frames
from caf.qc.metrics.edges import subject_mask
from caf.qc.metrics.samples import sample_of
from caf.qc.metrics.scene import Sighting, scan
from caf.qc.metrics.subject import follow

__all__ = ["PICTURE", "SOUND", "Frames", "Wave", "inject", "inject_sound", "read_clip", "write_clip"]

Frames = list[NDArray[np.uint8]]
Wave = NDArray[np.float32]
"""(N,) mono, -1..1."""
RATE_HZ = 44_100


def _grade(severity: int, *values: float) -> float:
    return values[severity - 1]


def _place(frames: Sequence[Any], length: int, rng: np.random.Generator) -> int:
    return int(rng.integers(6, max(7, len(frames) - length - 6)))


_KNOWN: list[tuple[NDArray[np.uint8], int, list[NDArray[np.uint8]]]] = []


def foreground(frames: Frames) -> list[NDArray[np.uint8]]:
    """Where each frame differs from the clip's median picture (static camera), else a central ellipse.

    Remembered for the clip it was last made for, because many defects are injected into one clip.
    """
    if _KNOWN and _KNOWN[0][0] is frames[0] and _KNOWN[0][1] == len(frames):
        return _KNOWN[0][2]
    _KNOWN[:] = [(frames[0], len(frames), _foreground(frames))]
    return _KNOWN[0][2]


def _foreground(frames: Frames) -> list[NDArray[np.uint8]]:
    picks = np.linspace(0, len(frames) - 1, 25).round().astype(int)
    still = np.median(np.stack([frames[int(pick)] for pick in picks]), axis=0).astype(np.uint8)
    masks = [_figures(cv2.absdiff(frame, still).max(axis=2)) for frame in frames]
    share = float(np.mean([mask.mean() for mask in masks]))
    if 0.05 < share < 0.5:
        return masks
    height, width = frames[0].shape[:2]
    oval = np.zeros((height, width), np.uint8)
    cv2.ellipse(oval, (width // 2, height // 2), (width // 4, int(height / 2.6)), 0, 0, 360, 1, -1)
    return [oval] * len(frames)


def _figures(difference: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The large pieces of what moved, smooth outlines, holes filled."""
    moved = (cv2.GaussianBlur(difference, (0, 0), 2.5) > 30).astype(np.uint8)
    closed = cv2.morphologyEx(moved, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 15)))
    opened = cv2.morphologyEx(closed, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (13, 13)))
    outlines, _ = cv2.findContours(opened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    large = [outline for outline in outlines if cv2.contourArea(outline) > 0.012 * difference.size]
    mask = np.zeros_like(opened)
    cv2.drawContours(mask, large, -1, 1, cv2.FILLED)
    return mask


def _warped(frame: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    return cv2.warpAffine(
        frame, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )


def _shake(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    size = _grade(severity, 0.002, 0.005, 0.012) * max(frames[0].shape)
    turn = rng.normal(0, 0.05 * severity, len(frames))
    move = rng.normal(0, size, (len(frames), 2))
    height, width = frames[0].shape[:2]
    out = []
    for frame, angle, shift in zip(frames, turn, move, strict=True):
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), float(angle), 1.0)
        matrix[:, 2] += shift
        out.append(_warped(frame, matrix))
    return out


def _flicker(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    gains = 1 + rng.normal(0, _grade(severity, 0.015, 0.035, 0.09), len(frames))
    return [np.clip(frame * gain, 0, 255).astype(np.uint8) for frame, gain in zip(frames, gains, strict=True)]


def _freeze(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    length = int(_grade(severity, 4, 10, 30))
    at = _place(frames, length, rng)
    return [*frames[:at], *[frames[at]] * length, *frames[at + length :]]


def _cadence(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    every = int(_grade(severity, 16, 8, 4))
    out = list(frames)
    for at in range(int(rng.integers(2, every)), len(out) - 1, every):
        out[at] = out[at - 1]
    return out


def _dropped(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    gone = set(
        rng.choice(len(frames), int(len(frames) * _grade(severity, 0.05, 0.1, 0.25)), replace=False).tolist()
    )
    return [frame for index, frame in enumerate(frames) if index not in gone]


def _blank(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    length = int(_grade(severity, 1, 3, 10))
    at = _place(frames, length, rng)
    colour = int(rng.choice([0, 16, 255]))
    empty = [np.full_like(frames[0], colour)] * length
    return [*frames[:at], *empty, *frames[at + length :]]


def _glitch(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    out = list(frames)
    height, width = frames[0].shape[:2]
    at = _place(frames, 1, rng)
    spoiled = out[at].copy()
    for _ in range(int(_grade(severity, 4, 12, 40))):
        side = height // 8
        y, x = int(rng.integers(0, height - side)), int(rng.integers(0, width - side))
        v, u = int(rng.integers(0, height - side)), int(rng.integers(0, width - side))
        spoiled[y : y + side, x : x + side] = out[at][v : v + side, u : u + side]
    out[at] = spoiled
    return out


def _seam(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    """For a clip that loops: leave out the way back, so that the end stands where the clip is elsewhere."""
    return frames[: len(frames) - int(len(frames) * _grade(severity, 0.06, 0.15, 0.4))]


def _hue(frame: NDArray[np.uint8], degrees: float, where: NDArray[np.uint8]) -> NDArray[np.uint8]:
    hsv = cv2.cvtColor(frame, cv2.COLOR_BGR2HSV)
    hsv[..., 0] = (hsv[..., 0].astype(np.int16) + round(degrees / 2)) % 180
    turned = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    soft = cv2.GaussianBlur(where.astype(np.float32), (5, 5), 0)[..., None]
    return (frame * (1 - soft) + turned * soft).astype(np.uint8)


def _hue_shift(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    degrees = _grade(severity, 15, 35, 90) * float(rng.choice([-1, 1]))
    return [_hue(frame, degrees, mask) for frame, mask in zip(frames, foreground(frames), strict=True)]


def _hue_drift(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    degrees = _grade(severity, 25, 60, 140) * float(rng.choice([-1, 1]))
    ramp = np.linspace(0, degrees, len(frames))
    return [_hue(f, float(d), m) for f, d, m in zip(frames, ramp, foreground(frames), strict=True)]


def _recolour(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    """Another cloth colour wherever the subject is coloured: hue turned, tone kept."""
    degrees = _grade(severity, 40, 100, 170)
    return [_hue(frame, degrees, mask) for frame, mask in zip(frames, foreground(frames), strict=True)]


def subject_masks(frames: Frames) -> Frames:
    """The one subject of the clip, cut out of every frame; zeros where it was not found near by."""
    samples = [sample_of(frame, index) for index, frame in enumerate(frames)]
    subject = follow(scan(samples[::8]), None)
    height, width = frames[0].shape[:2]
    masks = []
    for sample in samples:
        near = (
            min(subject.sightings, key=lambda seen: abs(seen.sample.index - sample.index))
            if subject
            else None
        )
        mask = None
        if near is not None and abs(near.sample.index - sample.index) <= 8:
            mask = subject_mask(Sighting(sample, near.box, near.look, near.kind))
        mask = np.zeros(sample.image.shape[:2], bool) if mask is None else mask
        masks.append(cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR))
    return masks


def _halo(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    width = int(_grade(severity, 2, 4, 6) * max(frames[0].shape) / 640)
    strength = _grade(severity, 0.35, 0.6, 0.9)
    colour = np.array([(255, 255, 255), (80, 255, 80), (255, 200, 40)][int(rng.integers(3))], np.float32)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    out = []
    for frame, mask in zip(frames, subject_masks(frames), strict=True):
        ring = (cv2.dilate(mask, kernel) - mask).astype(np.float32)
        ring = cv2.GaussianBlur(ring, (3, 3), 0)[..., None] * strength
        out.append((frame * (1 - ring) + colour * ring).astype(np.uint8))
    return out


def _blur_burst(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    length, sigma = (
        int(_grade(severity, 5, 8, 15)),
        _grade(severity, 1.0, 2.0, 4.0) * max(frames[0].shape) / 640,
    )
    at = _place(frames, length, rng)
    return [
        cv2.GaussianBlur(frame, (0, 0), sigma) if at <= index < at + length else frame
        for index, frame in enumerate(frames)
    ]


def _warp(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    """Breathing: the background swells and shrinks around two places; the subject stays as it is."""
    height, width = frames[0].shape[:2]
    reach = _grade(severity, 0.002, 0.005, 0.012) * max(height, width)
    rows, columns = np.indices((height, width), np.float32)
    centres = [(rng.uniform(0.1, 0.4) * height, rng.uniform(0.1, 0.9) * width) for _ in range(2)]
    rate = rng.uniform(0.7, 1.6, 2)
    out = []
    for index, (frame, mask) in enumerate(zip(frames, foreground(frames), strict=True)):
        dx, dy = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
        for (y, x), turns in zip(centres, rate, strict=True):
            size = 0.22 * max(height, width)
            bell = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * size**2))
            swing = reach * np.sin(2 * np.pi * turns * index / 30)
            dx += swing * bell * (columns - x) / size * 1.6
            dy += swing * bell * (rows - y) / size * 1.6
        moved = cv2.remap(frame, columns + dx, rows + dy, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        keep = cv2.GaussianBlur(mask.astype(np.float32), (9, 9), 0)[..., None]
        whole_clip = 0.0 if float(mask.mean()) < 0.2 else 1.0
        out.append((moved * (1 - keep * whole_clip) + frame * keep * whole_clip).astype(np.uint8))
    return out


def _blockiness(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    quality = int(_grade(severity, 28, 14, 5))
    return [
        cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)
        for frame in frames
    ]


PICTURE: dict[str, Callable[[Frames, int, np.random.Generator], Frames]] = {
    "shake": _shake,
    "flicker": _flicker,
    "freeze": _freeze,
    "cadence": _cadence,
    "dropped": _dropped,
    "blank": _blank,
    "glitch": _glitch,
    "seam": _seam,
    "hue_shift": _hue_shift,
    "hue_drift": _hue_drift,
    "recolour": _recolour,
    "halo": _halo,
    "blur_burst": _blur_burst,
    "warp": _warp,
    "blockiness": _blockiness,
}


def inject(frames: Frames, defect: str, severity: int, seed: int) -> Frames:
    """The frames with `defect` (a key of `PICTURE`) at severity 1-3; the same seed gives the same frames."""
    return PICTURE[defect](list(frames), severity, np.random.default_rng([seed, severity, len(defect)]))


def _delay(wave: Wave, seconds: float) -> Wave:
    return np.concatenate([np.zeros(round(seconds * RATE_HZ), np.float32), wave])[: len(wave)]


SOUND: dict[str, Callable[[Wave, int], Wave | None]] = {
    "audio_offset": lambda wave, severity: _delay(wave, _grade(severity, 0.08, 0.2, 0.6)),
    "audio_missing": lambda wave, severity: None if severity > 1 else np.zeros_like(wave),
    "audio_late": lambda wave, severity: np.where(
        np.arange(len(wave)) < _grade(severity, 0.3, 0.7, 1.5) * RATE_HZ, np.float32(0), wave
    ).astype(np.float32),
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


def write_clip(path: Path, frames: Frames, fps: float, wave: Wave | None = None, crf: int = 18) -> Path:
    """H.264 and AAC, one encoder thread, so that the same frames give the same file."""
    height, width = (side // 2 * 2 for side in frames[0].shape[:2])
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.thread_count = 1
        video.options = {"crf": str(crf), "preset": "veryfast"}
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono") if wave is not None else None
        for image in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="bgr24")
            container.mux(video.encode(picture))
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
    parser.add_argument("defect", choices=[*PICTURE, *SOUND])
    parser.add_argument("severity", type=int, choices=[1, 2, 3])
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    frames, fps, wave = read_clip(told.clip)
    if told.defect in PICTURE:
        frames = inject(frames, told.defect, told.severity, told.seed)
    elif wave is not None:
        wave = inject_sound(wave, told.defect, told.severity)
    write_clip(told.out, frames, fps, wave)


if __name__ == "__main__":
    main()
