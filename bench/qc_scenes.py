"""Clean scenes made by code, for the benchmark of QC: textured rooms in which jointed figures dance.

    scene(seed) -> 96 frames of 640x360 at 30 frames per second; every number of it follows from the seed.

`ODDITIES` are clean clips in which something looks like a defect and is none: a cut, a fade, a turning point.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["FPS", "FRAMES", "ODDITIES", "SIZE", "scene"]

Image = NDArray[np.uint8]
Floats = NDArray[np.float64]
SIZE: Final = (640, 360)
FPS: Final = 30.0
FRAMES: Final = 96
_ROOM: Final = 1.3
"""The room is this much larger than the picture, so that the camera never sees its edge."""


def scene(seed: int, frames: int = FRAMES) -> list[Image]:
    """(360, 640, 3) uint8 BGR frames: a camera that stands, drifts or pans, one to three figures, light, grain."""
    rng = np.random.default_rng([seed, 360])
    room = _room(rng)
    camera = _camera(rng, frames)
    figures = [_Figure(rng) for _ in range(int(rng.integers(1, 4)))]
    light = 1 + 0.02 * np.sin(np.arange(frames) / FPS * rng.uniform(0.3, 1.2) + rng.uniform(0, 6))
    grain = rng.uniform(0, 3)
    noise = [rng.normal(0, grain, (SIZE[1], SIZE[0], 1)).astype(np.float32) for _ in range(4)]
    softness = rng.uniform(0.0, 0.7)
    out = []
    for index in range(frames):
        world = room.copy()
        for figure in figures:
            figure.draw(world, index / FPS)
        picture = _seen(world, camera[index])
        if softness > 0.4:
            picture = cv2.GaussianBlur(picture, (0, 0), softness)
        lit = picture.astype(np.float32) * light[index] + np.roll(noise[index % 4], 37 * index, 1)
        out.append(np.clip(lit, 0, 255).astype(np.uint8))
    return out


def _room(rng: np.random.Generator) -> Image:
    """Wall and floor with detail at several scales, some furniture, and lines."""
    width, height = round(SIZE[0] * _ROOM), round(SIZE[1] * _ROOM)
    image = np.zeros((height, width, 3), np.float32)
    fine = rng.uniform(0.2, 0.6)
    for cell, weight in ((120, 0.6), (40, 0.3), (12, fine), (3, fine), (1, 0.6 * fine)):
        grid = rng.normal(size=(height // cell + 2, width // cell + 2, 3)).astype(np.float32)
        image += weight * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(rng.uniform(80, 160, 3) + rng.uniform(20, 45) * image, 12, 243).astype(np.uint8)
    for _ in range(int(rng.integers(6, 20))):
        corner = rng.integers(0, (width, height))
        colour = tuple(int(one) for one in rng.integers(20, 235, 3))
        far = corner + rng.integers(15, 160, 2)
        cv2.rectangle(
            picture, corner.tolist(), far.tolist(), colour, int(rng.choice([-1, 2, 4])), cv2.LINE_AA
        )
    return picture


def _camera(rng: np.random.Generator, frames: int) -> Floats:
    """(T, 2) px: stands, drifts as in a hand that is steadied well, or pans slowly."""
    time = np.arange(frames) / FPS
    kind = int(rng.integers(3))
    if kind == 0:
        return np.zeros((frames, 2))
    drift = np.stack(
        [
            sum(
                rng.uniform(1, 6) * np.sin(2 * np.pi * rate * time + rng.uniform(0, 6))
                for rate in (0.15, 0.35)
            )
            for _ in range(2)
        ],
        axis=1,
    )
    pan = np.zeros((frames, 2)) if kind == 1 else np.outer(time - time.mean(), rng.uniform(-16, 16, 2))
    return np.asarray(drift + pan, dtype=np.float64)


def _seen(world: Image, shift: Floats) -> Image:
    matrix = np.array(
        [
            [1.0, 0.0, shift[0] - (world.shape[1] - SIZE[0]) / 2],
            [0.0, 1.0, shift[1] - (world.shape[0] - SIZE[1]) / 2],
        ]
    )
    return np.asarray(cv2.warpAffine(world, matrix, SIZE, flags=cv2.INTER_CUBIC), np.uint8)


class _Figure:
    """A body with a head, two arms and two legs that swing to a beat, in two cloth colours."""

    def __init__(self, rng: np.random.Generator) -> None:
        width, height = round(SIZE[0] * _ROOM), round(SIZE[1] * _ROOM)
        self._foot = np.array([rng.uniform(0.25, 0.75) * width, rng.uniform(0.62, 0.72) * height])
        self._tall = rng.uniform(0.28, 0.42) * height
        self._beat_hz = rng.uniform(0.5, 1.8)
        self._phase = rng.uniform(0, 2 * np.pi, 6)
        self._swing = rng.uniform(0.3, 1.1, 4)
        self._step = rng.uniform(0.02, 0.12) * width
        self._colours = [tuple(int(one) for one in rng.integers(25, 230, 3)) for _ in range(3)]

    def draw(self, world: Image, time_s: float) -> None:
        turn = 2 * np.pi * self._beat_hz * time_s
        sway = (
            self._step * np.sin(turn / 2 + self._phase[4]),
            0.05 * self._tall * np.sin(turn + self._phase[5]),
        )
        hip = self._foot + np.array(sway)
        neck = hip - (0.06 * self._tall * np.sin(turn + self._phase[0]), 0.5 * self._tall)
        thick = max(6, int(0.1 * self._tall))
        for limb in range(4):
            start = hip if limb < 2 else neck + np.array([0, 0.06 * self._tall])
            side = -1 if limb % 2 else 1
            rest = 0.25 * side if limb < 2 else 1.2 * side
            angle = rest + self._swing[limb] * (0.4 if limb < 2 else 1.0) * np.sin(turn + self._phase[limb])
            middle = start + 0.25 * self._tall * np.array([np.sin(angle), np.cos(angle)])
            bent = angle + 0.5 * np.sin(turn + self._phase[3 - limb])
            end = middle + 0.25 * self._tall * np.array([np.sin(bent), np.cos(bent)])
            self._line(world, start, middle, self._colours[limb // 2], thick)
            self._line(world, middle, end, self._colours[limb // 2], thick)
        self._line(world, hip, neck, self._colours[1], 3 * thick)
        head = neck - (0, 0.14 * self._tall)
        centre = (round(head[0] * 16), round(head[1] * 16))
        cv2.circle(world, centre, round(0.13 * self._tall * 16), self._colours[2], -1, cv2.LINE_AA, 4)
        for side in (-1, 1):
            eye = (round((head[0] + side * 0.05 * self._tall) * 16), centre[1])
            cv2.circle(world, eye, round(0.02 * self._tall * 16), (15, 15, 15), -1, cv2.LINE_AA, 4)

    @staticmethod
    def _line(world: Image, start: Floats, end: Floats, colour: tuple[int, ...], thick: int) -> None:
        ends = [(round(place[0] * 16), round(place[1] * 16)) for place in (start, end)]
        cv2.line(world, ends[0], ends[1], colour, thick, cv2.LINE_AA, 4)


def _turning(frames: list[Image]) -> list[Image]:
    """To and fro: at the turning point the frames before and after are the same."""
    half = frames[: len(frames) // 2]
    return [*half, *half[-2:0:-1]]


def _cut(frames: list[Image]) -> list[Image]:
    """A hard cut to the same room seen from the other side, and back."""
    third = len(frames) // 3
    middle = [np.ascontiguousarray(frame[:, ::-1]) for frame in frames[third : 2 * third]]
    return [*frames[:third], *middle, *frames[2 * third :]]


def _fade(frames: list[Image]) -> list[Image]:
    """Out of black, and into it at the end."""
    ramp = np.clip(np.arange(len(frames)) / 20, 0, 1)
    return [
        (frame * min(ramp[index], ramp[-1 - index])).astype(np.uint8) for index, frame in enumerate(frames)
    ]


def _letterbox(frames: list[Image]) -> list[Image]:
    out = [frame.copy() for frame in frames]
    for frame in out:
        frame[: frame.shape[0] // 8], frame[-(frame.shape[0] // 8) :] = 0, 0
    return out


def _captions(frames: list[Image]) -> list[Image]:
    """A line of text that changes every second."""
    out = [frame.copy() for frame in frames]
    for index, frame in enumerate(out):
        words = ("watch this", "one more time", "and again", "meow")[index // 30 % 4]
        place = (frame.shape[1] // 4, int(0.88 * frame.shape[0]))
        cv2.putText(frame, words, place, cv2.FONT_HERSHEY_DUPLEX, 1.3, (255, 255, 255), 3, cv2.LINE_AA)
    return out


def _monochrome(frames: list[Image]) -> list[Image]:
    return [
        np.asarray(cv2.cvtColor(cv2.cvtColor(one, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR), np.uint8)
        for one in frames
    ]


def _slow(frames: list[Image]) -> list[Image]:
    """Slow motion by a factor of two, frames in between mixed."""
    out = []
    for one, other in pairwise(frames[: len(frames) // 2 + 1]):
        out += [one, np.asarray(cv2.addWeighted(one, 0.5, other, 0.5, 0), np.uint8)]
    return out


def _slides(frames: list[Image]) -> list[Image]:
    """Three still pictures, a second each."""
    picks = [frames[0], frames[len(frames) // 2], np.ascontiguousarray(frames[-1][::-1])]
    return [pick for pick in picks for _ in range(len(frames) // 3)]


ODDITIES: Final[dict[str, Callable[[list[Image]], list[Image]]]] = {
    "turning": _turning,
    "cut": _cut,
    "fade": _fade,
    "letterbox": _letterbox,
    "captions": _captions,
    "monochrome": _monochrome,
    "slow": _slow,
    "slides": _slides,
}
"""Clean frames to clean frames."""
