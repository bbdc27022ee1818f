"""A part of bench/RESULTS.md that a program writes: between markers, so that the next run replaces it."""

import datetime
from pathlib import Path
from typing import Final

__all__ = ["RESULTS", "replaced", "today", "write"]

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


def today() -> str:
    """The date, UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
