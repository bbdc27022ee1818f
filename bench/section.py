"""A part of bench/RESULTS.md that a program writes: between markers, so that the next run replaces it."""

import datetime
import platform
import sqlite3
from pathlib import Path
from typing import Final

from bench.log.machine import load, machine

__all__ = ["RESULTS", "circumstances", "replaced", "write"]

RESULTS: Final = Path(__file__).parent / "RESULTS.md"


def write(name: str, body: str, *, results: Path = RESULTS) -> None:
    """Put `body` into the results as the section `name`, where it was or at the end."""
    results.write_text(replaced(results.read_text(), name, body))


def replaced(text: str, name: str, body: str) -> str:
    """`text` with `body` between the markers of `name`. Raises `ValueError` when only one marker is there."""
    begin, end = (
        f"<!-- bench-{name}: written by make bench-{name}, do not edit -->",
        f"<!-- bench-{name}: end -->",
    )
    section = f"{begin}\n{body.strip()}\n{end}"
    if begin not in text and end not in text:
        return f"{text.rstrip()}\n\n{section}\n"
    before, found, rest = text.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise ValueError(f"The section needs both markers, {begin!r} and then {end!r}.")
    return before + section + after


def circumstances(command: str, folder: Path) -> str:
    """What was run, when, and on what: a line below a section's title."""
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    return f"`{command}`, {today}. {machine(folder)}. {versions}. Load average {load()} at the end."
