"""Tables and times on a terminal or off it; loads nothing large unless it is needed."""

import os
import sys
import textwrap
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import click

__all__ = ["local_time", "one_line", "print_table", "say"]

NARROW: Final = 60
"""Columns of a terminal below which a table is not readable."""
TALL: Final = 8
"""Lines of a cell beyond which a table is not readable either."""
GAP: Final = 2
"""Columns between two cells."""


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Rows as a table on stdout; tabs between the cells off a terminal, a cell a line where it is too narrow."""
    if not rows:
        click.echo(empty, err=True)
        return
    cells = [["" if cell is None else one_line(str(cell)) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in cells:
            click.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    widths = _widths(columns, cells, console.width)
    if widths is None:  # columns of three letters are no help: one cell a line
        for row in cells:
            for name, cell in zip(columns, row, strict=True):
                if cell:
                    click.echo(_wrapped(f"{name}: {cell}", console.width))
            click.echo()
        return
    plain = bool(os.environ.get("NO_COLOR"))
    table = Table(box=None, header_style="" if plain else "bold", pad_edge=False, padding=(0, GAP, 0, 0))
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, overflow="fold", width=width)
    for row in cells:
        table.add_row(*row)
    console.print(table, markup=False)


def _widths(columns: Sequence[str], cells: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """How wide each column is, in so much room: no word is broken, no cell is tall. None: that cannot be."""
    if room < NARROW:
        return None
    by_column = list(zip(columns, *cells, strict=True))
    needed = [max(_wide(word) for cell in column for word in [*cell.split(), ""]) for column in by_column]
    whole = [max(map(_wide, column)) for column in by_column]
    room -= GAP * (len(columns) - 1)
    if sum(needed) > room:
        return None
    widths, limit = whole, room
    while sum(widths) > room:
        widths = [max(least, min(most, limit)) for least, most in zip(needed, whole, strict=True)]
        limit -= 1
    tall = max(most / width for most, width in zip(whole, widths, strict=True) if width)
    return None if tall > TALL else widths


def _wrapped(text: str, room: int) -> str:
    """Words in lines, the later ones set in; a word is never broken, so that it can be copied."""
    return textwrap.fill(text, room, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _wide(text: str) -> int:
    """Columns that a text takes: letters of the East take two."""
    from rich.cells import cell_len

    return cell_len(text)


def one_line(text: str) -> str:
    """Free text with a space for each letter that is none: it begins no line and moves no cursor."""
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def say(text: str, *, err: bool = False) -> None:
    """Print a text that may hold what others wrote: its lines stay, and no letter of it moves the cursor."""
    click.echo("\n".join(map(one_line, text.split("\n"))), err=err)


def local_time(utc: str) -> str:
    """An RFC 3339 time in the zone of this machine, to the second."""
    return datetime.fromisoformat(utc).astimezone().strftime("%Y-%m-%d %H:%M:%S")
