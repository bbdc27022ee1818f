"""Clips shaken along a known path: six kinds of difficulty, on real footage or on scenes made by code.

Every clip comes with what a perfect camera would have shown, frame by frame, so that any stabiliser can be
scored from its pictures alone.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.media.read import read_frames

__all__ = ["KINDS", "SIZE", "Clip", "camera_path", "clip", "drawn", "seen", "sources", "steadied_by_hand"]

Image = NDArray[np.uint8]
Mask = NDArray[np.float32]
SIZE = (640, 360)
FPS = 30.0
_ROOM = 1.25
"""The scene is this much larger than the picture, so that a shaken camera never sees its edge."""

KINDS = ("mild", "strong", "step", "moving foreground", "foreground fills", "plain background")
_CORNER_PX = {"mild": 2.5, "strong": 11.8, "step": 2.5}
_STEP_PX = 17.0
_USUAL_PX = 6.3


class Clip(NamedTuple):
    """`shaken` and `perfect` frames (H, W, 3) BGR, and the camera's shake (T, 4): x, y px, roll rad, log zoom."""

    name: str
    kind: str
    seed: int
    shaken: list[Image]
    perfect: list[Image]
    path: NDArray[np.float64]


def camera_path(kind: str, frames: int, seed: int) -> NDArray[np.float64]:
    """(T, 4) a hand's shake: noise between 0.6 and 9 Hz that falls off with frequency, about zero."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    frequency = np.fft.rfftfreq(frames, 1 / FPS)
    band = np.where((frequency > 0.6) & (frequency < 9.0), 1.0 / np.maximum(frequency, 0.6), 0.0)
    path = np.zeros((frames, 4))
    for column, size in enumerate((1.0, 0.8, 0.0016, 0.0007)):
        phase = rng.normal(size=len(band)) + 1j * rng.normal(size=len(band))
        series = np.fft.irfft(band * phase, frames)
        path[:, column] = size * series / max(float(series.std()), 1e-9)
    path *= _CORNER_PX.get(kind, _USUAL_PX) / _corner_rms(path)
    if kind == "step":
        for at in rng.choice(np.arange(frames // 5, frames - frames // 5), 1):
            turn = rng.uniform(0, 2 * np.pi)
            path[at:, :2] += _STEP_PX * np.array([np.cos(turn), np.sin(turn)])
            path[:, :2] -= path[:, :2].mean(axis=0)
    return path


def _corner_rms(path: NDArray[np.float64]) -> float:
    half = np.array(SIZE) / 2
    reach = float(np.hypot(*half))
    power = path[:, 0] ** 2 + path[:, 1] ** 2 + reach**2 * (path[:, 2] ** 2 + path[:, 3] ** 2)
    return float(np.sqrt(power.mean()))


def seen(scene: Image, motion: NDArray[np.float64]) -> Image:
    """What a camera moved by x, y px, roll, log zoom shows of the scene's middle."""
    x, y, roll, log_zoom = motion
    a, b = np.exp(log_zoom) * np.cos(roll), np.exp(log_zoom) * np.sin(roll)
    centre = (np.array([scene.shape[1], scene.shape[0]]) - 1) / 2
    turn = np.array([[a, -b], [b, a]])
    shift = (np.array(SIZE) - 1) / 2 + (x, y) - turn @ centre
    matrix = np.column_stack((turn, shift))
    return np.asarray(cv2.warpAffine(scene, matrix, SIZE, flags=cv2.INTER_CUBIC), np.uint8)


def clip(kind: str, name: str, frames: list[Image], seed: int) -> Clip:
    """The frames of a steady clip, made as difficult as `kind` says, and shaken."""
    scenes = _SCENES.get(kind, _plainly)(frames, np.random.default_rng([seed, 99]))
    path = camera_path(kind, len(frames), seed)
    perfect, shaken = [], []
    for scene, motion in zip(scenes, path, strict=True):
        perfect.append(seen(scene, np.zeros(4)))
        shaken.append(seen(scene, motion))
    return Clip(name, kind, seed, shaken, perfect, path)


def _large(image: Image) -> Image:
    return np.asarray(cv2.resize(image, _world(), interpolation=cv2.INTER_CUBIC), np.uint8)


def _world() -> tuple[int, int]:
    return round(SIZE[0] * _ROOM), round(SIZE[1] * _ROOM)


def _plainly(frames: list[Image], rng: np.random.Generator) -> Iterator[Image]:
    for frame in frames:
        yield _large(frame)


def _passing(frames: list[Image], rng: np.random.Generator) -> Iterator[Image]:
    """A third to half of the picture is a body that bobs and sways across it, itself not rigid."""
    own = _dance(len(frames), rng, 70.0)
    for index, frame in enumerate(frames):
        scene = _large(frame)
        body = _body(frame, 0.9)
        place = np.array(_world()) / 2 + own[index] + (0, 0.12 * SIZE[1])
        yield _laid(scene, body, place, 0.33)


def _filling(frames: list[Image], rng: np.random.Generator) -> Iterator[Image]:
    """Hardly more than a breathing body: of the background the corners are left, or nothing."""
    own = _dance(len(frames), rng, 25.0)
    share = rng.uniform(0.42, 0.55)
    width, height = _world()
    rows, columns = np.indices((height, width), np.float32)
    wave = rng.uniform(0.9, 1.6, 2) * 2 * np.pi / height
    for index, frame in enumerate(frames):
        time = 2 * np.pi * index / FPS
        dx = 5 * np.sin(wave[0] * rows + 1.3 * time) + 3 * np.sin(wave[1] * columns - 2.1 * time)
        dy = 4 * np.sin(wave[1] * columns + 1.9 * time) + 2 * np.sin(wave[0] * rows - 1.1 * time)
        fur = cv2.resize(_body(frame, 1.6), (width, height), interpolation=cv2.INTER_AREA)
        body = cv2.remap(
            fur,
            (columns + dx).astype(np.float32),
            (rows + dy).astype(np.float32),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REFLECT,
        )
        yield _laid(_large(frame), np.asarray(body, np.uint8), np.array(_world()) / 2 + own[index], share)


def _on_a_wall(frames: list[Image], rng: np.random.Generator) -> Iterator[Image]:
    """One dancer, cut out by the colour of the costume, on a lit wall with a camera's grain, nothing else."""
    width, height = _world()
    rows, columns = np.indices((height, width), np.float32)
    lamp = 12 * np.exp(-((columns - 0.3 * width) ** 2 + (rows - 0.3 * height) ** 2) / (0.5 * width) ** 2)
    wall = rng.uniform(140, 200, 3).astype(np.float32) + lamp[..., None]
    grain = rng.normal(0, 1.5, (height, width, 1)).astype(np.float32)
    masks = [_costumed(frame) for frame in frames]
    for frame, mask in zip(frames, masks, strict=True):
        soft = cv2.GaussianBlur(cv2.resize(mask, (width, height)), (0, 0), 1.5)[..., None]
        noise = np.roll(grain, rng.integers(0, 400, 2), (0, 1))
        yield np.clip((wall + noise) * (1 - soft) + _large(frame) * soft, 0, 255).astype(np.uint8)


_YELLOW, _GREEN = ((20, 120, 120), (34, 255, 255)), ((36, 70, 40), (80, 255, 255))


def _costumed(frame: Image, colours: tuple[tuple[int, int, int], tuple[int, int, int]] = _YELLOW) -> Mask:
    """(H, W) 1 where the largest figure in a costume of these colours (HSV) is, holes filled."""
    coloured = cv2.inRange(cv2.cvtColor(frame, cv2.COLOR_BGR2HSV), *colours)
    opened = cv2.morphologyEx(coloured, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    closed = cv2.morphologyEx(opened, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (35, 35)))
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    mask = np.zeros(closed.shape, np.float32)
    if outlines:
        cv2.drawContours(mask, [max(outlines, key=cv2.contourArea)], -1, 1.0, cv2.FILLED)
    return mask


_SCENES: dict[str, Callable[[list[Image], np.random.Generator], Iterator[Image]]] = {
    "moving foreground": _passing,
    "foreground fills": _filling,
    "plain background": _on_a_wall,
}


def _dance(frames: int, rng: np.random.Generator, reach_px: float) -> NDArray[np.float64]:
    """(T, 2) sway at about 0.7 Hz and bobbing on the beat, at 2 Hz, with its overtone."""
    time = np.arange(frames) / FPS
    sway, beat = rng.uniform(0.5, 0.9), rng.uniform(1.7, 2.2)
    x = reach_px * np.sin(2 * np.pi * (sway * time + rng.random()))
    y = 0.25 * reach_px * np.sin(2 * np.pi * (beat * time + rng.random()))
    y += 0.06 * reach_px * np.sin(2 * np.pi * (2 * beat * time + rng.random()))
    return np.column_stack((x, y))


def _body(frame: Image, zoom: float) -> Image:
    """The middle of the frame as fur and cloth, (H, W, 3), as large as the scene."""
    height, width = frame.shape[:2]
    part = frame[round(0.3 * height) : round(0.95 * height), round(0.2 * width) : round(0.85 * width)]
    big = cv2.resize(part, None, fx=2 * zoom, fy=2 * zoom, interpolation=cv2.INTER_CUBIC)
    return np.asarray(big, np.uint8)


def _laid(scene: Image, body: Image, place: NDArray[np.float64], share: float) -> Image:
    """The body laid over the scene within an oval whose axes are `share` of the scene's, centre at `place`."""
    height, width = scene.shape[:2]
    shift = place - np.array([body.shape[1], body.shape[0]]) / 2
    matrix = np.array([[1.0, 0, shift[0]], [0, 1.0, shift[1]]])
    moved = cv2.warpAffine(
        body, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    mask = np.zeros((height, width), np.float32)
    axes = (round(share * width * 16), round(share * height * 1.3 * 16))
    cv2.ellipse(mask, (round(place[0] * 16), round(place[1] * 16)), axes, 0, 0, 360, 1.0, -1, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(mask, (0, 0), 1.2)[..., None]
    return (scene * (1 - soft) + moved * soft).astype(np.uint8)


def drawn(frames: int, seed: int) -> list[Image]:
    """A scene made by code: a textured room, and three striped figures that dance in it."""
    rng = np.random.default_rng([seed, 7])
    width, height = SIZE
    room = np.zeros((height, width, 3), np.float32)
    for cell, weight in ((90, 0.4), (28, 0.25), (9, 0.2), (4, 0.15)):
        grid = rng.random((height // cell + 2, width // cell + 2, 3), dtype=np.float32)
        room += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    room = np.clip(128 + 170 * (room - room.mean()), 10, 245)
    ways = [_dance(frames, rng, 22.0) for _ in range(3)]
    colours = np.vstack((rng.uniform(40, 220, (2, 3)), [[30.0, 200.0, 240.0]]))  # one in yellow
    out = []
    for index in range(frames):
        image = room.astype(np.uint8)
        for figure in range(3):
            x, y = ways[figure][index] + ((0.25 + 0.25 * figure) * width, 0.6 * height)
            _figure(image, float(x), float(y), colours[figure], index, figure)
        out.append(image)
    return out


def _figure(image: Image, x: float, y: float, colour: NDArray[np.float64], index: int, figure: int) -> None:
    def oval(dx: float, dy: float, axes: tuple[float, float], turn: float, tone: float) -> None:
        at = (round((x + dx) * 16), round((y + dy) * 16))
        size = (round(axes[0] * 16), round(axes[1] * 16))
        cv2.ellipse(image, at, size, turn, 0, 360, (colour * tone).tolist(), -1, cv2.LINE_AA, 4)

    arm = 35 * np.sin(2 * np.pi * 2 * index / FPS + figure)
    oval(-34, -5, (9, 34), 40 + arm, 0.8)
    oval(34, -5, (9, 34), -40 + arm, 0.8)
    oval(0, 0, (32, 62), 0, 1.0)
    oval(0, -70, (26, 24), 0, 0.9)
    for stripe in range(-4, 5):
        oval(0, 12 * stripe, (27, 3), 0, 0.5)
    for side in (-9, 9):
        oval(side, -74, (4, 5), 0, 0.2)


def steadied_by_hand(frames: list[Image]) -> list[Image]:
    """The dancers of a clip whose camera moves, before one still picture of their room: a camera at rest."""
    still = frames[0].astype(np.float32)
    out = []
    for frame in frames:
        mask = np.maximum(_costumed(frame, _YELLOW), _costumed(frame, _GREEN))
        soft = cv2.GaussianBlur(cv2.dilate(mask, np.ones((7, 7), np.uint8)), (0, 0), 1.5)[..., None]
        out.append((still * (1 - soft) + frame * soft).astype(np.uint8))
    return out


def sources(folder: Path | None, seconds: float, *, held_back: bool) -> Iterator[tuple[str, list[Image]]]:
    """Named segments of steady clips: of the footage, if there is any, and always of scenes made by code.

    `held_back` gives other segments and scenes: those that nothing was tuned on.
    """
    count = round(seconds * FPS)
    for path in sorted(folder.glob("*.mp4")) if folder else ():
        frames = [
            np.asarray(cv2.resize(frame.image, SIZE, interpolation=cv2.INTER_AREA), np.uint8)
            for frame in read_frames(path)
        ]
        for start in (0.55, 0.78) if held_back else (0.05, 0.3):
            first = int(start * (len(frames) - count))
            yield f"{path.stem}+{first}", steadied_by_hand(frames[first : first + count])
    for seed in (11, 12) if held_back else (1, 2):
        yield f"drawn-{seed}", drawn(count, seed)
