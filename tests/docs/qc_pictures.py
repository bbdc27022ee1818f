"""The pictures of the QC guide, drawn from what was measured: `python -m tests.docs.qc_pictures [METRIC ...]`.

A picture has two halves: a clip that the metric catches, and one that it does not. `examples.json` beside them says
with which version of the metric they were made, and what it said.
"""

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from caf.ports import Measurement
from caf.qc.metrics import METRICS
from tests.docs.qc_examples import EXAMPLES, PRESENCE, THRESHOLDS, Case, measured
from tests.qc.metric_clips import FPS, Image

__all__ = ["FACTS", "FOLDER", "Fact", "Told", "alt", "facts", "main"]

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "images" / "qc"
FACTS: Final = FOLDER / "examples.json"
_SCALE: Final = 1.5
"""Pixels of the picture for one of its design, so that words stay sharp on a fine screen."""
_WIDTH, _HALF, _EDGE, _GAP = 976, 466, 14, 8
_TOP: Final = 46
_TALL: Final = 100
"""Of a frame, and of what is drawn beside it."""
_WIDE: Final = 150
_INK, _SOFT, _RULE = (38, 38, 42), (110, 112, 118), (222, 224, 228)
_RED, _GREEN, _AMBER = (196, 48, 43), (34, 122, 84), (172, 106, 0)
_COLUMN: Final = (255, 214, 10)


class Told(Struct, frozen=True, kw_only=True):
    """A clip in words, and what the metric said of it."""

    words: str
    score: float
    spans: tuple[tuple[int, int], ...]
    """The blamed frames, where the score is below the threshold."""
    reason: str


class Fact(Struct, frozen=True, kw_only=True):
    """What one picture says."""

    version: int
    threshold: float
    caught: Told
    missed: Told


def facts() -> dict[str, Fact]:
    """What the committed pictures say, by metric."""
    return msgspec.json.decode(FACTS.read_bytes(), type=dict[str, Fact]) if FACTS.exists() else {}


def alt(fact: Fact) -> str:
    """What is on the picture, for who cannot see it."""
    return f"Left: {fact.caught.words} Right: {fact.missed.words}"


class _Sheet:
    """A white picture that is drawn on in the units of its design."""

    def __init__(self, height: float) -> None:
        self._image = Pictures.new("RGB", (round(_WIDTH * _SCALE), round(height * _SCALE)), "white")
        self._draw = ImageDraw.Draw(self._image)

    def text(self, words: str, x: float, y: float, colour: Any, size: float) -> None:
        """Words from their top left."""
        font = ImageFont.load_default(size * _SCALE)
        self._draw.text((x * _SCALE, y * _SCALE), words, colour, font)

    def box(self, x: float, y: float, w: float, h: float, colour: Any, round_px: float = 0) -> None:
        place = [round(one * _SCALE) for one in (x, y, x + w, y + h)]
        self._draw.rounded_rectangle(
            (place[0], place[1], place[2] - 1, place[3] - 1), round_px * _SCALE, colour
        )

    def frame(self, x: float, y: float, w: float, h: float, colour: Any, width: float) -> None:
        place = [round(one * _SCALE) for one in (x, y, x + w, y + h)]
        self._draw.rectangle(
            (*place[:2], place[2] - 1, place[3] - 1), outline=colour, width=round(width * _SCALE)
        )

    def line(self, points: Sequence[tuple[float, float]], colour: Any, width: float = 1) -> None:
        self._draw.line([(x * _SCALE, y * _SCALE) for x, y in points], colour, round(width * _SCALE))

    def picture(self, image: Image, x: float, y: float, w: float, h: float, *, crisp: bool = False) -> None:
        """BGR pixels, made to fit."""
        size = (round(w * _SCALE), round(h * _SCALE))
        shrink = size[0] < image.shape[1]
        how = cv2.INTER_NEAREST if crisp else cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
        seen = cv2.cvtColor(cv2.resize(image, size, interpolation=how), cv2.COLOR_BGR2RGB)
        self._image.paste(Pictures.fromarray(seen), (round(x * _SCALE), round(y * _SCALE)))

    def encoded(self) -> bytes:
        out = io.BytesIO()
        self._image.save(out, "WEBP", quality=82, method=6)
        return out.getvalue()


def _blamed(told: Told, frame: int) -> bool:
    return any(first <= frame <= last for first, last in told.spans)


def _labelled(sheet: _Sheet, case: Case, told: Told, frame: int, x: float, y: float) -> None:
    """One frame with its number; red where it is blamed."""
    image = case.frames[frame]
    if case.rotation_deg == 180:
        image = np.ascontiguousarray(image[::-1, ::-1])
    if case.crop is not None:
        left, top, wide, tall = case.crop
        image = image[top : top + tall, left : left + wide]
    sheet.picture(image, x, y, _WIDE, _TALL, crisp=case.crop is not None)
    red = _blamed(told, frame)
    if red:
        sheet.frame(x - 2, y - 2, _WIDE + 4, _TALL + 4, _RED, 3)
    sheet.text(f"frame {frame}", x, y + _TALL + 7, _RED if red else _SOFT, 12)


def _frames(sheet: _Sheet, case: Case, told: Told, x: float, y: float) -> None:
    for place, frame in enumerate(case.shown):
        _labelled(sheet, case, told, frame, x + place * (_WIDE + _GAP), y)


def _slit(frames: Sequence[Image], column: int) -> Image:
    return np.stack([frame[:, column] for frame in frames], axis=1)


def _time(sheet: _Sheet, case: Case, told: Told, x: float, y: float) -> None:
    """A frame, and beside it one column of all frames in their order, with the blamed ones marked below."""
    (frame,) = case.shown
    _labelled(sheet, case, told, frame, x, y)
    at = x + _WIDE * case.column / case.frames[0].shape[1]
    sheet.line([(at, y), (at, y + _TALL)], _COLUMN, 1.5)
    left, wide = x + _WIDE + _GAP, _HALF - _WIDE - _GAP
    sheet.picture(_slit(case.frames, case.column), left, y, wide, _TALL, crisp=True)
    step = wide / len(case.frames)
    for first, last in told.spans:
        sheet.box(left + first * step, y + _TALL + 2, max(2.0, (last + 1 - first) * step), 4, _RED)
    sheet.text("the yellow column, frame after frame", left, y + _TALL + 9, _SOFT, 12)


def _seam(sheet: _Sheet, case: Case, told: Told, x: float, y: float) -> None:
    """The last frames and then the first, as a viewer of the loop sees them, with the seam in the middle."""
    first, last = case.shown
    _labelled(sheet, case, told, last, x, y)
    sheet.line([(x + _WIDE / 2, y), (x + _WIDE / 2, y + _TALL)], _COLUMN, 1.5)
    left, wide = x + _WIDE + _GAP, _HALF - _WIDE - _GAP
    half = len(case.frames) // 2
    again = [*case.frames[-half:], *case.frames[:half]]
    sheet.picture(_slit(again, case.column), left, y, wide, _TALL, crisp=True)
    middle = left + wide / 2
    sheet.line([(middle, y + _TALL - 8), (middle, y + _TALL + 6)], _RED if told.spans else _INK, 2)
    sheet.text(f"the yellow column, to frame {last} and on from {first}", left, y + _TALL + 9, _SOFT, 12)


def _sound(sheet: _Sheet, case: Case, told: Told, x: float, y: float) -> None:
    """A frame at a flash, and the sound of source and clip with the moments of the flashes."""
    (frame,) = case.shown
    _labelled(sheet, case, told, frame, x, y)
    left, wide = x + _WIDE + _GAP, _HALF - _WIDE - _GAP
    length = len(case.frames) / FPS
    for row, (name, wave) in enumerate((("source", case.heard_before), ("clip", case.heard))):
        assert wave is not None
        top = y + row * _TALL / 2
        middle = top + _TALL / 4 + 4
        for place, loud in enumerate(_loudness(wave, round(wide))):
            tall = max(0.5, loud * _TALL * 0.3)
            sheet.line([(left + place, middle - tall), (left + place, middle + tall)], _SOFT, 1)
        sheet.text(name, left, top - 2, _INK, 12)
    for at in case.flashes_s:
        flash = left + wide * at / length
        sheet.line([(flash, y), (flash, y + _TALL)], _COLUMN, 2)
    sheet.text("sound over time; yellow: a flash in the picture", left, y + _TALL + 9, _SOFT, 12)


def _loudness(wave: NDArray[np.float32], steps: int) -> NDArray[np.float64]:
    peaks = np.array([np.abs(part).max() for part in np.array_split(wave, steps)])
    return np.asarray(peaks / peaks.max(), np.float64)


_LOOKS: Final = {"frames": _frames, "time": _time, "seam": _seam, "sound": _sound}


def _half(sheet: _Sheet, head: tuple[str, Any], case: Case, told: Told, threshold: str, x: float) -> None:
    words, colour = head
    sheet.text(words, x, 12, _INK, 17)
    score = f"score {told.score:.2f}"
    wide = _width(score, 14) + 22
    sheet.box(x + _HALF - wide, 11, wide, 23, colour, 11)
    sheet.text(score, x + _HALF - wide + 11, 15, "white", 14)
    sheet.text(threshold, x + _HALF - wide - _width(threshold, 13) - 9, 16, _SOFT, 13)
    _LOOKS[case.look](sheet, case, told, x, _TOP)
    y: float = _TOP + _TALL + 29
    for words, colour, size in _said(case, told):
        for line in _wrapped(words, size):
            sheet.text(line, x, y, colour, size)
            y += size + 4
        y += 2


def _said(case: Case, told: Told) -> tuple[tuple[str, Any, int], ...]:
    """What stands below: words, colour and size."""
    return (case.words, _INK, 14), (f"It says: {told.reason}", _SOFT, 13)


def _wrapped(words: str, size: float) -> list[str]:
    """Lines that fit into a half."""
    lines = [""]
    for word in words.split():
        longer = f"{lines[-1]} {word}".strip()
        if _width(longer, size) > _HALF:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _width(words: str, size: float) -> float:
    return float(ImageFont.load_default(size * _SCALE).getlength(words)) / _SCALE


def draw(metric: str, cases: tuple[Case, Case], fact: Fact) -> bytes:
    """The picture as a WebP file's content."""
    below = max(
        sum(len(_wrapped(words, size)) * (size + 4) + 2 for words, _, size in _said(case, told))
        for case, told in zip(cases, (fact.caught, fact.missed), strict=True)
    )
    height = _TOP + _TALL + 29 + below + 8
    sheet = _Sheet(height)
    share = metric in PRESENCE
    threshold = "no gate" if share else f"threshold {fact.threshold:.2f}"
    heads = (("Seen", _GREEN), ("Not seen", _AMBER)) if share else (("Caught", _RED), ("Not caught", _AMBER))
    for place, (head, case, told) in enumerate(zip(heads, cases, (fact.caught, fact.missed), strict=True)):
        _half(sheet, head, case, told, threshold, _EDGE + place * (_HALF + _WIDTH - 2 * (_HALF + _EDGE)))
    sheet.line([(_WIDTH / 2, 12), (_WIDTH / 2, height - 12)], _RULE, 1)
    sheet.frame(0, 0, _WIDTH, height, _RULE, 1)
    return sheet.encoded()


def _told(case: Case, found: Measurement, threshold: float) -> Told:
    assert found.score is not None, found.reason
    spans = found.spans if found.score < threshold else ()
    return Told(words=case.words, score=round(found.score, 3), spans=spans, reason=found.reason)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, draw and write: all pictures, or those of the metrics that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("metrics", nargs="*", choices=[*METRICS, []], metavar="METRIC", default=[])
    named = parser.parse_args(arguments).metrics
    wanted, known = (named, facts()) if named else (list(METRICS), {})
    FOLDER.mkdir(parents=True, exist_ok=True)
    for metric in wanted:
        example, threshold = EXAMPLES[metric](), THRESHOLDS[metric]
        cases = (example.caught, example.missed)
        caught, missed = (_told(case, measured(metric, case), threshold) for case in cases)
        fact = Fact(version=METRICS[metric].version, threshold=threshold, caught=caught, missed=missed)
        (FOLDER / f"{metric}.webp").write_bytes(draw(metric, cases, fact))
        known[metric] = fact
    ordered = {metric: known[metric] for metric in METRICS if metric in known}
    FACTS.write_bytes(msgspec.json.format(msgspec.json.encode(ordered), indent=1) + b"\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
