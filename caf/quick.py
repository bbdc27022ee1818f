"""Rows of the read models straight from their file, where it is surely in step with the log; needs SQLite alone.

Loading what folds a log takes several times as long as such a question does.
"""

import contextlib
import os
import sqlite3
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

__all__ = ["NEWEST_LOG", "SHAPE", "rows_in_step"]

SHAPE: Final = 0x74A8CDB0
"""Of the read models' tables, as `user_version` of their file; `tests/projections/test_quick.py` says when to
change it, and to what."""
NEWEST_LOG: Final = 5
"""The last schema of a log that this version knows, as `user_version` of its file: a newer one is refused elsewhere."""
BUSY_S: Final = 1.0
LOOKS: Final = 8
LOOK_S: Final = 0.01
"""A daemon brings the rows in step within a moment; so long it is waited for."""


def rows_in_step(root: Path, sql: str, values: Sequence[str | int]) -> list[dict[str, Any]] | None:
    """The rows of a query on the workspace `root`; None where the rows are not surely what the log says."""
    own = Path(root, ".caf").absolute()
    if not os.access(own, os.W_OK):
        return None  # what reads a log where nothing can be written has more to look at
    looks = LOOKS if (own / "daemon.json").exists() else 1
    try:
        with _opened(own / "projections.db") as models, _opened(own / "log.db") as log:
            for _ in range(looks):
                models.execute("BEGIN")
                if _are_in_step(models, log):
                    found = models.execute(sql, tuple(values))
                    names = [column[0] for column in found.description]
                    return [dict(zip(names, row, strict=True)) for row in found]
                models.execute("COMMIT")
                time.sleep(LOOK_S)
    except (OSError, sqlite3.Error, TypeError, ValueError):
        pass  # whatever is wrong there, opening the workspace says it, or mends it
    return None


def _are_in_step(models: sqlite3.Connection, log: sqlite3.Connection) -> bool:
    """True when the rows are of this log and of all its jobs' events; those of the daemon change no row."""
    if models.execute("PRAGMA user_version").fetchone() != (SHAPE,):
        return False
    if log.execute("PRAGMA user_version").fetchone()[0] > NEWEST_LOG:
        return False
    position, event_id = models.execute("SELECT position, event_id FROM progress").fetchone()
    # Asked after the rows' own position: what is appended meanwhile is none of this answer.
    last = log.execute("SELECT event_id FROM events WHERE position = ?", (position,)).fetchone()
    if last is None or str(uuid.UUID(bytes=last[0])) != event_id:
        return False
    return log.execute(MORE, (position,)).fetchone() is None


MORE: Final = """
SELECT 1 FROM events JOIN streams USING (stream_key) WHERE position > ? AND name LIKE 'job-%' LIMIT 1
"""


def _opened(path: Path) -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(
        sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=BUSY_S, isolation_level=None)
    )
