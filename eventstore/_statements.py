"""The SQL that appends: one statement for many rows costs half of many statements."""

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Final

from eventstore._rows import COLUMNS

__all__ = ["INSERTS", "INSERT_CHUNKS", "WIDTH", "insert_unless", "pieces"]

WIDTH: Final = 11
_ROW: Final = f"({','.join('?' * WIDTH)})"
INSERTS: Final = {
    count: f"INSERT INTO events ({COLUMNS}) VALUES {','.join([_ROW] * count)}"  # noqa: S608
    for count in (128, 64, 32, 16, 8, 4, 2, 1)
}
"""One statement for many rows costs half of many statements; few sizes keep the prepared ones few."""


@cache
def insert_unless(count: int, tables: tuple[str, ...]) -> str:
    """Insert so many rows, or none of them if a table may know an id: behind the rows come the folds, for each table.

    Both in one statement: a thread that comes back from one has to wait for the interpreter's lock.
    """
    folds = ",".join("?" * count)
    known = " OR ".join(f"EXISTS (SELECT 1 FROM {table} WHERE fold IN ({folds}))" for table in tables)  # noqa: S608
    values = ",".join([_ROW] * count)
    return f"INSERT INTO events ({COLUMNS}) SELECT * FROM (VALUES {values}) WHERE NOT ({known})"  # noqa: S608


def pieces(total: int, sizes: Iterable[int]) -> Iterator[tuple[int, slice]]:
    """`total` cut into as few of the sizes as will do; these come largest first and end with 1."""
    start = 0
    for size in sizes:
        while total - start >= size:
            yield size, slice(start, start + size)
            start += size


INSERT_CHUNKS: Final = {
    count: f"INSERT INTO chunks VALUES {','.join(['(?,?,?)'] * count)}"  # noqa: S608
    for count in (64, 8, 1)
}
