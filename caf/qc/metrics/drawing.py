"""Pictures of what was found: the series with the blamed spans, and a sheet of the worst frames."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from caf.errors import MediaError
from caf.media.outputs import PlotForm
from caf.media.read import read_frames
from caf.media.surface import Colour, Surface, surface
from caf.ports import Progress
from caf.qc.metrics.catalogue import info_of
from caf.qc.metrics.findings import Finding, Floats, spans

__all__ = ["contact_sheet", "plot"]

Image = NDArray[np.uint8]

_WIDTH, _ROW, _LEFT, _RIGHT, _AXIS = 1240, 64, 290, 20, 28
_INK: Colour = (40, 40, 40)
_PALE: Colour = (225, 225, 225)
_GOOD: Colour = (60, 140, 120)
_POOR: Colour = (210, 60, 60)
_BLAMED: Colour = (255, 205, 205)
_CELL, _CAPTION = 240, 22
_A_METRIC, _COLUMNS = 5, 5


def plot(findings: Sequence[Finding], frames: int, form: PlotForm) -> bytes:
    """A row for each metric: its series over the frames, blamed spans shaded, its score at the left."""
    size = (_WIDTH, len(findings) * _ROW + _AXIS)
    sheet = surface(
        form, size, "Every metric's series over the frames of the clip, with the blamed spans shaded."
    )
    for number, finding in enumerate(findings):
        _row(sheet, finding, number * _ROW, frames)
    sheet.text("frame", (8, len(findings) * _ROW + 18), _INK)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        x = _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
        label = str(round(share * max(0, frames - 1)))
        sheet.text(label, (x, len(findings) * _ROW + 18), _INK, anchor="middle")
    return sheet.encoded()


def _row(sheet: Surface, finding: Finding, top: int, frames: int) -> None:
    seen = finding.measurement
    sheet.line([(0, top + _ROW - 1), (_WIDTH, top + _ROW - 1)], _PALE)
    threshold = info_of(seen.metric).threshold
    sheet.text(seen.metric, (8, top + 24), _INK)
    score = "unknown" if seen.score is None else f"{seen.score:.2f}"
    sheet.text(score, (8, top + 48), _colour(seen.score, threshold))
    place = (_WIDTH - _LEFT - _RIGHT) / max(1, frames - 1)
    for first, last in spans(finding.blamed):
        left, right = (_LEFT + (at + half) * place for at, half in ((first, -0.5), (last, 0.5)))
        sheet.area((left, top + 3), (right, top + _ROW - 3), _BLAMED)
    if finding.series:
        name, series = next(iter(finding.series.items()))
        _curve(sheet, series, top, place)
        sheet.text(f"{name}, up to {float(np.nanmax(series)):.3g}", (72, top + 48), _INK, size=10)


def _colour(score: float | None, threshold: float | None) -> Colour:
    """Of the score: a metric that only jobs' policies judge is neither good nor poor here."""
    if score is None or threshold is None:
        return _INK
    return _POOR if score < threshold else _GOOD


def _curve(sheet: Surface, series: Floats, top: int, place: float) -> None:
    known = np.flatnonzero(np.isfinite(series))
    series = series[known]
    low, high = float(np.min(series, initial=0.0)), float(np.max(series, initial=0.0))
    share = (series - low) / (high - low) if high > low else np.zeros(len(series))
    x = _LEFT + known * place
    y = top + _ROW - 7 - share * (_ROW - 14)
    sheet.line(list(zip(x.tolist(), y.tolist(), strict=True)), _INK)


def contact_sheet(
    video: str, shown: Mapping[str, Sequence[int]], time_s: Sequence[float], progress: Progress
) -> bytes:
    """A PNG of the worst frames under each heading, at most five each, in a second pass over the clip.

    A clip with no fault gives a sheet that says so.

    Raises:
        MediaError: the clip cannot be decoded again.
    """
    wanted = {index for frames in shown.values() for index in frames[:_A_METRIC] if index < len(time_s)}
    pictures: dict[int, Image] = {}
    if wanted:
        for index, frame in enumerate(read_frames(video)):
            if index in wanted:
                pictures[index] = _thumbnail(frame.image)
            progress(index + 1, None)
            if index >= max(wanted):
                break
    rows = [
        _strip(heading, [(at, time_s[at], pictures[at]) for at in frames[:_A_METRIC] if at in pictures])
        for heading, frames in shown.items()
        if any(at in pictures for at in frames[:_A_METRIC])
    ]
    if not rows:
        empty = np.full((2 * _CAPTION, _COLUMNS * _CELL, 3), 255, np.uint8)
        _text(empty, "No frame is to blame.", (8, 28))
        rows = [empty]
    return _png(np.vstack(rows))


def _thumbnail(image: Image) -> Image:
    height, width = image.shape[:2]
    scale = (_CELL - 8) / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _strip(heading: str, cells: Sequence[tuple[int, float, Image]]) -> Image:
    tall = max(picture.shape[0] for _, _, picture in cells)
    strip = np.full((tall + 2 * _CAPTION + 8, _COLUMNS * _CELL, 3), 255, np.uint8)
    _text(strip, heading, (6, 16))
    for column, (index, at_s, picture) in enumerate(cells):
        left, top = column * _CELL + 4, _CAPTION
        strip[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        _text(strip, f"frame {index}, {at_s:.2f} s", (left, top + tall + 16), scale=0.4)
    return strip


def _text(image: Image, words: str, place: tuple[int, int], scale: float = 0.5) -> None:
    cv2.putText(image, words, place, cv2.FONT_HERSHEY_SIMPLEX, scale, _INK[::-1], 1, cv2.LINE_AA)


def _png(image: Image) -> bytes:
    ok, content = cv2.imencode(".png", image)
    if not ok:
        raise MediaError("The picture could not be coded.", remedy="Give fewer metrics.", kind="not_coded")
    return content.tobytes()
