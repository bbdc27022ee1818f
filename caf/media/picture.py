"""Pictures of clips for people: rows of frames with captions, before and after."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.errors import MediaError
from caf.media.outputs import put_whole
from caf.media.read import read_frames
from caf.media.resize import fit
from caf.media.write import disk_full

__all__ = ["Row", "before_after", "contact_sheet", "sampled", "save_picture"]

_GAP_PX = 6
_BACKGROUND = 24
_INK = (235, 235, 235)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Row(NamedTuple):
    """A caption and its pictures, each (H, W, 3) uint8 BGR of any size."""

    caption: str
    images: Sequence[NDArray[np.uint8]]


def sampled(path: str | Path, at_s: Sequence[float]) -> list[NDArray[np.uint8]]:
    """The frames shown at these times (ascending seconds); the last frame for times after the end."""
    found: list[NDArray[np.uint8]] = []
    shown: NDArray[np.uint8] | None = None
    for frame in read_frames(path):
        while shown is not None and len(found) < len(at_s) and frame.time_s > at_s[len(found)] + 1e-6:
            found.append(shown)
        if len(found) == len(at_s):
            return found
        shown = frame.image
    return found if shown is None else found + [shown] * (len(at_s) - len(found))


def contact_sheet(rows: Sequence[Row], *, cell: tuple[int, int] = (240, 180)) -> NDArray[np.uint8]:
    """A grid, one row per caption, every picture letterboxed into `cell` (width, height); uint8 BGR."""
    columns = max((len(row.images) for row in rows), default=0)
    caption_px = max(22, cell[1] // 8)
    row_px = caption_px + cell[1] + _GAP_PX
    width, height = columns * (cell[0] + _GAP_PX) + _GAP_PX, len(rows) * row_px + _GAP_PX
    sheet = np.full((height, max(width, 1), 3), _BACKGROUND, np.uint8)
    for number, row in enumerate(rows):
        top = _GAP_PX + number * row_px
        scale = caption_px / 36
        at = (_GAP_PX, top + round(caption_px * 0.7))
        cv2.putText(sheet, row.caption, at, _FONT, scale, _INK, 1, cv2.LINE_AA)
        for column, image in enumerate(row.images):
            left = _GAP_PX + column * (cell[0] + _GAP_PX)
            y = top + caption_px
            sheet[y : y + cell[1], left : left + cell[0]] = fit(image, cell, "letterbox")
    return sheet


def before_after(
    before: str | Path,
    after: str | Path,
    out: str | Path,
    *,
    captions: tuple[str, str] = ("before", "after"),
    at_s: Sequence[float] = (0.0, 0.5, 1.0, 1.5, 2.0),
    cell: tuple[int, int] = (240, 180),
) -> Path:
    """Write a picture with the same moments of two clips, one row each, to `out` (png or jpg).

    Raises:
        MediaError: a clip cannot be read, or `out` cannot be written in that format.
        TryAgainError: `disk_full`.
    """
    rows = [Row(captions[0], sampled(before, at_s)), Row(captions[1], sampled(after, at_s))]
    return save_picture(contact_sheet(rows, cell=cell), out)


def save_picture(image: NDArray[np.uint8], out: str | Path) -> Path:
    """Write a picture in the format of the suffix, whole or not at all. Raises as `before_after` does."""
    place = Path(out)
    try:
        ok, data = cv2.imencode(place.suffix or ".png", image)
    except cv2.error:
        ok, data = False, np.empty(0, np.uint8)
    if not ok:
        raise MediaError(
            f"A picture cannot be written as {place.name}.",
            remedy="Name it .png or .jpg.",
            kind="bad_picture_name",
        )
    try:
        put_whole(place, data.tobytes())
    except OSError as fault:
        raise disk_full(place, fault) or fault from fault
    return place
