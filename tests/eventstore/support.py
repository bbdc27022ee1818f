"""What the store's tests share."""

import sqlite3
from pathlib import Path

from eventstore.contract import collect, events, mark, new, refused

__all__ = ["collect", "events", "mark", "new", "raw", "refused"]


def raw(path: Path) -> sqlite3.Connection:
    """The log as any program with SQLite sees it."""
    return sqlite3.connect(path, isolation_level=None)
