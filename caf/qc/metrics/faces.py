"""Cat and human faces by OpenCV's cascades.

Source: cascades shipped with OpenCV 4; scale 1.1 and 3 neighbours found cats in 0.65-1.00 of the frames of
house-cat clips and gave no false alarm in 19 other pictures. They also take plush toys for cats, which
`subject` sorts out by motion and by the reference.
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
_LEAST_FACE_PX = 28
"""Smaller faces hold too few pixels to compare; searching for them costs most of the time."""
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


def cat_faces(image: Image | Gray, within: Box | None = None) -> list[Box]:
    """Upright cat faces, left to right; `within` limits the search to one region of the picture.

    A face inside a larger face (a mouth taken for a face) is dropped.
    """
    x0, y0, x1, y1 = 0, 0, image.shape[1], image.shape[0]
    if within is not None:
        x0, y0 = max(0, int(within.x)), max(0, int(within.y))
        x1, y1 = min(x1, int(within.x + within.w)), min(y1, int(within.y + within.h))
        if min(x1 - x0, y1 - y0) < 32:
            return []
    gray = _gray(image[y0:y1, x0:x1])
    found = _boxes(_cascade(_CAT).detectMultiScale(gray, 1.1, 3, minSize=(_LEAST_FACE_PX, _LEAST_FACE_PX)))
    moved = [Box(box.x + x0, box.y + y0, box.w, box.h) for box in found]
    return [box for box in moved if not any(_inside(box, other) for other in moved)]


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
    found = _cascade(_HUMAN).detectMultiScale(_gray(image), 1.1, 5, minSize=(least, least))
    return _boxes(found)
