"""Rows of the read models straight from their file, where it is surely in step with the log; needs SQLite alone.

Loading what folds a log takes several times as long as such a question does.
"""

import contextlib
import os
import sqlite3
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["SHAPE", "rows_in_step"]

SHAPE: Final = 0x53FB78FF
"""Of the read models' tables, as `user_version` of their file; `tests/projections/test_quick.py` says when to
change it, and to what."""
BUSY_S: Final = 1.0


def rows_in_step(root: Path, sql: str, values: Sequence[str | int]) -> list[dict[str, Any]] | None:
    """The rows of a query on the workspace `root`; None where the rows are not surely what the log says."""
    own = Path(root, ".caf").absolute()
    if not os.access(own, os.W_OK):
        return None  # what reads a log where nothing can be written has more to look at
    try:
        with _opened(own / "projections.db") as models, _opened(own / "log.db") as log:
            models.execute("BEGIN")
            if models.execute("PRAGMA user_version").fetchone() != (SHAPE,):
                return None
            position, event_id = models.execute("SELECT position, event_id FROM progress").fetchone()
            # Asked after the rows' own position: what is appended meanwhile is none of this answer.
            head = log.execute(
                "SELECT position, event_id FROM events ORDER BY position DESC LIMIT 1"
            ).fetchone()
            if head is None or (head[0], str(uuid.UUID(bytes=head[1]))) != (position, event_id):
                return None
            found = models.execute(sql, tuple(values))
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found]
    except (OSError, sqlite3.Error, TypeError, ValueError):
        return None  # whatever is wrong there, opening the workspace says it, or mends it


def _opened(path: Path) -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(
        sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)
    )
