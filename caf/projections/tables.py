"""The tables of the read models in one SQLite connection: made, compared with what they must be, dumped."""

import sqlite3
import zlib
from functools import cache
from typing import Any, Final

from caf.projections import ALL
from caf.quick import SHAPE

__all__ = ["are_ours", "dump", "make", "shape"]

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
def _wanted() -> list[tuple[str, str]]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        make(connection)
        return _shape(connection)
    finally:
        connection.close()


def _statements(script: str) -> list[str]:
    """A script's statements one by one: executescript would end the transaction."""
    found, current = [], ""
    for line in script.splitlines():
        current += line + "\n"
        if sqlite3.complete_statement(current):
            found.append(current)
            current = ""
    return found
