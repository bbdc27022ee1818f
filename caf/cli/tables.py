"""Tables and times on a terminal or off it; loads nothing large unless it is needed."""

import os
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import click

__all__ = ["local_time", "one_line", "print_table"]

NARROW: Final = 60
"""Columns of a terminal below which a table is not readable."""


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Rows as a table on stdout; tabs between the cells off a terminal, a cell a line on a narrow one."""
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
    if console.width < NARROW:  # columns of three letters are no help: one cell a line
        for row in cells:
            click.echo(
                "\n".join(f"{name}: {cell}" for name, cell in zip(columns, row, strict=True) if cell) + "\n"
            )
        return
    plain = bool(os.environ.get("NO_COLOR"))
    table = Table(box=None, header_style="" if plain else "bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*row)
    console.print(table, markup=False)


def one_line(text: str) -> str:
    """Free text with a space for each letter that is none: it begins no line and moves no cursor."""
    return text if text.isprintable() else "".join(one if one.isprintable() else " " for one in text)


def local_time(utc: str) -> str:
    """An RFC 3339 time in the zone of this machine, to the second."""
    return datetime.fromisoformat(utc).astimezone().strftime("%Y-%m-%d %H:%M:%S")
