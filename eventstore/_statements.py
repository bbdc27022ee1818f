"""The SQL that appends: one statement for many rows costs half of many statements."""

from collections.abc import Sequence
from typing import Final

from eventstore._rows import COLUMNS

__all__ = ["INSERTS", "INSERTS_UNLESS", "INSERT_CHUNKS", "WIDTH"]

WIDTH: Final = 11
_ROW: Final = f"({','.join('?' * WIDTH)})"
INSERTS: Final = {
    count: f"INSERT INTO events ({COLUMNS}) VALUES {','.join([_ROW] * count)}"  # noqa: S608
    for count in (128, 64, 32, 16, 8, 4, 2, 1)
}
"""One statement for many rows costs half of many statements; few sizes keep the prepared ones few."""


def _insert_unless(count: int, tables: Sequence[str]) -> str:
    """So many rows, or none of them if the tables may know an id: the folds come first."""
    folds = ",".join(f"?{number}" for number in range(1, count + 1))
    rows = (
        ",".join(f"?{count + row * WIDTH + column}" for column in range(1, WIDTH + 1)) for row in range(count)
    )
    known = " OR ".join(f"EXISTS (SELECT 1 FROM {table} WHERE fold IN ({folds}))" for table in tables)  # noqa: S608
    values = ",".join(f"({row})" for row in rows)
    return f"INSERT INTO events ({COLUMNS}) SELECT * FROM (VALUES {values}) WHERE NOT ({known})"  # noqa: S608


INSERTS_UNLESS: Final[dict[tuple[str, ...], dict[int, str]]] = {
    tables: {count: _insert_unless(count, tables) for count in INSERTS}
    for tables in (("recent_ids",), ("recent_ids", "older_ids"))
}
"""The same and the question whether an id is known, in one statement: a thread that comes back from one has to
wait for the interpreter's lock."""
INSERT_CHUNKS: Final = {
    count: f"INSERT INTO chunks VALUES {','.join(['(?,?,?)'] * count)}"  # noqa: S608
    for count in (64, 8, 1)
}
