"""Defects of pictures, each at three severities, seeded, and which frames it spoiled.

Severity 1 mild (a careful viewer notices), 2 medium (most notice), 3 severe (all notice).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.qc.metrics.edges import subject_mask
from caf.qc.metrics.frames import seen_image
from caf.qc.metrics.samples import sample_of
from caf.qc.metrics.scene import Sighting, scan
from caf.qc.metrics.subject import follow

__all__ = ["LOCALISED", "WHOLE", "Frames", "Spoiled"]

Frames = list[NDArray[np.uint8]]


class Spoiled(NamedTuple):
    """`frames` (H, W, 3) uint8 BGR, and the indices of those that are wrong; None: the whole clip is."""

    frames: Frames
    blamed: frozenset[int] | None = None


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


def _freeze(frames: Frames, severity: int, rng: np.random.Generator) -> Spoiled:
    length = int(_grade(severity, 4, 10, 30))
    at = _place(frames, length, rng)
    held = [*frames[:at], *[frames[at]] * length, *frames[at + length :]]
    return Spoiled(held, frozenset(range(at + 1, at + length)))


def _cadence(frames: Frames, severity: int, rng: np.random.Generator) -> Spoiled:
    every = int(_grade(severity, 16, 8, 4))
    out = list(frames)
    doubled = range(int(rng.integers(2, every)), len(out) - 1, every)
    for at in doubled:
        out[at] = out[at - 1]
    return Spoiled(out, frozenset(doubled))


def _dropped(frames: Frames, severity: int, rng: np.random.Generator) -> Spoiled:
    gone = set(
        rng.choice(len(frames), int(len(frames) * _grade(severity, 0.05, 0.1, 0.25)), replace=False).tolist()
    )
    kept = [index for index in range(len(frames)) if index not in gone]
    after = {place for place, index in enumerate(kept) if place and kept[place - 1] != index - 1}
    return Spoiled([frames[index] for index in kept], frozenset(after))


def _blank(frames: Frames, severity: int, rng: np.random.Generator) -> Spoiled:
    length = int(_grade(severity, 1, 3, 10))
    at = _place(frames, length, rng)
    colour = int(rng.choice([0, 16, 255]))
    empty = [np.full_like(frames[0], colour)] * length
    return Spoiled([*frames[:at], *empty, *frames[at + length :]], frozenset(range(at, at + length)))


def _glitch(frames: Frames, severity: int, rng: np.random.Generator) -> Spoiled:
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
    return Spoiled(out, frozenset({at}))


def _torn(frames: Frames, severity: int, rng: np.random.Generator) -> Spoiled:
    """One frame whose lower part slipped sideways, as when half a frame is shown with half of another."""
    out, at = list(frames), _place(frames, 1, rng)
    height, width = frames[0].shape[:2]
    row = int(rng.uniform(0.3, 0.7) * height)
    slipped = out[at].copy()
    slipped[row:] = np.roll(slipped[row:], int(_grade(severity, 0.02, 0.06, 0.2) * width), axis=1)
    out[at] = slipped
    return Spoiled(out, frozenset({at}))


def _tint(frames: Frames, severity: int, rng: np.random.Generator) -> Spoiled:
    """One frame in which a part of the picture has false colours and the right tones."""
    out, at = list(frames), _place(frames, 1, rng)
    height, width = frames[0].shape[:2]
    tall, wide = (int(_grade(severity, 0.25, 0.45, 0.9) * side) for side in (height, width))
    y, x = int(rng.integers(0, height - tall)), int(rng.integers(0, width - wide))
    lab = cv2.cvtColor(out[at], cv2.COLOR_BGR2LAB)
    push = np.array([0, *rng.choice([-1, 1], 2)]) * _grade(severity, 14, 24, 45)
    part = lab[y : y + tall, x : x + wide].astype(np.float64) + push
    lab[y : y + tall, x : x + wide] = np.clip(part, 0, 255).astype(np.uint8)
    out[at] = np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2BGR), np.uint8)
    return Spoiled(out, frozenset({at}))


def _pop(frames: Frames, severity: int, rng: np.random.Generator) -> Spoiled:
    """A limb's worth of the figure is gone for two frames, background in its place, time and again."""
    out, masks = list(frames), foreground(frames)
    picks = np.linspace(0, len(frames) - 1, 25).round().astype(int)
    still = np.median(np.stack([frames[int(pick)] for pick in picks]), axis=0).astype(np.uint8)
    side = int(_grade(severity, 0.08, 0.13, 0.2) * max(frames[0].shape))
    blamed: set[int] = set()
    for start in np.sort(rng.choice(np.arange(6, len(frames) - 8, 6), severity + 1, replace=False)).tolist():
        rows, columns = np.nonzero(
            cv2.morphologyEx(masks[start], cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
        )
        if len(rows) == 0:
            continue
        pick = int(rng.integers(len(rows)))
        soft = np.zeros(frames[0].shape[:2], np.float32)
        cv2.ellipse(
            soft,
            (int(columns[pick]), int(rows[pick])),
            (side // 2, side),
            int(rng.integers(180)),
            0,
            360,
            1.0,
            -1,
        )
        for at in (start, start + 1):
            weight = cv2.GaussianBlur(soft * masks[at], (7, 7), 0)[..., None]
            out[at] = (out[at] * (1 - weight) + still * weight).astype(np.uint8)
            blamed.add(at)
    return Spoiled(out, frozenset(blamed))


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
    samples = [sample_of(seen_image(index, 0.0, frame)) for index, frame in enumerate(frames)]
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


def _blur_burst(frames: Frames, severity: int, rng: np.random.Generator) -> Spoiled:
    length, sigma = (
        int(_grade(severity, 5, 8, 15)),
        _grade(severity, 1.0, 2.0, 4.0) * max(frames[0].shape) / 640,
    )
    at = _place(frames, length, rng)
    out = [
        np.asarray(cv2.GaussianBlur(frame, (0, 0), sigma), np.uint8) if at <= index < at + length else frame
        for index, frame in enumerate(frames)
    ]
    return Spoiled(out, frozenset(range(at, at + length)))


def _upscaled(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    """Made small and large again: the size is right, the resolution is not."""
    height, width = frames[0].shape[:2]
    share = 1 / _grade(severity, 1.5, 2.0, 3.0)
    small = (round(width * share), round(height * share))
    method = int(rng.choice([cv2.INTER_CUBIC, cv2.INTER_LANCZOS4]))
    return [
        np.asarray(
            cv2.resize(
                cv2.resize(frame, small, interpolation=cv2.INTER_AREA), (width, height), interpolation=method
            ),
            np.uint8,
        )
        for frame in frames
    ]


def _exposure(frames: Frames, severity: int, rng: np.random.Generator) -> Frames:
    """Over- or underexposed: the light ends are cut off, or everything is dark."""
    if rng.random() < 0.5:
        gain, lift = _grade(severity, 1.35, 1.7, 2.4), 0.0
    else:
        gain, lift = _grade(severity, 0.6, 0.42, 0.25), -_grade(severity, 4, 8, 12)
    return [np.clip(frame * gain + lift, 0, 255).astype(np.uint8) for frame in frames]


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


LOCALISED: dict[str, Callable[[Frames, int, np.random.Generator], Spoiled]] = {
    "freeze": _freeze,
    "cadence": _cadence,
    "dropped": _dropped,
    "blank": _blank,
    "glitch": _glitch,
    "torn": _torn,
    "tint": _tint,
    "pop": _pop,
    "blur_burst": _blur_burst,
}
"""Defects of some frames."""

WHOLE: dict[str, Callable[[Frames, int, np.random.Generator], Frames]] = {
    "shake": _shake,
    "flicker": _flicker,
    "seam": _seam,
    "hue_shift": _hue_shift,
    "hue_drift": _hue_drift,
    "recolour": _recolour,
    "halo": _halo,
    "warp": _warp,
    "blockiness": _blockiness,
    "upscaled": _upscaled,
    "exposure": _exposure,
}
"""Defects of the clip as a whole."""
