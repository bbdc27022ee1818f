"""A SELECT that is asked again and again, and gives its rows as columns."""

import sqlite3
from collections.abc import Callable
from typing import Any, Final, Protocol

from eventstore._compiled import SQLITE, native
from eventstore._frames import Columns, Frames, new_frames
from eventstore._keys import First

__all__ = ["SLICE_BYTES", "Ahead", "Scan", "new_scan"]

SLICE_BYTES: Final = 4 * 1024 * 1024
"""What is fetched at a time, where events are large."""
_STEP: Final = 64


class Ahead(Protocol):
    """Frames that a thread builds and hashes, with no need of the interpreter."""

    def take(self) -> tuple[Frames, list[bytes], Any]:
        """Wait for it: the frames, the digests of the segments that end in them, the running hash behind them."""


class Scan:
    """To be closed before the connection."""

    def __init__(self, connection: sqlite3.Connection, sql: str) -> None:
        self._db = connection
        self._sql = sql
        self._columns: Columns = ()

    def fetch(
        self, values: tuple[int | str, ...], limit: int, wanted: tuple[int, ...] | None = None
    ) -> tuple[Columns, bool]:
        """The columns of what is found, up to about `limit` bytes of blobs, and whether something was left.

        All columns but those at the places `wanted`, if it is given, may be None. Where a row cannot be read, those
        before it are given, and something is left. Raises `sqlite3.Error` if that is the first.
        """
        rows: list[tuple[Any, ...]] = []
        cut, size = False, 0
        cursor = self._db.execute(self._sql, values)
        try:
            while step := cursor.fetchmany(_STEP):
                rows += step
                size += sum(
                    sum(map(len, column))
                    for column in zip(*step, strict=True)
                    if {*map(type, column)} == {bytes}
                )
                if size >= limit:
                    cut = True
                    break
        except sqlite3.DatabaseError:
            if not rows:
                raise
            cut = True
        width = len(cursor.description)
        cursor.close()
        self._columns = tuple(map(list, zip(*rows, strict=True))) or tuple([] for _ in range(width))
        return self._columns, cut

    def frames(self, items: int, firsts: dict[int, First], last: list[Any] | None = None) -> Frames:
        """The frames of what was fetched last, of its first `items` columns.

        `last` takes the place of the last of these.
        """
        columns = self._columns[:items]
        return new_frames(columns if last is None else (*columns[:-1], last), firsts)

    def ahead(self, items: int, firsts: dict[int, First], running: Any, left: int) -> Ahead:
        """Have these frames built and hashed meanwhile, from a running hash on that lacks `left` of its segment.

        The rows are given away. Only compiled, and where `CRYPTO` is at hand.
        """
        raise NotImplementedError

    def lacks(self, column: int) -> bool:
        """True if a row that was fetched last has no value in that column."""
        return None in self._columns[column]

    def close(self) -> None:
        """Let go of the connection."""


new_scan: Final[Callable[[sqlite3.Connection, str], Scan]] = native.Scan if SQLITE else Scan
"""`Scan`, compiled where that is at hand."""
