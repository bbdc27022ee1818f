"""Files that a person names for what was measured: what their names must be, and how they are written; light."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from caf.errors import NO_ROOM, InputError, TryAgainError

__all__ = [
    "PlotForm",
    "check_place",
    "check_places",
    "check_sheet_name",
    "is_same_file",
    "plot_form",
    "put_whole",
    "write_whole",
]

PlotForm = Literal["png", "svg"]


def plot_form(path: str) -> PlotForm:
    """`png` or `svg`, by how the name ends. Raises `InputError` for any other ending."""
    lower = path.lower()
    if lower.endswith(".svg"):
        return "svg"
    if lower.endswith(".png"):
        return "png"
    raise _badly_named(f"{path}: a plot is a PNG or an SVG.", "Name it with the ending .png or .svg.")


def check_sheet_name(path: str) -> None:
    """Raises `InputError` for a contact sheet that is not to be a PNG: it is made of frames, not of lines."""
    if not path.lower().endswith(".png"):
        raise _badly_named(
            f"{path}: a contact sheet is made of frames, and is only written as a PNG.",
            "Name it with the ending .png; a plot can also be an SVG.",
        )


def check_place(path: Path) -> None:
    """Raises `InputError` where no file can be: said before anything is measured for it."""
    if path.is_dir() or not path.parent.is_dir():
        what = "is a folder" if path.is_dir() else f"cannot be written: there is no folder {path.parent}"
        raise _not_writable(f"{path} {what}.")
    if not os.access(path.parent, os.W_OK):
        raise _not_writable(f"{path} cannot be written: {path.parent} may not be written to.")


def check_places(places: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """As `check_place` for each; also where one is an input by whatever name, or another of them.

    None stands for what was not asked for, or not given.

    Raises:
        InputError: `not_writable`, or `bad_output`.
    """
    read = {_file_of(path) for path in inputs if path is not None}
    written: dict[object, Path] = {}
    for place in places:
        if place is None:
            continue
        check_place(place)
        file = _file_of(place)
        if file in read:
            raise _bad_output(f"{place} is read from, and would be written over.")
        if file in written:
            raise _bad_output(f"{place} and {written[file]} are the same file.")
        written[file] = place


def is_same_file(one: Path, other: Path) -> bool:
    """Whether these are two names of one file, also of one that is not there yet."""
    return _file_of(one) == _file_of(other)


def _file_of(path: Path) -> object:
    """What is equal for two names of one file, also of one that is not there yet."""
    try:
        found = path.stat()
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def write_whole(path: Path, content: bytes) -> None:
    """All of it or nothing: beside first, then in its place.

    Raises:
        InputError: nothing can be written there.
        TryAgainError: `disk_full`.
    """
    try:
        put_whole(path, content)
    except OSError as fault:
        if fault.errno in NO_ROOM:
            raise TryAgainError(
                f"There is no room to write {path}.",
                remedy="Free some space on that disk, then try again.",
                kind="disk_full",
            ) from fault
        raise _not_writable(f"{path} cannot be written: {fault.strerror or fault}.") from fault


def put_whole(path: Path, content: bytes) -> None:
    """As `write_whole`, also where another process writes the same file. Raises `OSError`, and nothing is left."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def _badly_named(message: str, remedy: str) -> InputError:
    return InputError(message, remedy=remedy, kind="bad_picture_name")


def _bad_output(message: str) -> InputError:
    return InputError(message, remedy="Give another name to write to.", kind="bad_output")


def _not_writable(message: str) -> InputError:
    return InputError(
        message, remedy="Name a file in a folder that is there and may be written to.", kind="not_writable"
    )
