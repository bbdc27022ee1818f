"""Clips and pictures made by code, with answers known in closed form.

A scene is a textured background, optionally with a subject that moves over it; the camera path, the light and
the sound are given by the caller, so every test knows the truth to the pixel and the sample.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from numpy.typing import NDArray

Image = NDArray[np.uint8]

__all__ = [
    "add_subject",
    "camera_frames",
    "click_times_s",
    "clicks",
    "make_clip",
    "make_picture",
    "shake_path",
    "sine",
    "subject_sway",
    "texture",
    "tuned_in",
    "write_clip",
]


def texture(width: int, height: int, *, seed: int = 1, contrast: float = 1.0) -> Image:
    """A colourful picture with detail at several scales, (height, width, 3) uint8 BGR."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width, 3), np.float32)
    for cell, weight in ((48, 0.45), (16, 0.3), (6, 0.25)):
        grid = rng.random((max(2, height // cell + 2), max(2, width // cell + 2), 3), dtype=np.float32)
        image += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(128 + 200 * contrast * (image - image.mean()), 20, 235).astype(np.uint8)


def shake_path(
    frames: int, *, amplitude_px: float = 4.0, seed: int = 2, roll_deg: float = 0.0
) -> NDArray[np.float64]:
    """A hand's tremor: (frames, 3) x px, y px, roll degrees; white noise, so it has no smooth part."""
    rng = np.random.default_rng(seed)
    path = rng.normal(0.0, 1.0, (frames, 3)) * (amplitude_px, amplitude_px, roll_deg)
    return path - path.mean(axis=0)


def camera_frames(
    scene: Image,
    path: NDArray[np.float64],
    size: tuple[int, int],
    subject: Callable[[int], Image] | None = None,
) -> list[Image]:
    """What a camera on `path` sees of `scene` (larger than `size`): frames, sub-pixel exact."""
    width, height = size
    frames = []
    for index, (dx, dy, roll) in enumerate(path):
        world = scene if subject is None else subject(index)
        centre = (world.shape[1] / 2 + dx, world.shape[0] / 2 + dy)
        matrix = cv2.getRotationMatrix2D(centre, roll, 1.0)
        matrix[:, 2] += (width / 2 - centre[0], height / 2 - centre[1])
        frames.append(
            cv2.warpAffine(world, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        )
    return frames


def add_subject(
    image: Image, centre: tuple[float, float], radius: float, *, bgr: Sequence[int] = (40, 140, 230)
) -> Image:
    """A copy of `image` with a striped disc, sub-pixel placed: a subject whose colour is known."""
    out = image.copy()
    point = (round(centre[0] * 16), round(centre[1] * 16))
    cv2.circle(out, point, round(radius * 16), tuple(int(c) for c in bgr), -1, cv2.LINE_AA, 4)
    cv2.circle(out, point, round(radius * 8), tuple(int(c * 0.6) for c in bgr), 3, cv2.LINE_AA, 4)
    return out


def sine(duration_s: float, *, rate_hz: int = 44_100, frequency_hz: float = 440.0) -> NDArray[np.float32]:
    """A steady tone, (n,) float32."""
    return (0.3 * np.sin(2 * np.pi * frequency_hz * np.arange(round(duration_s * rate_hz)) / rate_hz)).astype(
        np.float32
    )


def clicks(duration_s: float, at_s: Sequence[float], *, rate_hz: int = 44_100) -> NDArray[np.float32]:
    """Silence with a short burst beginning at each of `at_s`: sound that can be found again in time."""
    sound = np.zeros(round(duration_s * rate_hz), np.float32)
    burst = 0.8 * np.sin(2 * np.pi * 3000 * np.arange(rate_hz // 100) / rate_hz)
    for time in at_s:
        start = round(time * rate_hz)
        part = sound[start : start + len(burst)]
        part += burst[: len(part)].astype(np.float32)
    return sound


def click_times_s(path: str | Path) -> list[float]:
    """Where the bursts of `clicks` begin in a written clip, in seconds after its first video frame."""
    pieces: list[NDArray[np.float32]] = []
    rate, first = 44_100, None
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        zero = float((video.start_time or 0) * (video.time_base or 0))
        for frame in container.decode(audio=0):
            rate = frame.sample_rate
            first = (frame.time or 0.0) - zero if first is None else first
            data = frame.to_ndarray().astype(np.float32)
            scale = 32768.0 if frame.format.name.startswith("s16") else 1.0
            mono = data.reshape(-1, frame.layout.nb_channels).T if not frame.format.is_planar else data
            pieces.append(mono[0] / scale)
    loud = np.flatnonzero(np.abs(np.concatenate(pieces)) > 0.2)
    starts = [i for k, i in enumerate(loud) if k == 0 or i - loud[k - 1] > rate // 20]
    return [float(first or 0.0) + i / rate for i in starts]


def write_clip(
    path: str | Path,
    images: Sequence[Image],
    *,
    fps: float = 30.0,
    times_s: Sequence[float] | None = None,
    sound: NDArray[np.float32] | None = None,
    sound_start_s: float = 0.0,
    rate_hz: int = 44_100,
    video_codec: str = "libx264",
    audio_codec: str = "aac",
    pixel_format: str = "yuv420p",
    rotation_deg: int = 0,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode frames (and a mono sound that starts `sound_start_s` after the first frame) to `path`.

    `rotation_deg` is the clockwise turn a player applies. The container follows the suffix.
    """
    height, width = images[0].shape[:2]
    base = Fraction(1, 90_000)
    with av.open(str(path), "w") as out:
        quality = {"crf": "12", "preset": "veryfast"} if video_codec == "libx264" else {}
        # Else one file in thirty has other pictures than the rest (ADR 0008).
        same = {"x264-params": "cpu-independent=1"} if video_codec.startswith("libx264") else {}
        video = out.add_stream(
            video_codec,
            rate=Fraction(fps).limit_denominator(1001),
            options={**(options or quality), **same},
        )
        video.width, video.height, video.pix_fmt = width, height, pixel_format
        fine = video_codec not in {"mpeg4", "gif", "mpeg2video", "mjpeg"}
        base = base if fine else Fraction(1, round(fps))
        video.codec_context.time_base = base
        if rotation_deg:
            video.set_display_rotation(-rotation_deg)
        audio = out.add_stream(audio_codec, rate=rate_hz) if sound is not None else None
        if audio is not None:
            audio.codec_context.layout = "mono"
        for index, image in enumerate(images):
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(image), format="bgr24")
            frame.pts = round((times_s[index] if times_s is not None else index / fps) / base)
            frame.time_base = base
            frame.duration = round(1 / fps / base)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio is not None and sound is not None:
            for start in range(0, len(sound), 1024):
                block = np.ascontiguousarray(sound[None, start : start + 1024])
                piece = AudioFrame.from_ndarray(block, format="fltp", layout="mono")
                piece.sample_rate, piece.time_base = rate_hz, Fraction(1, rate_hz)
                piece.pts = start + round(sound_start_s * rate_hz)
                out.mux(audio.encode(piece))
            out.mux(audio.encode(None))
    return Path(path)


def make_clip(
    path: str | Path,
    *,
    frames: int = 30,
    size: tuple[int, int] = (160, 120),
    fps: float = 30.0,
    shake: float | NDArray[np.float64] = 0.0,
    flicker: float | Sequence[float] = 0.0,
    subject: bool = False,
    audio: bool = False,
    seed: int = 1,
    rotation_deg: int = 0,
) -> Path:
    """A textured scene filmed by a camera: steady, shaken or flickering; with or without subject and sound.

    `shake`: amplitude in px of a random tremor, or the path itself, (frames, 3) x, y, roll degrees.
    `flicker`: amplitude of an alternating gain (0.1 is plus and minus 10 %), or the gain of every frame.
    `subject`: a striped disc that sways over the middle of the scene.
    `audio`: a 440 Hz tone as long as the picture.
    """
    width, height = size
    scene = texture(width + 120, height + 120, seed=seed)
    path_px = shake_path(frames, amplitude_px=shake) if isinstance(shake, (int, float)) else np.asarray(shake)
    if isinstance(shake, (int, float)) and shake == 0:
        path_px = np.zeros((frames, 3))
    sway = subject_sway(scene, size) if subject else None
    images = camera_frames(scene, path_px, size, sway)
    if isinstance(flicker, (int, float)):
        gains = [1.0 + flicker * (-1) ** index for index in range(frames)]
    else:
        gains = list(flicker)
    if any(gain != 1.0 for gain in gains):
        images = [
            np.clip(i.astype(np.float32) * g + 0.5, 0, 255).astype(np.uint8)
            for i, g in zip(images, gains, strict=True)
        ]
    sound = sine(frames / fps) if audio else None
    return write_clip(path, images, fps=fps, sound=sound, rotation_deg=rotation_deg)


def subject_sway(scene: Image, size: tuple[int, int]) -> Callable[[int], Image]:
    """The scene with a disc that sways to and fro over its middle, by frame number."""
    middle = (scene.shape[1] / 2, scene.shape[0] / 2)
    return lambda index: add_subject(
        scene, (middle[0] + size[0] * 0.12 * np.sin(index / 6), middle[1]), min(size) * 0.2
    )


def tuned_in(path: Path, *, share: float = 0.2, at_s: float = 1.0) -> Path:
    """An MPEG-TS recording that begins inside a group of ten pictures, after `share` of two seconds; a picture is white
    and a click is heard at `at_s`.
    """
    fps = 30.0
    images = [texture(96, 64, seed=index) for index in range(60)]
    images[round(at_s * fps)][:] = 255
    whole = write_clip(
        path.with_name(f"whole-{path.name}"),
        images,
        fps=fps,
        sound=clicks(2.0, [at_s], rate_hz=48_000),
        rate_hz=48_000,
        options={"g": "10", "bf": "2", "crf": "12", "preset": "veryfast"},
    )
    data = whole.read_bytes()
    whole.unlink()
    path.write_bytes(data[round(len(data) // 188 * share) * 188 :])
    return path


def make_picture(
    path: str | Path, *, size: tuple[int, int] = (160, 120), seed: int = 1, subject: bool = False
) -> Path:
    """A still of the same scene, in the format of the suffix."""
    image = texture(*size, seed=seed)
    if subject:
        image = add_subject(image, (size[0] / 2, size[1] / 2), min(size) * 0.2)
    assert cv2.imwrite(str(path), image)
    return Path(path)
