"""The SQL that appends: one statement for many rows costs half of many statements."""

from collections.abc import Iterable, Iterator
from typing import Final

from eventstore._rows import COLUMNS

__all__ = ["INSERTS", "INSERT_CHUNKS", "WIDTH", "pieces"]

WIDTH: Final = 11
_ROW: Final = f"({','.join('?' * WIDTH)})"
INSERTS: Final = {
    count: f"INSERT INTO events ({COLUMNS}) VALUES {','.join([_ROW] * count)}"  # noqa: S608
    for count in (128, 64, 32, 16, 8, 4, 2, 1)
}
"""One statement for many rows costs half of many statements; few sizes keep the prepared ones few."""


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
