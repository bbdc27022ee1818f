"""The demo's clips: a real cat from scikit-image's pictures, moved by a known camera path, with sound."""

import math
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.errors import UnavailableError
from caf.media.picture import before_after, save_picture
from caf.media.write import ClipWriter
from caf.ports import DemoRequest, Produced, Progress, SheetRequest

__all__ = ["make", "sheet"]

WIDTH: Final = 480
HEIGHT: Final = 320
FPS: Final = 24
FRAMES: Final = 96
RATE_HZ: Final = 48_000
SHAKE_PX: Final = 4.0
FLICKER: Final = 0.10


def make(request: DemoRequest, progress: Progress) -> Produced:
    """Write one of the demo's files into `request.out_dir`.

    `healthy`: a slow, closed camera path over the picture `chelsea`; `shaken`: the same with a hand's
    shake (Gaussian, 4 px) and flickering light (Gaussian, 10 %); `costume`: the picture `astronaut`.
    Each is there whole or not at all. Raises `UnavailableError` when scikit-image is not installed, `TryAgainError`.
    """
    try:
        from skimage import data
    except ImportError as fault:
        raise UnavailableError(
            "The demo's pictures come with scikit-image, which is not installed.",
            remedy="Install it with: pip install 'caf[demo]'",
            kind="demo_pictures_missing",
        ) from fault
    out = Path(request.out_dir) / request.name
    if request.kind == "costume":
        return Produced(role="reference", path=str(save_picture(_bgr(data.astronaut()), out)))
    cat = _bgr(data.chelsea())
    if request.kind == "reference":
        return Produced(role="reference", path=str(save_picture(cat, out)))
    return _clip(cat, out, request.kind == "shaken", progress)


def _bgr(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), dtype=np.uint8)


def sheet(request: SheetRequest, progress: Progress) -> Produced:
    """Write a before/after picture. Raises `MediaError`, `TryAgainError`."""
    before_after(
        request.before,
        request.after,
        request.out,
        captions=request.captions,
        at_s=request.at_s,
        cell=(240, 160),
    )
    progress(1, 1)
    return Produced(role="sheet", path=request.out)


def _clip(cat: NDArray[np.uint8], out: Path, shaken: bool, progress: Progress) -> Produced:
    random = np.random.default_rng(20_261_123)
    sound = out.with_suffix(".wav")
    _purr(sound, FRAMES / FPS)
    try:
        with ClipWriter(
            out, width=WIDTH, height=HEIGHT, fps=FPS, mode="final", crf=14, preset="fast", sound_from=sound
        ) as clip:
            for index in range(FRAMES):
                shift = random.normal(0.0, SHAKE_PX, 2) if shaken else np.zeros(2)
                gain = 1.0 + random.normal(0.0, FLICKER) if shaken else 1.0
                clip.write(_frame(cat, index, shift, gain), index / FPS)
                progress(index + 1, FRAMES)
    finally:
        sound.unlink(missing_ok=True)
    return Produced(role="source", path=str(out))


def _frame(cat: NDArray[np.uint8], index: int, shift: NDArray[np.float64], gain: float) -> NDArray[np.uint8]:
    """The picture seen through a camera that drifts on an ellipse and breathes in and out, once a loop."""
    height, width = cat.shape[:2]
    turn = 2.0 * math.pi * index / FRAMES
    zoom = 1.25 + 0.04 * math.cos(turn)
    scale = zoom * max(WIDTH / width, HEIGHT / height)
    centre_x = width / 2 + 12.0 * math.cos(turn)
    centre_y = height / 2 + 7.0 * math.sin(turn)
    matrix = np.array(
        [
            [scale, 0.0, WIDTH / 2 - scale * centre_x + shift[0]],
            [0.0, scale, HEIGHT / 2 - scale * centre_y + shift[1]],
        ]
    )
    seen = cv2.warpAffine(
        cat, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    lit = np.clip(seen.astype(np.float32) * gain, 0, 255)
    return np.asarray(lit, dtype=np.uint8)


def _purr(path: Path, duration_s: float) -> None:
    """A cat's purr: 26 Hz pulses of low noise, swelling with each breath."""
    import wave

    random = np.random.default_rng(26)
    time_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    noise = np.convolve(random.normal(0.0, 1.0, time_s.size), np.ones(64) / 64.0, mode="same")
    pulses = np.clip(np.sin(2 * np.pi * 26.0 * time_s), 0.0, 1.0)
    breath = 0.6 + 0.4 * np.sin(2 * np.pi * time_s / 1.6)
    level = noise * pulses * breath
    samples = (level / np.abs(level).max() * 0.5 * 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(samples.tobytes())
