"""Many rows for some tables at once, for whoever keeps read models in SQLite."""

import sqlite3
from collections.abc import Callable
from typing import Any, Final

from eventstore._compiled import SQLITE, native

__all__ = ["LETS_OTHERS_RUN", "Bulk", "new_bulk"]


class Bulk:
    """Rows as they were when they were added; what changes in them later does not show."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[Any, ...]]] = {}

    def add(self, sql: str, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
        """Rows for a statement, which takes the values of these columns in this order; what a row lacks is NULL.

        Values are None, or int, float, str or bytes; for others raises `TypeError` here or `sqlite3.Error` later.
        """
        self._rows.setdefault(sql, []).extend([tuple(map(row.get, columns)) for row in rows])

    def write(self, connection: sqlite3.Connection) -> None:
        """Run each statement for each of its rows, in the transaction that is open. Raises `sqlite3.Error`."""
        for sql, rows in self._rows.items():
            connection.executemany(sql, rows)


new_bulk: Final[Callable[[], Bulk]] = native.Bulk if SQLITE else Bulk
"""`Bulk`, compiled where that is at hand."""
LETS_OTHERS_RUN: Final[bool] = SQLITE
"""Whether other threads of Python run while a `Bulk` is written, until its last row.

In Python the interpreter's lock is let go of and waited for with each row: a thread of its own only costs then.
"""
