"""The tables of the read models in one SQLite connection: made, compared with what they must be, dumped."""

import sqlite3
import zlib
from collections.abc import Mapping
from contextlib import closing
from functools import cache
from typing import Any, Final

from msgspec import Struct

from caf.projections import ALL
from caf.quick import SHAPE

__all__ = ["Layout", "are_ours", "dump", "layouts", "make", "shape"]

META: Final = """
CREATE TABLE projections (name TEXT PRIMARY KEY, version INTEGER NOT NULL);
CREATE TABLE progress (id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL, event_id TEXT NOT NULL);
INSERT INTO progress VALUES (1, 0, '');
CREATE TABLE unreadable (
  position INTEGER PRIMARY KEY,
  stream   TEXT NOT NULL,
  version  INTEGER NOT NULL,
  type     TEXT NOT NULL,
  why      TEXT NOT NULL
);
"""
"""`progress`: the last position that was folded, and the event's id there, so that rows of another log are told
apart."""


class Layout(Struct, frozen=True):
    """A table's columns in their order, and its key."""

    columns: tuple[str, ...]
    key: tuple[str, ...]


def are_ours(connection: sqlite3.Connection) -> bool:
    """True when tables, views and versions are those of this version of caf, to the letter."""
    if _shape(connection) != _wanted() or connection.execute("PRAGMA user_version").fetchone() != (SHAPE,):
        return False
    versions = dict(connection.execute("SELECT name, version FROM projections").fetchall())
    begun = connection.execute("SELECT count(*) FROM progress").fetchone()[0]
    return begun == 1 and versions == {item.name: item.version for item in ALL}


def make(connection: sqlite3.Connection) -> None:
    """Empty tables of the current shape, in the transaction that is open."""
    for kind in ("view", "table"):
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = ?", (kind,)).fetchall()
        for (name,) in names:
            if not name.startswith("sqlite_"):
                connection.execute(f'DROP {kind} "{name}"')
    for script in (META, *(projection.schema for projection in ALL)):
        for statement in _statements(script):
            connection.execute(statement)
    connection.executemany(
        "INSERT INTO projections VALUES (?, ?)", [(item.name, item.version) for item in ALL]
    )
    connection.execute(f"PRAGMA user_version = {SHAPE}")


def shape() -> int:
    """What `caf.quick.SHAPE` must be: a number for these tables, views and versions."""
    told = [META, *(f"{item.name} {item.version} {item.schema}" for item in ALL)]
    return zlib.crc32("\n".join(told).encode()) & 0x7FFFFFFF


def dump(connection: sqlite3.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables in a fixed order."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    return {
        table: sorted(connection.execute(f'SELECT * FROM "{table}"').fetchall(), key=repr)  # noqa: S608
        for (table,) in found
        if not table.startswith("sqlite_")
    }


def _shape(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    found = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    return [(name, sql) for name, sql in found if not name.startswith("sqlite_")]


@cache
def layouts() -> Mapping[str, Layout]:
    """All tables by name, as `make` makes them."""
    with closing(_example()) as connection:
        found: dict[str, dict[str, int]] = {}
        for table, column, place in connection.execute(
            "SELECT m.name, c.name, c.pk FROM sqlite_master AS m, pragma_table_info(m.name) AS c"
            " WHERE m.type = 'table' ORDER BY m.name, c.cid"
        ):
            found.setdefault(table, {})[column] = place
    return {
        table: Layout(tuple(columns), tuple(sorted(filter(columns.get, columns), key=columns.__getitem__)))
        for table, columns in found.items()
    }


@cache
def _wanted() -> list[tuple[str, str]]:
    with closing(_example()) as connection:
        return _shape(connection)


def _example() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    make(connection)
    return connection


def _statements(script: str) -> list[str]:
    """A script's statements one by one: executescript would end the transaction."""
    found, current = [], ""
    for line in script.splitlines():
        current += line + "\n"
        if sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    return found
