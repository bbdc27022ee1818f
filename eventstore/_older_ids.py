"""Leads the ids of a log of schema 3 or 4, which kept them in tables with a row for each, into runs."""

import sqlite3
from collections.abc import Sequence
from typing import Final

from eventstore._runs import Runs, pack
from eventstore.errors import StoreCorrupt
from eventstore.ids import hash_folds

__all__ = ["OLDER_TABLES", "gather"]

OLDER_TABLES: Final[dict[int, Sequence[str]]] = {
    3: ("recent_ids", "older_ids"),
    4: ("recent_ids", "middle_ids", "older_ids"),
}
"""By schema version."""

_RUN: Final = 4096


def gather(connection: sqlite3.Connection, version: int) -> str:
    """Make runs of the ids of a log of such a version, outside of it; the SQL that takes them into its tables.

    The caller sees to it that nobody appends meanwhile. Raises `sqlite3.Error`, `StoreCorrupt`.
    """
    # Names without a database mean these first.
    connection.execute("CREATE TEMP TABLE id_runs (key INTEGER PRIMARY KEY, ids BLOB NOT NULL)")
    connection.execute("CREATE TEMP TABLE id_merges (level INTEGER, low INTEGER, PRIMARY KEY (level, low))")
    runs = Runs(connection)
    for table in OLDER_TABLES[version]:
        rows = connection.execute(f"SELECT fold, position FROM {table}")  # noqa: S608
        while found := rows.fetchmany(_RUN):
            folds, positions = zip(*found, strict=True)
            try:
                run = pack(list(zip(hash_folds(folds), positions, strict=True)))
            except OverflowError as error:
                raise StoreCorrupt(
                    f"{table} names a position that no event can have.", remedy="Restore a backup."
                ) from error
            runs.add(run)
            runs.merge()
    return " ".join(
        f"INSERT INTO main.{table} SELECT * FROM temp.{table}; DROP TABLE temp.{table};"  # noqa: S608
        for table in ("id_runs", "id_merges")
    )
