"""Frames as the metrics see them: one decode, every picture in the sizes that are needed."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.media.planes import FULL_COLOURS, FULL_LEVELS, Planes, planes_of, shrunk
from caf.media.read import Shown, is_animated_webp, read_frames, shown_frames
from caf.media.upright import upright
from caf.qc.metrics.lanes import Ahead

__all__ = [
    "Gray",
    "Image",
    "SeenFrame",
    "batches",
    "deterministic_cv2",
    "early",
    "see",
    "seen_image",
    "seen_shown",
    "shrink_to_area",
    "shrink_to_side",
]

Image = NDArray[np.uint8]
"""(H, W, 3) uint8, BGR."""
Gray = NDArray[np.uint8]
"""(H, W) uint8."""

MOTION_SIDE_PX = 320
STEP_SIDE_PX = 160
_PIXELS_A_CELL = 4
_BATCH, _BATCH_BYTES = 12, 12 << 20
"""Frames that are held together, and what their planes may take."""
_AHEAD, _AHEAD_BYTES = 24, 36 << 20
"""The same of those that are decoded early."""


@dataclass(frozen=True, slots=True)
class SeenFrame:
    """One decoded frame in the sizes that the collectors share, and its colours for whom they matter."""

    index: int
    time_s: float
    luma: Gray
    """Full size, in the levels that it is coded in; `full` makes them 0..255."""
    small: Gray
    """Long side at most 320, 0..255: camera and background motion."""
    tiny: NDArray[np.float32]
    """Long side at most 160: frame to frame steps."""
    colours: Planes | Image

    @property
    def contrast(self) -> float:
        """How much further apart levels 0..255 are than those of `luma`."""
        return 255 / 219 if isinstance(self.colours, Planes) and not self.colours.full_range else 1.0

    def full(self, part: Gray) -> Gray:
        """Levels 0..255 of a part of `luma`."""
        if isinstance(self.colours, Planes) and not self.colours.full_range:
            return np.asarray(cv2.LUT(part, FULL_LEVELS), dtype=np.uint8)
        return part

    def picture(self, area_px: int) -> Image:
        """BGR of at most `area_px` pixels; never enlarged, and a copy."""
        if isinstance(self.colours, Planes):
            return self.colours.bgr(_size_of_area(self.luma, area_px))
        small = shrink_to_area(_halved(self.colours, area_px), area_px)
        return small.copy() if small is self.colours else small

    def tones(self, area_px: int) -> Image:
        """(H, W, 3) YCrCb of at most `area_px` pixels, 0..255: the brightness of `tiny`, colours roughly made small.

        Half as dear as `picture`, and for a few thousand pixels as good.
        """
        if not isinstance(self.colours, Planes):
            return np.asarray(cv2.cvtColor(self.picture(area_px), cv2.COLOR_BGR2YCrCb), dtype=np.uint8)
        size = _size_of_area(self.luma, area_px)
        luma = cv2.convertScaleAbs(cv2.resize(self.tiny, size, interpolation=cv2.INTER_AREA))
        colours = [
            cv2.resize(_halved(one, 2 * area_px), size) for one in (self.colours.red, self.colours.blue)
        ]
        both = colours if self.colours.full_range else [cv2.LUT(one, FULL_COLOURS) for one in colours]
        return np.asarray(cv2.merge([luma, *both]), dtype=np.uint8)

    def chroma(self, cells: int) -> NDArray[np.float32]:
        """(cells, cells, 2) mean Cr and Cb per cell, about 0, from every n-th pixel: four a cell of the long side."""
        side_px = _PIXELS_A_CELL * cells
        if isinstance(self.colours, Planes):
            red, blue = (_every(plane, side_px) for plane in (self.colours.red, self.colours.blue))
            both = np.dstack([red, blue]).astype(np.float32)
            scale = np.float32(1.0 if self.colours.full_range else 255 / 224)
            found = cv2.resize(both, (cells, cells), interpolation=cv2.INTER_AREA)
            return np.asarray((found - np.float32(128)) * scale, dtype=np.float32)
        small = cv2.resize(_every(self.colours, side_px), (cells, cells), interpolation=cv2.INTER_AREA)
        coloured = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_BGR2YCrCb)
        return np.asarray(coloured[..., 1:] * 255 - 127.5, dtype=np.float32)


def _every(picture: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    step = max(1, max(picture.shape[:2]) // side_px)
    return picture[::step, ::step]


def _halved(image: Image | Gray, area_px: int) -> NDArray[np.uint8]:
    """Half the size while that is large enough: by whole steps it costs a quarter."""
    while image.shape[0] * image.shape[1] >= 4 * area_px:
        size = (image.shape[1] // 2, image.shape[0] // 2)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return image


def _size_of_side(picture: Image | Gray, side_px: int) -> tuple[int, int]:
    """Width and height with the long side at most `side_px`."""
    height, width = picture.shape[:2]
    scale = side_px / max(height, width)
    return (width, height) if scale >= 1 else (max(8, round(width * scale)), max(8, round(height * scale)))


def _size_of_area(picture: Image | Gray, area_px: int) -> tuple[int, int]:
    height, width = picture.shape[:2]
    scale = float(np.sqrt(area_px / (height * width)))
    return (width, height) if scale >= 1 else _size_of_side(picture, round(max(height, width) * scale))


def shrink_to_side(picture: Image | Gray, side_px: int) -> NDArray[np.uint8]:
    """`picture` with its long side at most `side_px`; never enlarged."""
    size = _size_of_side(picture, side_px)
    if size == (picture.shape[1], picture.shape[0]):
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def shrink_to_area(picture: Image, area_px: int) -> Image:
    """`picture` with at most `area_px` pixels; never enlarged."""
    size = _size_of_area(picture, area_px)
    if size == (picture.shape[1], picture.shape[0]):
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def see(
    path: str, wanted: Callable[[float], bool] | None = None, *, ahead: bool = False
) -> Iterator[SeenFrame]:
    """Decode `path` once, frame by frame; nothing is kept here. Frames whose time is not `wanted` are passed over.

    `ahead`: a thread has some frames decoded before they are asked for.

    Raises:
        InputError: no such file.
        MediaError: the file cannot be read as a clip or picture.
    """
    if is_animated_webp(Path(path)):
        for index, frame in enumerate(read_frames(path, wanted=wanted)):
            yield seen_image(index, frame.time_s, frame.image)
        return
    for index, shown in enumerate(early(shown_frames(path, wanted=wanted), ahead=ahead)):
        yield seen_shown(index, shown)


def early(frames: Iterator[Shown], *, ahead: bool) -> Iterator[Shown]:
    """The same frames; if `ahead`, as many of them decoded before they are asked for as `_AHEAD_BYTES` hold."""
    first = next(frames, None)
    if first is None:
        return
    yield first
    if not ahead:
        yield from frames
        return
    width, height = first.size
    with Ahead(frames, max(1, min(_AHEAD, _AHEAD_BYTES // (3 * width * height // 2)))) as others:
        yield from others


def batches(frames: Iterable[SeenFrame]) -> Iterator[list[SeenFrame]]:
    """The same frames, some together: decoder and collectors push each other out of the processor's caches."""
    batch: list[SeenFrame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == _BATCH or len(batch) * 3 * frame.luma.size // 2 >= _BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def seen_shown(index: int, shown: Shown) -> SeenFrame:
    """A decoded frame as the collectors get it, by the planes it is coded in where these have eight bits."""
    planes = planes_of(shown)
    if planes is None:
        return seen_image(index, shown.time_s, upright(shown.frame, shown.size, shown.turn))
    small = shrunk(planes.luma, _size_of_side(planes.luma, MOTION_SIDE_PX))
    small = small if planes.full_range else np.asarray(cv2.LUT(small, FULL_LEVELS), dtype=np.uint8)
    return SeenFrame(index, shown.time_s, planes.luma, small, _tiny(small), planes)


def seen_image(index: int, time_s: float, image: Image) -> SeenFrame:
    """The same of a picture (H, W, 3) BGR."""
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
    small = shrunk(gray, _size_of_side(gray, MOTION_SIDE_PX))
    return SeenFrame(index, time_s, gray, small, _tiny(small), image)


def _tiny(small: Gray) -> NDArray[np.float32]:
    return shrunk(small, _size_of_side(small, STEP_SIDE_PX)).astype(np.float32)


@contextmanager
def deterministic_cv2() -> Iterator[None]:
    """Run OpenCV on one thread with a fixed seed, so that the same clip gives the same bits."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    cv2.setRNGSeed(20)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
