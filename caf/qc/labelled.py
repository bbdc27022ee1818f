"""A folder of clips that a person sorted into good and bad ones."""

import os
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from caf.errors import InputError
from caf.qc.metrics.catalogue import METRICS

__all__ = ["LabelledClip", "labelled_clips"]

_LAYOUT: Final = (
    "Expected are FOLDER/good with clips that are fine, FOLDER/bad with clips that are not, and, where a clip is bad in"
    " one metric only, FOLDER/bad/METRIC. FOLDER/source may hold what clips were made from, under the same names."
)


class LabelledClip(NamedTuple):
    """A file that was sorted. What is in it was not looked at yet."""

    path: Path
    name: str
    """Below the folder, as text: `bad/glitch/a.mp4`."""
    good: bool
    only: str | None
    """The one metric that it is bad in; None: it speaks of every metric."""
    source: Path | None
    """What it was made from, where that is known."""


def labelled_clips(folder: Path) -> tuple[LabelledClip, ...]:
    """Every file of the folder that is not hidden, good ones first, by name.

    Raises `InputError` for a folder that is laid out otherwise.
    """
    good = _files(folder / "good")
    if not good:
        _refuse(f"There is no clip in {folder / 'good'}.")
    # A link that leads nowhere is one too: without its source a clip would get other scores, and nobody would know why.
    sources = _listed(folder / "source") if os.path.lexists(folder / "source") else []
    place_of = {path.name: path for path in sources}

    def clip(path: Path, *, good: bool, only: str | None = None) -> LabelledClip:
        name = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
        return LabelledClip(path, name, good, only, place_of.get(path.name))

    found = [clip(path, good=True) for path in good]
    bad = folder / "bad"
    folders = [place for place in _listed(bad) if place.is_dir()]
    found += [clip(path, good=False) for path in _listed(bad) if path not in folders]
    for place in folders:
        if place.name not in METRICS:
            _refuse(f"{place} names no metric: they are {', '.join(METRICS)}.")
        found += [clip(path, good=False, only=place.name) for path in _files(place)]
    return tuple(found)


def _files(place: Path) -> list[Path]:
    """What lies directly in a folder of clips."""
    found = _listed(place)
    for path in found:
        if path.is_dir():
            _refuse(f"{path} is a folder, where clips belong.")
    return found


def _listed(place: Path) -> list[Path]:
    """By name, without what is hidden."""
    try:
        return sorted(path for path in place.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        _refuse(f"There is no folder {place}.")
    except OSError as fault:
        _refuse(f"{place} cannot be read as a folder: {fault.strerror}.")


def _refuse(what: str) -> NoReturn:
    raise InputError(what, remedy=_LAYOUT, kind="bad_layout")
