"""Whose pose counts, as it is said; light, because the caller's side imports it too."""

import math
from typing import Final, NamedTuple

from caf.errors import InputError

__all__ = ["MOST_SUBJECTS", "SEAMS", "Subject", "check_seams", "parse_subject"]

MOST_SUBJECTS: Final = 16
"""How many poses may be told apart in a frame."""


SEAMS: Final = ("proven", "warm")
"""When a process of a shared clip is believed: once its landmarks are those of the one before it, or after a
second in which both found as many poses, wherever these are."""


class Subject(NamedTuple):
    """`how` is largest | central | box; `box` x0, y0, x1, y1 in pixels for the last."""

    how: str
    box: tuple[float, float, float, float] | None = None


def parse_subject(text: str) -> Subject:
    """`largest`, `central` or `x0,y0,x1,y1`. Raises InputError with the kind `bad_subject`."""
    if text in ("largest", "central"):
        return Subject(text)
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        x0 = y0 = x1 = y1 = math.nan
    if not (math.isfinite(x0 + y0 + x1 + y1) and x0 < x1 and y0 < y1):
        raise InputError(
            f"{text!r} names no subject.",
            remedy="Say largest, central, or a box in pixels: left,top,right,bottom, e.g. 40,60,320,400.",
            kind="bad_subject",
        )
    return Subject("box", (x0, y0, x1, y1))


def check_seams(seams: str) -> None:
    """Raises InputError with the kind `bad_parameter` for what is none of `SEAMS`."""
    if seams not in SEAMS:
        raise InputError(
            f"seams of the pose stage cannot be {seams!r}.",
            remedy=f"Allowed: {' | '.join(SEAMS)}.",
            kind="bad_parameter",
        )
