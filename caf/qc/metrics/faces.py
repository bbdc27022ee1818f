"""Cat and human faces by OpenCV's cascades.

Source: cascades shipped with OpenCV 4. Steps of 1.2 in size with 3 neighbours find what steps of
1.1 with 3 and 5 do in 53 real clips, at half the cost, and take fewer people for cats. They also take plush toys for
cats, which `subject` sorts out by motion and by the reference.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from caf.qc.metrics.frames import Gray, Image, shrink_to_side

__all__ = ["Box", "cat_faces", "close_up_cat_face", "human_faces"]

_CAT = "haarcascade_frontalcatface_extended.xml"
_HUMAN = "haarcascade_frontalface_alt2.xml"
_CLOSE_UP_SIDE_PX = 112
_STEP, _CAT_NEIGHBOURS, _HUMAN_NEIGHBOURS = 1.2, 3, 3
_LEAST_FACE_PX = 32
"""Smaller faces hold too few pixels to compare; searching for them costs most of the time."""
_OTHER_SIZE = 1.6
"""A known face is at most so many times as large or as small in the next picture."""
_CLOSE_UP_PAD = 0.6
_TILTS_DEG = (6.0, -6.0, 0.0, 12.0, -12.0)


class Box(NamedTuple):
    """A face in pixels of the picture it was found in; may reach over the picture's edge."""

    x: float
    y: float
    w: float
    h: float

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.w / 2, self.y + self.h / 2


class _Cascades(threading.local):
    """Each thread's own: one that searches a picture cannot be lent meanwhile."""

    def __init__(self) -> None:
        self._loaded: dict[str, cv2.CascadeClassifier] = {}

    def __call__(self, name: str) -> cv2.CascadeClassifier:
        if name not in self._loaded:
            self._loaded[name] = cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / name))
        return self._loaded[name]


_cascade = _Cascades()


def _gray(image: Image | Gray) -> Gray:
    return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)


def _boxes(found: Sequence[Sequence[int]]) -> list[Box]:
    return sorted(Box(*(float(value) for value in box)) for box in found)


def cat_faces(image: Image | Gray, like: Sequence[Box] = (), *, near: bool = False) -> list[Box]:
    """Upright cat faces, left to right; of those `like` known ones only about as large ones, `near` only near them.

    A face inside a larger face (a mouth taken for a face) is dropped.
    """
    x0, y0, x1, y1 = _around(like, image.shape) if like and near else (0, 0, image.shape[1], image.shape[0])
    widths = [box.w for box in like]
    least = max(_LEAST_FACE_PX, int(min(widths) / _OTHER_SIZE)) if like else _LEAST_FACE_PX
    most = int(max(widths) * _OTHER_SIZE) if like else max(x1, y1)
    if min(x1 - x0, y1 - y0) < least:
        return []
    gray, cascade = _gray(image[y0:y1, x0:x1]), _cascade(_CAT)
    found = _boxes(
        cascade.detectMultiScale(gray, _STEP, _CAT_NEIGHBOURS, minSize=(least, least), maxSize=(most, most))
    )
    moved = [Box(box.x + x0, box.y + y0, box.w, box.h) for box in found]
    return [box for box in moved if not any(_inside(box, other) for other in moved)]


def _around(boxes: Sequence[Box], shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of all of them, with as much room on every side of each as it is large."""
    left, top = min(box.x - box.w for box in boxes), min(box.y - box.h for box in boxes)
    right, bottom = max(box.x + 2 * box.w for box in boxes), max(box.y + 2 * box.h for box in boxes)
    return max(0, int(left)), max(0, int(top)), min(shape[1], int(right)), min(shape[0], int(bottom))


def _inside(box: Box, other: Box) -> bool:
    if box.w >= other.w:
        return False
    x, y = box.centre
    return other.x <= x <= other.x + other.w and other.y <= y <= other.y + other.h


def close_up_cat_face(image: Image) -> Box | None:
    """A face that fills the picture, also tilted by up to about 15 degrees or cut by the edges.

    Searched on a small picture in a black frame, where only a central face can be found that is as wide as
    three quarters of the picture's short side. No false alarm in 11 pictures without a cat.
    """
    small = shrink_to_side(image, _CLOSE_UP_SIDE_PX)
    rows, columns = small.shape[:2]
    pad = round(_CLOSE_UP_PAD * max(rows, columns))
    gray = cv2.copyMakeBorder(_gray(small), pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
    height, width = gray.shape
    least = int(0.75 * min(rows, columns))
    for tilt in _TILTS_DEG:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), tilt, 1.0)
        turned = cv2.warpAffine(gray, turn, (width, height))
        back = cv2.invertAffineTransform(turn)
        for box in _boxes(_cascade(_CAT).detectMultiScale(turned, 1.1, 3, minSize=(least, least))):
            x, y = back[:, :2] @ np.array(box.centre) + back[:, 2] - pad
            if 0.25 < x / columns < 0.75 and 0.2 < y / rows < 0.8:
                scale = image.shape[1] / columns
                side = box.w * scale
                return Box(float(x) * scale - side / 2, float(y) * scale - side / 2, side, side)
    return None


def human_faces(image: Image | Gray) -> list[Box]:
    """Upright human faces of at least an eighth of the picture's short side, left to right."""
    least = max(28, min(image.shape[:2]) // 8)
    found = _cascade(_HUMAN).detectMultiScale(_gray(image), _STEP, _HUMAN_NEIGHBOURS, minSize=(least, least))
    return _boxes(found)
